-- Every index leads with brand_id, since every query is brand-scoped. Comparing enums is not leakproof, so under row
-- level security a caller's `stage = 'lead'` cannot become an index condition; the predicate of a partial index can
-- serve it, since a predicate leaks nothing. Hence partial indexes for the values that are asked for all day.

-- The newest customers; the newest leads; the trials that have run longest.
create index customers_brand_id_created_at_idx on customers (brand_id, created_at desc);
create index customers_brand_id_created_at_lead_idx on customers (brand_id, created_at desc) where stage = 'lead';
create index customers_brand_id_trial_started_at_idx on customers (brand_id, trial_started_at) where stage = 'trial';

-- A customer's conversations; the inbox; all conversations, latest first.
create index conversations_brand_id_customer_id_idx on conversations (brand_id, customer_id);
create index conversations_brand_id_last_message_at_active_idx
  on conversations (brand_id, last_message_at desc)
  where status = 'active';
create index conversations_brand_id_last_message_at_idx on conversations (brand_id, last_message_at desc);

-- A thread; all messages, latest first; the latest replies.
create index messages_brand_id_conversation_id_sent_at_idx on messages (brand_id, conversation_id, sent_at desc);
create index messages_brand_id_sent_at_idx on messages (brand_id, sent_at desc);
create index messages_brand_id_sent_at_inbound_idx on messages (brand_id, sent_at desc) where direction = 'inbound';

-- rollback

drop index messages_brand_id_sent_at_inbound_idx;
drop index messages_brand_id_sent_at_idx;
drop index messages_brand_id_conversation_id_sent_at_idx;
drop index conversations_brand_id_last_message_at_idx;
drop index conversations_brand_id_last_message_at_active_idx;
drop index conversations_brand_id_customer_id_idx;
drop index customers_brand_id_trial_started_at_idx;
drop index customers_brand_id_created_at_lead_idx;
drop index customers_brand_id_created_at_idx;
