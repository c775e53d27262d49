-- Who may be written to, and the proof of it. Three tables that applications read, and only the functions write.

-- The row that whoever changes a number's consent, and whoever claims a message to it, both lock: so that one of them is
-- first.
create table recipients (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  phone text not null,
  opted_in_at timestamptz,
  consent_changed_at timestamptz,

  created_at timestamptz not null default now(),

  constraint recipients_pkey primary key (brand_id, id),
  constraint recipients_brand_id_phone_key unique (brand_id, phone),
  constraint recipients_phone_check check (phone ~ '^\+[1-9][0-9]{1,18}$')
);

alter table recipients alter column phone set statistics 0;

comment on table recipients is
  'A number that a brand writes to or hears from. Who changes its consent locks its row, and so does who claims a message to it.';
comment on column recipients.opted_in_at is 'When the number last asked for messages, if it has not opted out since.';
comment on column recipients.consent_changed_at is
  'When its consent last changed: written each time, so that a transaction that began before notices.';

-- Whoever is written to has a row before the first message is queued, so that nobody waits for it to be made. It comes before
-- the conversation, as it does for a reply: neither holds what the other waits for. A row of another brand's, which row level
-- security is going to refuse, is not looked at.
create function register_recipient() returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      previous text;
    begin
      if percytech.current_brand() is distinct from new.brand_id::text then
        previous := public.enter_brand_context(new.brand_id);
      end if;
      insert into public.recipients (brand_id, phone) values (new.brand_id, percytech.normalize_phone(new.customer_phone))
      on conflict do nothing;
      if previous is not null then
        perform public.leave_brand_context(previous);
      end if;
      return new;
    end
  $$;

comment on function register_recipient() is 'Trigger: sees to it that the number of a conversation has its row of recipients.';
revoke all on function register_recipient() from public;

create trigger conversations_register_recipient
  before insert or update of customer_phone on conversations
  for each row when (
    percytech.normalize_phone(new.customer_phone) is not null
    and (new.brand_id = percytech.current_brand()::brand_id or not row_security_active('public.conversations'))
  )
  execute function register_recipient();

do $$
declare
  brand brand_id;
begin
  foreach brand in array enum_range(null::brand_id) loop
    perform percytech.set_brand_context(brand::text);
    insert into recipients (brand_id, phone)
    select distinct brand, customer_phone_e164
    from conversations
    where brand_id = brand and customer_phone_e164 is not null;
  end loop;
end
$$;

-- There are more histories than one now.
create or replace function refuse_change_of_history() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      raise exception '% of % is refused: a history is written once', lower(tg_op), tg_table_name
        using errcode = '55000',
              detail = 'What was recorded stays as it is, for everybody.',
              hint = 'Record what is new. To erase a customer for the law, see docs/opt-out.md.';
    end
  $$;

create table consent_events (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  phone text not null,
  kind text not null,
  outcome text not null,
  scope text,
  campaign_id uuid,

  source text not null,
  reason text,
  actor text not null,

  customer_id uuid,
  conversation_id uuid,
  message_id uuid,
  message text,
  rule text,
  rule_version text,
  keyword text,
  language text,

  reply_message_id uuid,
  reply text,

  occurred_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),

  constraint consent_events_pkey primary key (brand_id, id),
  constraint consent_events_brand_id_phone_fkey
    foreign key (brand_id, phone) references recipients (brand_id, phone) on delete restrict on update restrict,
  constraint consent_events_brand_id_customer_id_fkey
    foreign key (brand_id, customer_id) references customers (brand_id, id) on delete restrict on update restrict,
  constraint consent_events_brand_id_conversation_id_fkey
    foreign key (brand_id, conversation_id) references conversations (brand_id, id) on delete restrict on update restrict,
  constraint consent_events_brand_id_message_id_fkey
    foreign key (brand_id, message_id) references messages (brand_id, id) on delete restrict on update restrict,
  constraint consent_events_brand_id_reply_message_id_fkey
    foreign key (brand_id, reply_message_id) references messages (brand_id, id) on delete restrict on update restrict,
  constraint consent_events_kind_check check (kind in ('opt_out', 'opt_in', 'help')),
  constraint consent_events_outcome_check check (outcome in ('applied', 'repeated', 'superseded')),
  constraint consent_events_scope_check check ((kind = 'opt_out') = (scope is not null) and scope in ('brand', 'campaign')),
  constraint consent_events_campaign_id_check check (scope = 'campaign' or campaign_id is null),
  constraint consent_events_source_check check (length(source) between 1 and 63),
  constraint consent_events_actor_check check (actor <> ''),
  constraint consent_events_rule_check check ((rule is null) = (rule_version is null)),
  constraint consent_events_occurred_at_check check (isfinite(occurred_at))
);

