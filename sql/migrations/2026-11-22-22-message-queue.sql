-- Messages on their way: queued, claimed, sent, and what the provider says of them. And the counters of conversations.

alter table messages
  add column kind text not null default 'message',
  add column due_at timestamptz,
  add column claimed_at timestamptz,
  add column claimed_by text,
  add column cancelled_at timestamptz,
  add column cancel_reason text,
  add constraint messages_kind_check check (kind in ('message', 'opt_out', 'opt_in', 'help')),
  add constraint messages_due_at_check check (due_at is null or direction = 'outbound'),
  -- The provider's identifier names one message: what is delivered twice is known by it.
  add constraint messages_brand_id_external_id_key unique (brand_id, external_id);

comment on column messages.kind is 'message, or the reply to an opt_out, an opt_in or a call for help.';
comment on column messages.due_at is 'Since when it may be claimed; NULL where it never was in the queue.';
comment on column messages.claimed_at is 'When a worker took it to send it: it is not given out again.';
comment on column messages.claimed_by is 'The worker that took it.';
comment on column messages.cancelled_at is 'When it was taken out of the queue.';
comment on column messages.cancel_reason is 'Why: opted_out, opted_in, invalid_number or expired.';
comment on column messages.sent_at is 'When it was sent or received; while it is pending, when it was written.';

-- What is due next; what is queued in a conversation.
create index messages_brand_id_due_at_queued_idx
  on messages (brand_id, due_at)
  where due_at is not null and claimed_at is null and cancelled_at is null;
create index messages_brand_id_conversation_id_queued_idx
  on messages (brand_id, conversation_id)
  where due_at is not null and claimed_at is null and cancelled_at is null;

create table message_delivery_events (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  external_id text not null,
  status message_status not null,
  error_code text,

  occurred_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),

  constraint message_delivery_events_pkey primary key (brand_id, id),
  constraint message_delivery_events_external_id_check check (length(external_id) between 1 and 255),
  constraint message_delivery_events_error_code_check check (length(error_code) between 1 and 63),
  constraint message_delivery_events_occurred_at_check check (isfinite(occurred_at))
);

comment on table message_delivery_events is
  'Every callback of a provider about a message, as often as it came, also before the message''s external_id was known.';

create index message_delivery_events_brand_id_external_id_idx on message_delivery_events (brand_id, external_id);

create trigger message_delivery_events_written_once
  before update or delete or truncate on message_delivery_events
  for each statement execute function refuse_change_of_history();
alter table message_delivery_events enable always trigger message_delivery_events_written_once;

-- The status of a message is the most that was ever said of it (percytech.delivery_rank), whoever writes it.
create function keep_message_status() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if new.status is null or percytech.delivery_rank(new.status::text) < percytech.delivery_rank(old.status::text) then
        raise exception 'the status of a message does not go back from % to %', old.status, coalesce(new.status::text, 'NULL')
          using errcode = '23514', hint = 'Record what the provider says by record_delivery_status, and queue another message to try again.';
      end if;
      return new;
    end
  $$;

comment on function keep_message_status() is 'Trigger: refuses a status that says less than the one that is known; 23514.';
revoke all on function keep_message_status() from public;

create trigger messages_keep_status
  before update of status on messages
  for each row when (old.status is not null and old.status is distinct from new.status)
  execute function keep_message_status();

-- The counters follow the messages, whoever writes them. A message counts when it has come or gone: not while it is
-- pending, and not when it was cancelled. Conversations are updated in the order of their ids, so that two
-- statements do not wait for each other; what is counted is the difference, so that no other's count is lost.
create function count_new_messages() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      counted record;
    begin
      for counted in
        select
          messages.brand_id,
          messages.conversation_id,
          count(*) as messages,
          max(messages.sent_at) as last_at,
          max(messages.sent_at) filter (where messages.direction = 'inbound') as last_inbound_at,
          max(messages.sent_at) filter (where messages.direction = 'outbound') as last_outbound_at
        from new_messages as messages
        where messages.cancelled_at is null and messages.status is distinct from 'pending'
        group by messages.brand_id, messages.conversation_id
        order by messages.brand_id, messages.conversation_id
      loop
        update public.conversations
        set
          message_count = conversations.message_count + counted.messages,
          last_message_at = greatest(conversations.last_message_at, counted.last_at),
          last_inbound_at = greatest(conversations.last_inbound_at, counted.last_inbound_at),
          last_outbound_at = greatest(conversations.last_outbound_at, counted.last_outbound_at)
        where conversations.brand_id = counted.brand_id and conversations.id = counted.conversation_id;
      end loop;
      return null;
    end
  $$;

