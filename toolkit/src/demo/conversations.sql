-- Seven of ten customers have a conversation.
insert into conversations (brand_id, customer_id, customer_phone, brand_phone, status, campaign_name, created_at)
select
  brand_id,
  id,
  phone,
  '+15559' || lpad(array_position(enum_range(null::brand_id), brand_id)::text, 6, '0'),
  (case
    when stage in ('churned', 'dormant') then 'archived'
    when right(phone, 1) = '1' then 'paused'
    else 'active'
  end)::conversation_status,
  'Welcome',
  created_at
from customers
where brand_id = percytech.current_brand()::brand_id
  and right(phone, 1) < '7'
