-- What comes in: whose it is, what it asks for, and what follows from it, in one transaction.

-- What has been taken in, by the identifiers that providers give it: what comes again is known by it, whatever applications
-- have done to the messages since. Nobody writes here but process_inbound_message.
create table inbound_receipts (
  id uuid not null,
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  phone text not null,
  sender text not null,
  external_id text not null,

  created_at timestamptz not null default clock_timestamp(),

  constraint inbound_receipts_pkey primary key (brand_id, phone, sender, external_id),
  constraint inbound_receipts_external_id_check check (length(external_id) between 1 and 255)
);

alter table inbound_receipts
  alter column phone set statistics 0,
  alter column sender set statistics 0,
  alter column external_id set statistics 0;

comment on table inbound_receipts is
  'The messages that process_inbound_message has taken in, by their providers'' identifiers: each is taken in once.';
comment on column inbound_receipts.id is 'The id of the message, which is kept here when the message is deleted.';
comment on column inbound_receipts.phone is 'The number that it came from, in E.164.';
comment on column inbound_receipts.sender is 'The brand''s number that it came to.';
comment on column inbound_receipts.external_id is 'The provider''s identifier.';
comment on column inbound_receipts.created_at is 'When it was taken in.';

-- The brand that a number is of, among those that the caller may act as beside the one in context; it is the context from
-- now on. A sealed context is not left. What others have is not looked at, so that nobody learns of it.
create function enter_brand_of_sender(sender text) returns brand_id
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      current constant text := percytech.current_brand();
      context jsonb;
      brand text;
    begin
      context := percytech.brand_context();
      if not (context ->> 'sealed')::boolean then
        for brand in
          select allowed.brand from jsonb_array_elements_text(context -> 'allowed') as allowed (brand)
          where allowed.brand is distinct from current
        loop
          perform percytech.set_brand_context(brand);
          if exists (
            select
            from public.brand_phone_numbers as numbers
            where numbers.brand_id = brand::public.brand_id and numbers.phone = sender
          ) then
            return brand;
          end if;
        end loop;
      end if;
      raise exception 'no brand that you may act as has the number %', coalesce('"' || left(sender, 63) || '"', 'NULL')
        using errcode = 'PT404', hint = 'Look it up in brand_phone_numbers; a DBA registers it there.';
    end
  $$;

-- The customer whose number it is; the one who came last, where there are several.
create function customer_of(brand brand_id, number text) returns uuid
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      return (
        select customers.id
        from public.customers
        where customers.brand_id = brand and customers.phone_e164 = number
        order by customers.created_at desc, customers.id
        limit 1
      );
    end
  $$;

-- A new thread between a number, whose row is locked, and a brand's number.
create function open_conversation(brand brand_id, number text, sender text) returns conversations
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      conversation public.conversations;
      opted_out record;
    begin
      select opt_outs.opted_out_at, coalesce(opt_outs.reason, opt_outs.source) as reason into opted_out
      from public.opt_outs
      where opt_outs.brand_id = brand and opt_outs.phone = number and opt_outs.scope = 'brand';
      insert into public.conversations (
        brand_id, customer_id, customer_phone, brand_phone, status, opted_out_at, opt_out_reason
      )
      values (
        brand,
        public.customer_of(brand, number),
        number,
        sender,
        case when opted_out.opted_out_at is null then 'active' else 'archived' end::public.conversation_status,
        opted_out.opted_out_at,
        opted_out.reason
      )
      on conflict do nothing
      returning conversations.* into conversation;
      if found then
        return conversation;
      end if;
      -- Somebody else has just opened it.
      select conversations.* into conversation
      from public.conversations
      where conversations.brand_id = brand
        and conversations.customer_phone_e164 = number
        and conversations.brand_sender = sender
      limit 1;
      if not found then
        raise exception 'the conversation of % with % has other numbers than it is written with', number, sender
          using errcode = '55000',
                detail = 'Its customer_phone_e164 or brand_sender was computed by another version of percytech.',
                hint = 'Have them computed again: update conversations set customer_phone = customer_phone;';
      end if;
      return conversation;
    end
  $$;