-- What was changed or taken away may have been the latest: the conversation is locked, and counted anew.
create function recount_messages() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      changed record;
    begin
      for changed in
        select distinct keys.brand_id, keys.conversation_id
        from (
          values
            (old.brand_id, old.conversation_id),
            (case when tg_op = 'UPDATE' then new.brand_id end, case when tg_op = 'UPDATE' then new.conversation_id end)
        ) as keys (brand_id, conversation_id)
        where keys.conversation_id is not null
        order by keys.brand_id, keys.conversation_id
      loop
        perform
        from public.conversations
        where conversations.brand_id = changed.brand_id and conversations.id = changed.conversation_id
        for no key update;
        update public.conversations
        set
          message_count = counted.messages,
          last_message_at = counted.last_at,
          last_inbound_at = counted.last_inbound_at,
          last_outbound_at = counted.last_outbound_at
        from (
          select
            count(*) as messages,
            max(messages.sent_at) as last_at,
            max(messages.sent_at) filter (where messages.direction = 'inbound') as last_inbound_at,
            max(messages.sent_at) filter (where messages.direction = 'outbound') as last_outbound_at
          from public.messages
          where messages.brand_id = changed.brand_id
            and messages.conversation_id = changed.conversation_id
            and messages.cancelled_at is null
            and messages.status is distinct from 'pending'
        ) as counted
        where conversations.brand_id = changed.brand_id and conversations.id = changed.conversation_id;
      end loop;
      return null;
    end
  $$;

comment on function count_new_messages() is 'Trigger: adds new messages to the counters of their conversations.';
comment on function recount_messages() is 'Trigger: counts the messages of a conversation anew.';
revoke all on function count_new_messages() from public;
revoke all on function recount_messages() from public;

create trigger messages_count_new
  after insert on messages
  referencing new table as new_messages
  for each statement execute function count_new_messages();

create trigger messages_recount_changed
  after update on messages
  for each row
  when (
    old.conversation_id <> new.conversation_id
    or old.direction <> new.direction
    or old.sent_at <> new.sent_at and (old.status is distinct from 'pending' or new.status is distinct from 'pending')
    or (old.cancelled_at is null and old.status is distinct from 'pending')
      <> (new.cancelled_at is null and new.status is distinct from 'pending')
  )
  execute function recount_messages();

create trigger messages_recount_deleted
  after delete on messages
  for each row execute function recount_messages();

-- The counters of what there is already.
do $$
declare
  brand brand_id;
begin
  foreach brand in array enum_range(null::brand_id) loop
    perform percytech.set_brand_context(brand::text);
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
      where brand_id = brand and status is distinct from 'pending'
      group by conversation_id
    ) as counted
    where conversations.brand_id = brand
      and conversations.id = counted.conversation_id
      and (conversations.message_count, conversations.last_message_at, conversations.last_inbound_at, conversations.last_outbound_at)
        is distinct from (counted.messages, counted.last_at, counted.last_inbound_at, counted.last_outbound_at);
  end loop;
end
$$;

-- rollback

drop trigger messages_recount_deleted on messages;
drop trigger messages_recount_changed on messages;
drop trigger messages_count_new on messages;
drop function recount_messages();
drop function count_new_messages();
drop trigger messages_keep_status on messages;
drop function keep_message_status();
drop table message_delivery_events;
drop index messages_brand_id_conversation_id_queued_idx;
drop index messages_brand_id_due_at_queued_idx;
comment on column messages.sent_at is null;
alter table messages
  drop constraint messages_brand_id_external_id_key,
  drop constraint messages_due_at_check,
  drop constraint messages_kind_check,
  drop column cancel_reason,
  drop column cancelled_at,
  drop column claimed_by,
  drop column claimed_at,
  drop column due_at,
  drop column kind;
