insert into customers (brand_id, email, phone)
select brand, number || '@example.com', '+1212' || (5000000 + number)
from unnest(enum_range(null::brand_id)) as brand
cross join generate_series(1, 20000) as number;

insert into conversations (brand_id, customer_id, customer_phone, brand_phone, status, last_message_at)
select
  brand_id,
  id,
  phone,
  '+15559999999',
  (case when right(phone, 1) < '3' then 'active' else 'archived' end)::conversation_status,
  now() - right(phone, 4)::integer * interval '1 minute'
from customers;

insert into messages (brand_id, conversation_id, direction, content, sent_at)
select brand_id, id, 'outbound', 'Hello', last_message_at - number * interval '1 hour'
from conversations
cross join generate_series(1, 5) as number;