-- What a message that was taken in before was found to be. Its row may be in another conversation by now, or gone.
create function answer_of_duplicate(brand brand_id, inbound_id uuid, number text, sender text) returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      conversation public.conversations;
      event public.consent_events;
    begin
      select conversations.* into conversation
      from public.messages
      join public.conversations
        on conversations.brand_id = brand and conversations.id = messages.conversation_id
      where messages.brand_id = brand and messages.id = inbound_id;
      if not found then
        select conversations.* into conversation
        from public.conversations
        where conversations.brand_id = brand
          and conversations.customer_phone_e164 = number
          and conversations.brand_sender = sender
        order by conversations.created_at, conversations.id
        limit 1;
      end if;
      select events.* into event
      from public.consent_events as events
      where events.brand_id = brand and events.message_id = inbound_id and events.source = 'reply'
      order by events.recorded_at desc
      limit 1;
      return jsonb_build_object(
        'message_id', inbound_id,
        'conversation_id', conversation.id,
        'customer_id', conversation.customer_id,
        'intent', coalesce(event.kind, 'none'),
        'rule', event.rule,
        'reply', event.reply,
        'duplicate', true
      );
    end
  $$;

-- The message of a receipt, where its row is there already: written by an application, or by an earlier delivery. NULL where
-- the row is gone by now, or is another message's, from which the identifier is taken.
create function take_in_written(brand brand_id, receipt uuid, conversation conversations, external_id text) returns uuid
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      written uuid;
    begin
      select messages.id into written
      from public.messages
      where messages.brand_id = brand
        and messages.conversation_id = conversation.id
        and messages.external_id = take_in_written.external_id
        and messages.direction = 'inbound'
      for key share;
      if not found then
        select messages.id into written
        from public.messages
        where messages.brand_id = brand and messages.id = receipt
        for key share;
      elsif written <> receipt and (
        exists (
          select
          from public.inbound_receipts as receipts
          where receipts.brand_id = brand
            and receipts.phone = conversation.customer_phone_e164
            and receipts.sender = conversation.brand_sender
            and receipts.id = written
        )
        or exists (
          select
          from public.consent_events as events
          where events.brand_id = brand and events.message_id = written
        )
      ) then
        update public.messages
        set external_id = null
        where messages.brand_id = brand and messages.id = written;
        return null;
      end if;
      update public.messages
      set status = 'delivered'
      where messages.brand_id = brand
        and messages.id = written
        and (messages.status is null or percytech.delivery_rank(messages.status::text) < percytech.delivery_rank('delivered'));
      update public.inbound_receipts as receipts
      set id = written
      where receipts.brand_id = brand
        and receipts.phone = conversation.customer_phone_e164
        and receipts.sender = conversation.brand_sender
        and receipts.external_id = take_in_written.external_id
        and receipts.id <> written;
      return written;
    end
  $$;

-- What a reply asks for, done and recorded.
create function heed_reply(event consent_events, recipient recipients, conversation conversations) returns consent_events
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if event.kind = 'opt_out' then
        -- The policy that was in force when it was said; what answers no campaign is of the brand.
        select policies.scope into event.scope
        from public.opt_out_policies as policies
        where policies.brand_id = event.brand_id and policies.effective_from <= event.occurred_at
        order by policies.effective_from desc
        limit 1;
        -- Where it is not clear which campaign is meant, all are.
        if event.scope = 'campaign' and conversation.campaign_id is not null and not exists (
          select
          from public.conversations
          where conversations.brand_id = event.brand_id
            and conversations.customer_phone_e164 = event.phone
            and conversations.brand_sender = conversation.brand_sender
            and conversations.campaign_id is distinct from conversation.campaign_id
        ) then
          event.campaign_id := conversation.campaign_id;
        else
          event.scope := 'brand';
        end if;
        return public.opt_out_number(event, recipient);
      elsif event.kind = 'opt_in' then
        return public.opt_in_number(event, recipient);
      end if;

      event.outcome := 'applied';
      event.recorded_at := clock_timestamp();
      if not exists (
        select
        from public.opt_outs
        where opt_outs.brand_id = event.brand_id
          and opt_outs.phone = event.phone
          and (opt_outs.scope = 'brand' or opt_outs.campaign_id = conversation.campaign_id)
      ) then
        event := public.queue_reply(event);
      end if;
      insert into public.consent_events values (event.*);
      return event;
    end
  $$;

