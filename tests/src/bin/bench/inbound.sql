insert into brand_phone_numbers (brand_id, phone) values ('gnymble', '+14155550100');

insert into customers (brand_id, email, phone)
select 'gnymble', number || '@example.com', '+1212' || (5000000 + number)
from generate_series(1, 20000) as number;

insert into conversations (brand_id, customer_id, customer_phone, brand_phone)
select brand_id, id, phone, '+14155550100' from customers;
