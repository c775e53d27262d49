-- Up to eight messages in each conversation, the brand's and the customer's in turn.
insert into messages (brand_id, conversation_id, direction, content, status, sent_at, delivered_at)
select
  brand_id,
  id,
  (case when number % 2 = 1 then 'outbound' else 'inbound' end)::message_direction,
  (array[
    'Welcome! How can we help?', 'Tell me more, please.', 'Here is what we do: example.com',
    'Sounds good.', 'Shall we set up a trial?', 'Yes, next week.', 'It is ready for you.', 'Thanks!'
  ])[number],
  'delivered',
  created_at + number * interval '3 hours',
  created_at + number * interval '3 hours' + interval '2 seconds'
from conversations
cross join lateral generate_series(1, 1 + right(customer_phone, 2)::integer % 8) as number
where brand_id = percytech.current_brand()::brand_id