-- This is called for each message that comes in, so that its usual path is short: six statements, and no function of ours
-- that is not needed.
create function process_inbound_message(
  from_phone text,
  to_phone text,
  body text,
  external_id text,
  received_at timestamptz default now(),
  media_urls text[] default null
) returns jsonb
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    #variable_conflict use_column
    declare
      previous constant text := coalesce(current_setting('app.current_brand', true), '');
      customer_number constant text := percytech.normalize_phone(from_phone);
      brand_number constant text := percytech.normalize_sender(to_phone);
      said_at timestamptz;
      provider_id constant text := nullif(external_id, '');
      brand public.brand_id := percytech.current_brand();
      recipient public.recipients;
      conversation public.conversations;
      inbound_id uuid := gen_random_uuid();
      is_duplicate boolean := false;
      written uuid;
      is_new boolean := true;
      decision record;
      event public.consent_events;
      answer jsonb;
    begin
      if customer_number is null then
        perform public.require_phone(from_phone);
      elsif not isfinite(received_at) then
        raise exception 'no message is received at %', received_at using errcode = '22023', hint = 'Say a time.';
      elsif length(provider_id) > 255 then
        raise exception 'an external_id has at most 255 characters'
          using errcode = '22023', detail = format('This one has %s.', length(provider_id));
      end if;
      perform
      from public.brand_phone_numbers as numbers
      where numbers.brand_id = brand and numbers.phone = brand_number;
      if not found then
        brand := public.enter_brand_of_sender(coalesce(brand_number, to_phone));
      end if;

      -- Whoever hears from this number, changes its consent or claims a message to it is first, or waits here.
      select recipients.* into recipient
      from public.recipients
      where recipients.brand_id = brand and recipients.phone = customer_number
      for no key update;
      if not found then
        recipient := public.lock_recipient(brand, customer_number);
      end if;

      -- Without a time it is said now: after all that is recorded of the number, however long ago the transaction began. A
      -- provider's clock may be ahead of ours; what is said is not said later than now.
      said_at := case
        when received_at is null or received_at = now() then clock_timestamp()
        else least(received_at, clock_timestamp())
      end;

      if provider_id is not null then
        insert into public.inbound_receipts (id, brand_id, phone, sender, external_id)
        values (inbound_id, brand, customer_number, brand_number, provider_id)
        on conflict do nothing;
        if not found then
          select receipts.id into inbound_id
          from public.inbound_receipts as receipts
          where receipts.brand_id = brand
            and receipts.phone = customer_number
            and receipts.sender = brand_number
            and receipts.external_id = provider_id;
          -- A provider can use an identifier twice: an opt-out that the ledger does not have yet is heeded all the same.
          is_duplicate := exists (
              select
              from public.consent_events as events
              where events.brand_id = brand
                and events.message_id = inbound_id
                and events.kind = 'opt_out'
                and events.source = 'reply'
            )
            or (select replies.intent from percytech.classify_reply(body) as replies) <> 'opt_out';
        end if;
      end if;

      if is_duplicate then
        answer := public.answer_of_duplicate(brand, inbound_id, customer_number, brand_number);
      else
        select conversations.* into conversation
        from public.conversations
        where conversations.brand_id = brand
          and conversations.customer_phone_e164 = customer_number
          and conversations.brand_sender = brand_number
        order by conversations.created_at, conversations.id
        limit 1
        for key share;
        if not found then
          conversation := public.open_conversation(brand, customer_number, brand_number);
        end if;

        perform set_config('percytech.counting', 'by hand', true);
        loop
          insert into public.messages (
            id, brand_id, conversation_id, direction, content, media_urls, status, external_id, sent_at, delivered_at
          )
          values (
            inbound_id, brand, conversation.id, 'inbound', coalesce(body, ''), media_urls, 'delivered', provider_id, said_at,
            said_at
          )
          on conflict do nothing;
          exit when found;
          -- There is a row already, which was counted.
          written := public.take_in_written(brand, inbound_id, conversation, provider_id);
          if written is not null then
            is_new := false;
            inbound_id := written;
            exit;
          end if;
        end loop;
        perform set_config('percytech.counting', '', true);
        if conversation.customer_id is null then
          conversation.customer_id := public.customer_of(brand, customer_number);
        end if;
        select replies.* into decision from percytech.classify_reply(body) as replies;
        -- A yes answers whatever was asked, unless the number has opted out.
        if decision.rule = 'carrier-yes' and not exists (
          select
          from public.opt_outs
          where opt_outs.brand_id = brand
            and opt_outs.phone = customer_number
            and (opt_outs.scope = 'brand' or opt_outs.campaign_id = conversation.campaign_id)
        ) then
          decision.intent := 'none';
        end if;
        if decision.intent <> 'none' then
          event.id := gen_random_uuid();
          event.brand_id := brand;
          event.phone := customer_number;
          event.kind := decision.intent;
          event.source := 'reply';
          event.reason := format('replied "%s"', left(decision.keyword, 63));
          event.actor := percytech.current_actor();
          event.customer_id := conversation.customer_id;
          event.conversation_id := conversation.id;
          event.message_id := inbound_id;
          event.message := coalesce(body, '');
          event.rule := decision.rule;
          event.rule_version := percytech.reply_rules_version();
          event.keyword := left(decision.keyword, 255);
          event.language := decision.language;
          event.occurred_at := said_at;
          event := public.heed_reply(event, recipient, conversation);
        end if;
        -- One more in its conversation, which wakes up if it was archived for being inactive. This comes last: an opt-out
        -- locks the conversations of its number in their order.
        update public.conversations
        set
          customer_id = coalesce(conversations.customer_id, conversation.customer_id),
          message_count = least(conversations.message_count::bigint + is_new::integer, 2147483647),
          last_message_at = case when is_new then greatest(conversations.last_message_at, said_at) else conversations.last_message_at end,
          last_inbound_at = case when is_new then greatest(conversations.last_inbound_at, said_at) else conversations.last_inbound_at end,
          status = case
            when conversations.status = 'archived' and conversations.opted_out_at is null then 'active'
            else conversations.status
          end
        where conversations.brand_id = brand and conversations.id = conversation.id;
        answer := jsonb_build_object(
          'message_id', inbound_id,
          'conversation_id', conversation.id,
          'customer_id', conversation.customer_id,
          'intent', decision.intent,
          'rule', event.rule,
          'reply', event.reply,
          'duplicate', false
        );
      end if;
      if current_setting('app.current_brand', true) <> previous then
        perform public.leave_brand_context(previous);
      end if;
      return answer;
    end
  $$;

