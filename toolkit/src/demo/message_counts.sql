update conversations
set
  message_count = counted.messages,
  last_message_at = counted.last_at,
  last_inbound_at = counted.last_inbound_at,
  last_outbound_at = counted.last_outbound_at
from (
  select
    conversation_id,
    count(*) as messages,
    max(sent_at) as last_at,
    max(sent_at) filter (where direction = 'inbound') as last_inbound_at,
    max(sent_at) filter (where direction = 'outbound') as last_outbound_at
  from messages
  group by conversation_id
) as counted
where conversations.brand_id = percytech.current_brand()::brand_id
  and conversations.id = counted.conversation_id
