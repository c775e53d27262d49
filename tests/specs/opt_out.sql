-- What the specs and the load test stand on: a table that tells which transaction claimed a message, and a view of whatever
-- the history of a number shows that must not be. It needs track_commit_timestamp.

insert into brand_phone_numbers (brand_id, phone) values ('gnymble', '+14155550100');
update quiet_hours set quiet_from = '24:00', quiet_until = '00:00';

create table claims (message_id uuid not null, brand_id brand_id not null default percytech.current_brand()::brand_id);
grant select, insert on claims to percytech_app;

create sequence numbers;
grant usage on sequence numbers to percytech_app;

-- A number that nothing has been heard of, with a conversation and a message in the queue.
create table subject (phone text, conversation_id uuid);
grant select, insert, delete on subject to percytech_app;

create function new_subject() returns void language plpgsql as $$
  declare
    number constant text := '+1212' || (2000000 + nextval('numbers'));
    conversation uuid;
  begin
    delete from subject;
    insert into conversations (customer_phone, brand_phone) values (number, '+14155550100') returning id into conversation;
    insert into subject values (number, conversation);
    perform queue_message(conversation, 'queued before');
  end
$$;

create view said as
select
  events.*,
  pg_xact_commit_timestamp(events.xmin) as committed_at,
  row_number() over (partition by events.phone order by events.recorded_at desc) = 1 as is_last
from consent_events as events
where events.outcome = 'applied' and events.kind in ('opt_out', 'opt_in');

create view claimed as
select messages.*, conversations.customer_phone_e164 as phone, pg_xact_commit_timestamp(claims.xmin) as committed_at
from claims
join messages on messages.brand_id = claims.brand_id and messages.id = claims.message_id
join conversations on conversations.brand_id = messages.brand_id and conversations.id = messages.conversation_id;

create view violations as
select 'claimed after an opt-out had committed' as violation, claimed.phone
from claimed
cross join lateral (
  select said.kind, said.reply_message_id
  from said
  where said.phone = claimed.phone and said.committed_at < claimed.committed_at
  order by said.committed_at desc
  limit 1
) as last
where last.kind = 'opt_out' and last.reply_message_id is distinct from claimed.id
union all
select 'claimed twice', claimed.phone
from claimed
group by claimed.phone, claimed.id
having count(*) > 1
union all
select 'an opt-out without its one confirmation', said.phone
from said
where said.kind = 'opt_out'
  and said.source = 'reply'
  and 1 <> (
    select count(*)
    from messages
    join conversations on conversations.brand_id = messages.brand_id and conversations.id = messages.conversation_id
    where messages.id = said.reply_message_id
      and messages.kind = 'opt_out'
      and conversations.customer_phone_e164 = said.phone
  )
union all
select 'a confirmation of no opt-out', conversations.customer_phone_e164
from messages
join conversations on conversations.brand_id = messages.brand_id and conversations.id = messages.conversation_id
where messages.kind = 'opt_out' and messages.id not in (select said.reply_message_id from said where said.kind = 'opt_out')
union all
select 'a confirmation that was not sent', said.phone
from said
where said.kind = 'opt_out'
  and said.is_last
  and said.source = 'reply'
  and not exists (select from claimed where claimed.id = said.reply_message_id)
union all
select 'a confirmation later than five minutes', said.phone
from said
join claimed on claimed.id = said.reply_message_id
where said.kind = 'opt_out' and claimed.claimed_at > said.occurred_at + interval '5 minutes'
union all
select 'a message that said something twice', events.phone
from consent_events as events
where events.message_id is not null and events.source = 'reply'
group by events.phone, events.message_id
having count(*) > 1
union all
select 'still in the queue after an opt-out', conversations.customer_phone_e164
from messages
join conversations on conversations.brand_id = messages.brand_id and conversations.id = messages.conversation_id
join opt_outs on opt_outs.brand_id = messages.brand_id and opt_outs.phone = conversations.customer_phone_e164
where messages.due_at is not null and messages.claimed_at is null and messages.cancelled_at is null
union all
select 'the suppression list is not what was said last', recipients.phone
from recipients
left join said on said.phone = recipients.phone and said.is_last
where (coalesce(said.kind, 'none') = 'opt_out') <> exists (select from opt_outs where opt_outs.phone = recipients.phone)
union all
select 'the conversation is not as the suppression list says', conversations.customer_phone_e164
from conversations
where (conversations.opted_out_at is not null) <> exists (
    select from opt_outs where opt_outs.phone = conversations.customer_phone_e164
  )
  or (conversations.opted_out_at is not null) <> (conversations.status = 'archived')
union all
select 'the counters are wrong', conversations.customer_phone_e164
from conversations
left join lateral (
  select
    count(*) as messages,
    max(messages.sent_at) as last_at,
    max(messages.sent_at) filter (where messages.direction = 'inbound') as last_inbound_at,
    max(messages.sent_at) filter (where messages.direction = 'outbound') as last_outbound_at
  from messages
  where messages.brand_id = conversations.brand_id
    and messages.conversation_id = conversations.id
    and messages.cancelled_at is null
    and messages.status is distinct from 'pending'
) as counted on true
where (conversations.message_count, conversations.last_message_at, conversations.last_inbound_at, conversations.last_outbound_at)
  is distinct from (counted.messages, counted.last_at, counted.last_inbound_at, counted.last_outbound_at);