comment on function enter_brand_of_sender(text) is
  'Makes the brand that a number is of the context, among those that the caller may act as; PT404 where it is none of theirs.';
comment on function customer_of(brand_id, text) is 'The customer whose number it is; NULL where it is nobody''s.';
comment on function open_conversation(brand_id, text, text) is 'Opens a conversation of a number with a brand''s number.';
comment on function answer_of_duplicate(brand_id, uuid, text, text) is
  'What process_inbound_message says of a message that it has taken in before.';
comment on function take_in_written(brand_id, uuid, conversations, text) is
  'Finds the message whose row was written before it was taken in, and gives its receipt its id.';
comment on function heed_reply(consent_events, recipients, conversations) is
  'Does what a reply asks for, and records it.';
comment on function process_inbound_message(text, text, text, text, timestamptz, text[]) is
  'Takes in a message to a brand''s number: stores it, understands it, and does what it asks for. Returns message_id, conversation_id, customer_id, intent, rule, the reply that was queued, and whether it was a duplicate, which changes nothing. PT404 where the number is of no brand that the caller may act as, 22023 where from_phone is no number.';

do $$
declare
  callee text;
  grantee text;
begin
  foreach callee in array array[
    'enter_brand_of_sender(text)',
    'customer_of(brand_id, text)',
    'open_conversation(brand_id, text, text)',
    'answer_of_duplicate(brand_id, uuid, text, text)',
    'take_in_written(brand_id, uuid, conversations, text)',
    'heed_reply(consent_events, recipients, conversations)',
    'process_inbound_message(text, text, text, text, timestamptz, text[])'
  ] loop
    execute format('revoke all on function %s from public', callee);
  end loop;
  foreach grantee in array array['percytech_app', 'authenticated', 'service_role'] loop
    if to_regrole(grantee) is not null then
      execute format(
        'grant execute on function process_inbound_message(text, text, text, text, timestamptz, text[]) to %I',
        grantee
      );
    end if;
  end loop;
end
$$;

-- rollback

drop function process_inbound_message(text, text, text, text, timestamptz, text[]);
drop function heed_reply(consent_events, recipients, conversations);
drop function take_in_written(brand_id, uuid, conversations, text);
drop function answer_of_duplicate(brand_id, uuid, text, text);
drop function open_conversation(brand_id, text, text);
drop function customer_of(brand_id, text);
drop function enter_brand_of_sender(text);
drop table inbound_receipts;