comment on table consent_events is
  'Every opt-out, opt-in and call for help: who, when, how, in which words, by which rule of which version, and what was answered. Written once.';
comment on column consent_events.outcome is
  'applied; repeated, where it was so already; superseded, where the number has said something else since.';
comment on column consent_events.source is 'How: reply, manual, phone, email, provider, or what the caller says.';
comment on column consent_events.actor is 'Who recorded it: the token''s subject, else the login.';
comment on column consent_events.message is 'The words of the message, as they came.';
comment on column consent_events.rule is 'The rule of percytech.reply_rules() that read it so.';
comment on column consent_events.reply is 'The text sent back; NULL where none was.';
comment on column consent_events.occurred_at is 'When it was said.';

alter table consent_events alter column phone set statistics 0;

-- A number's story; what came of a message; what a customer, a conversation or a reply is kept for.
create index consent_events_brand_id_phone_occurred_at_idx on consent_events (brand_id, phone, occurred_at desc);
create index consent_events_brand_id_message_id_idx on consent_events (brand_id, message_id);
create index consent_events_brand_id_customer_id_idx on consent_events (brand_id, customer_id);
create index consent_events_brand_id_conversation_id_idx on consent_events (brand_id, conversation_id);
create index consent_events_brand_id_reply_message_id_idx
  on consent_events (brand_id, reply_message_id)
  where reply_message_id is not null;

create trigger consent_events_written_once
  before update or delete or truncate on consent_events
  for each statement execute function refuse_change_of_history();
alter table consent_events enable always trigger consent_events_written_once;

create table opt_outs (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  phone text not null,
  scope text not null default 'brand',
  campaign_id uuid,

  opted_out_at timestamptz not null,
  reason text,
  source text not null,
  event_id uuid not null,

  confirmation_message_id uuid,
  confirmation_claimed_at timestamptz,

  created_at timestamptz not null default now(),

  constraint opt_outs_pkey primary key (brand_id, id),
  constraint opt_outs_brand_id_phone_campaign_id_key unique nulls not distinct (brand_id, phone, campaign_id),
  constraint opt_outs_brand_id_phone_fkey
    foreign key (brand_id, phone) references recipients (brand_id, phone) on delete restrict on update restrict,
  constraint opt_outs_brand_id_event_id_fkey
    foreign key (brand_id, event_id) references consent_events (brand_id, id) on delete restrict on update restrict,
  constraint opt_outs_brand_id_confirmation_message_id_fkey
    foreign key (brand_id, confirmation_message_id) references messages (brand_id, id)
    on delete restrict on update restrict,
  constraint opt_outs_scope_check check (scope in ('brand', 'campaign')),
  constraint opt_outs_campaign_id_check check ((scope = 'campaign') = (campaign_id is not null))
);

alter table opt_outs alter column phone set statistics 0;

-- What it follows from; whose confirmation a message is.
create index opt_outs_brand_id_event_id_idx on opt_outs (brand_id, event_id);
create index opt_outs_brand_id_confirmation_message_id_idx on opt_outs (brand_id, confirmation_message_id);

-- What a conversation was before it was archived by an opt-out, for the opt-in.
alter table conversations add column status_before_opt_out conversation_status;
comment on column conversations.status_before_opt_out is 'What the status was before the opt-out, and will be after an opt-in.';

comment on table opt_outs is
  'The suppression list: the numbers that the brand may not write to. An opt-in takes a number off; consent_events has what was.';
comment on column opt_outs.scope is 'brand: nothing may be sent; campaign: nothing of the campaign.';
comment on column opt_outs.event_id is 'The row of consent_events that it follows from.';
comment on column opt_outs.confirmation_message_id is 'The one message that may be sent all the same.';
comment on column opt_outs.confirmation_claimed_at is 'When that was claimed: there is no second time.';

-- rollback

-- The proof is lost.
alter table conversations drop column status_before_opt_out;
drop table opt_outs;
drop table consent_events;
create or replace function refuse_change_of_history() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      raise exception '% of % is refused: a history is written once', lower(tg_op), tg_table_name
        using errcode = '55000',
              detail = 'What was recorded stays as it is, for everybody.',
              hint = 'Record another move. To erase a customer for the law, see docs/journey.md.';
    end
  $$;
drop trigger conversations_register_recipient on conversations;
drop function register_recipient();
drop table recipients;
