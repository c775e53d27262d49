insert into customers (brand_id, email, phone, first_name, stage, subscribed_at)
select
  brand,
  'customer' || number || '@example.com',
  '+1555000000' || number,
  'Customer',
  (case number when 1 then 'active' else 'churned' end)::customer_stage,
  now()
from unnest(enum_range(null::brand_id)) as brand
cross join generate_series(1, 2) as number;

insert into conversations (brand_id, customer_id, customer_phone, brand_phone)
select brand_id, id, phone, '+15559999999' from customers;

insert into messages (brand_id, conversation_id, direction, content)
select brand_id, id, direction, 'Hello'
from conversations
cross join unnest(enum_range(null::message_direction)) as direction;
