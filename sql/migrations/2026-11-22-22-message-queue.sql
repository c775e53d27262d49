-- Messages on their way: queued, claimed, sent, and what the provider says of them. And the counters of conversations.

alter table messages
  add column kind text not null default 'message',
  add column due_at timestamptz,
  add column claimed_at timestamptz,
  add column claimed_by text,
  add column cancelled_at timestamptz,
  add column cancel_reason text,
  add column to_phone text,
  add constraint messages_kind_check check (kind in ('message', 'opt_out', 'opt_in', 'help')),
  add constraint messages_due_at_check check (due_at is null or direction = 'outbound');

comment on column messages.kind is 'message, or the reply to an opt_out, an opt_in or a call for help.';
comment on column messages.due_at is 'Since when it may be claimed; NULL where it never was in the queue.';
comment on column messages.claimed_at is 'When a worker took it to send it: it is not given out again.';
comment on column messages.claimed_by is 'The worker that took it.';
comment on column messages.to_phone is 'The number that it was claimed for.';
comment on column messages.cancelled_at is 'When it was taken out of the queue.';
comment on column messages.cancel_reason is 'Why: opted_out, opted_in, expired, number_changed or invalid_number.';
comment on column messages.sent_at is 'When it was sent or received; while it is pending, when it was written.';

alter table messages
  alter column external_id set statistics 0,
  alter column to_phone set statistics 0;

-- A provider's identifier names one message that was sent, and one of those that came from a number: what another number
-- sends under the same identifier is another message.
create unique index messages_brand_id_external_id_outbound_key
  on messages (brand_id, external_id)
  where direction = 'outbound';
create unique index messages_brand_id_conversation_id_external_id_inbound_key
  on messages (brand_id, conversation_id, external_id)
  where direction = 'inbound';

-- What is due next; what is queued in a conversation.
create index messages_brand_id_due_at_queued_idx
  on messages (brand_id, due_at, id)
  where due_at is not null and claimed_at is null and cancelled_at is null and status = 'pending';
create index messages_brand_id_conversation_id_queued_idx
  on messages (brand_id, conversation_id)
  where due_at is not null and claimed_at is null and cancelled_at is null and status = 'pending';

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

alter table message_delivery_events alter column external_id set statistics 0;

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

-- The counters follow the messages, whoever writes them, in whatever statement. A message counts when it has come or gone:
-- not while it is pending, and not when it was cancelled. What a statement adds and takes away is counted as a difference,
-- so that no other's count is lost; where it took something away, the latest is looked for. Conversations are updated in the
-- order of their ids, so that two statements do not wait for each other.
create function count_messages() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      changes refcursor;
      change record;
    begin
      if tg_op = 'INSERT' then
        open changes for
          select
            added.brand_id,
            added.conversation_id,
            count(*) as difference,
            false as is_less,
            max(added.sent_at) as at,
            max(added.sent_at) filter (where added.direction = 'inbound') as inbound_at,
            max(added.sent_at) filter (where added.direction = 'outbound') as outbound_at
          from new_messages as added
          where added.cancelled_at is null and added.status is distinct from 'pending'
          group by added.brand_id, added.conversation_id
          order by added.brand_id, added.conversation_id;
      elsif tg_op = 'DELETE' then
        open changes for
          select removed.brand_id, removed.conversation_id, -count(*) as difference, true as is_less
          from old_messages as removed
          where removed.cancelled_at is null and removed.status is distinct from 'pending'
          group by removed.brand_id, removed.conversation_id
          order by removed.brand_id, removed.conversation_id;
      else
        open changes for
          with before as (
            select brand_id, conversation_id, direction, sent_at
            from old_messages
            where cancelled_at is null and status is distinct from 'pending'
          ),
          after as (
            select brand_id, conversation_id, direction, sent_at
            from new_messages
            where cancelled_at is null and status is distinct from 'pending'
          ),
          differences as (
            select added.*, 1 as difference from (table after except all table before) as added
            union all
            select removed.*, -1 from (table before except all table after) as removed
          )
          select
            differences.brand_id,
            differences.conversation_id,
            sum(differences.difference) as difference,
            bool_or(differences.difference < 0) as is_less,
            max(differences.sent_at) as at,
            max(differences.sent_at) filter (where differences.direction = 'inbound') as inbound_at,
            max(differences.sent_at) filter (where differences.direction = 'outbound') as outbound_at
          from differences
          group by differences.brand_id, differences.conversation_id
          order by differences.brand_id, differences.conversation_id;
      end if;

      loop
        fetch changes into change;
        exit when not found;
        if not change.is_less then
          update public.conversations
          set
            message_count = least(greatest(conversations.message_count + change.difference, 0), 2147483647),
            last_message_at = greatest(conversations.last_message_at, change.at),
            last_inbound_at = greatest(conversations.last_inbound_at, change.inbound_at),
            last_outbound_at = greatest(conversations.last_outbound_at, change.outbound_at)
          where conversations.brand_id = change.brand_id and conversations.id = change.conversation_id;
          continue;
        end if;
        -- Locked first: what is looked for then is what there is.
        perform
        from public.conversations
        where conversations.brand_id = change.brand_id and conversations.id = change.conversation_id
        for no key update;
        update public.conversations
        set
          message_count = least(greatest(conversations.message_count + change.difference, 0), 2147483647),
          last_message_at = latest.at,
          last_inbound_at = latest.inbound_at,
          last_outbound_at = latest.outbound_at
        from (
          select
            max(messages.sent_at) as at,
            max(messages.sent_at) filter (where messages.direction = 'inbound') as inbound_at,
            max(messages.sent_at) filter (where messages.direction = 'outbound') as outbound_at
          from public.messages
          where messages.brand_id = change.brand_id
            and messages.conversation_id = change.conversation_id
            and messages.cancelled_at is null
            and messages.status is distinct from 'pending'
        ) as latest
        where conversations.brand_id = change.brand_id and conversations.id = change.conversation_id;
      end loop;
      close changes;
      return null;
    end
  $$;

comment on function count_messages() is 'Trigger: keeps the counters of conversations.';
revoke all on function count_messages() from public;

-- What process_inbound_message takes in, it counts by itself. Nobody else has both this setting and the owner's rights.
create trigger messages_count_new
  after insert on messages
  referencing new table as new_messages
  for each statement
  when (current_setting('percytech.counting', true) is distinct from 'by hand' or current_user <> 'percytech_owner')
  execute function count_messages();

create trigger messages_count_changed
  after update on messages
  referencing old table as old_messages new table as new_messages
  for each statement execute function count_messages();

create trigger messages_count_deleted
  after delete on messages
  referencing old table as old_messages
  for each statement execute function count_messages();

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

drop trigger messages_count_deleted on messages;
drop trigger messages_count_changed on messages;
drop trigger messages_count_new on messages;
drop function count_messages();
drop trigger messages_keep_status on messages;
drop function keep_message_status();
drop table message_delivery_events;
drop index messages_brand_id_conversation_id_queued_idx;
drop index messages_brand_id_due_at_queued_idx;
drop index messages_brand_id_conversation_id_external_id_inbound_key;
drop index messages_brand_id_external_id_outbound_key;
alter table messages alter column external_id set statistics -1;
comment on column messages.sent_at is null;
alter table messages
  drop constraint messages_due_at_check,
  drop constraint messages_kind_check,
  drop column to_phone,
  drop column cancel_reason,
  drop column cancelled_at,
  drop column claimed_by,
  drop column claimed_at,
  drop column due_at,
  drop column kind;
