-- What goes out: queued, claimed by a worker that may send it then and there, and followed until the provider has said all.

-- Runs as its caller, who may write messages. It locks no number, so that a campaign that is queued keeps nobody from
-- opting out: what is queued is held to the suppression list when it is claimed.
create function queue_message(
  conversation_id uuid,
  content text,
  media_urls text[] default null,
  due_at timestamptz default now(),
  metadata jsonb default null
) returns messages
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      conversation public.conversations;
      message public.messages;
    begin
      if coalesce(content, '') = '' and coalesce(cardinality(media_urls), 0) = 0 then
        raise exception 'the message is empty' using errcode = '22023', hint = 'Say content, or media_urls.';
      elsif not isfinite(due_at) then
        raise exception 'no message is due at %', due_at using errcode = '22023', hint = 'Say a time.';
      end if;
      select conversations.* into conversation
      from public.conversations
      where conversations.brand_id = brand and conversations.id = queue_message.conversation_id;
      if not found then
        raise exception 'there is no conversation %', coalesce(conversation_id::text, 'NULL')
          using errcode = 'PT404', hint = 'Look for the conversation in the brand that is in context.';
      elsif conversation.customer_phone_e164 is null then
        raise exception 'the conversation''s "%" is no telephone number', conversation.customer_phone
          using errcode = '22023', hint = 'Write customer_phone with its country code.';
      elsif exists (
        select
        from public.opt_outs
        where opt_outs.brand_id = brand
          and opt_outs.phone = conversation.customer_phone_e164
          and (opt_outs.scope = 'brand' or opt_outs.campaign_id = conversation.campaign_id)
      ) then
        raise exception 'the number has opted out'
          using errcode = 'PT409', hint = 'It may be written to when it has opted in again: see opt_outs.';
      end if;
      insert into public.messages (brand_id, conversation_id, direction, content, media_urls, status, due_at, metadata)
      values (
        brand, conversation.id, 'outbound', coalesce(content, ''), media_urls, 'pending', coalesce(queue_message.due_at, now()),
        queue_message.metadata
      )
      returning messages.* into message;
      return message;
    end
  $$;

-- What becomes of messages that are due, whose numbers' rows are locked: 'claim', or why not. The confirmation of an
-- opt-out, and it alone, passes for a number that has opted out: once, and within five minutes. What applications can write
-- is not relied on: a reply is one that the ledger has, to the number that it was for, with the words of the ledger.
create function judge_messages(brand brand_id, candidates uuid[], phones text[])
  returns table (message_id uuid, verdict text, opens_at timestamptz, phone text, kind text, content text, is_reply boolean)
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      moment constant timestamptz := clock_timestamp();
    begin
      return query
        select
          messages.id,
          case
            when events.kind = 'opt_out' then
              case
                when confirmed.opted_out_at is null then 'opted_out'
                -- Since it was said: what is said later does not make it younger.
                when events.occurred_at + interval '5 minutes' <= moment then 'expired'
                else 'claim'
              end
            when exists (
              select
              from public.opt_outs
              where opt_outs.brand_id = brand
                and opt_outs.phone = conversations.customer_phone_e164
                and (opt_outs.scope = 'brand' or opt_outs.campaign_id = conversations.campaign_id)
            ) then 'opted_out'
            -- What was queued before an opt-out does not outlive it, though an opt-in ended it, and though somebody held the
            -- message when the opt-out took the others out of the queue.
            when events.kind is null and exists (
              select
              from public.consent_events as said
              where said.brand_id = brand
                and said.phone = conversations.customer_phone_e164
                and said.kind = 'opt_out'
                and said.outcome = 'applied'
                and said.recorded_at >= messages.created_at
                and (said.scope = 'brand' or said.campaign_id = conversations.campaign_id)
            ) then 'opted_out'
            when messages.kind <> 'message' and events.kind is null then 'number_changed'
            -- Who has just asked is answered, at night too.
            when (events.kind is null or events.occurred_at < moment - interval '15 minutes')
              and openings.opening is distinct from moment then 'later'
            when events.kind is null and conversations.status <> 'active' then 'later'
            else 'claim'
          end,
          case
            when openings.opening is distinct from moment then openings.opening
            else moment + interval '5 minutes'
          end,
          conversations.customer_phone_e164,
          coalesce(events.kind, messages.kind),
          coalesce(events.reply, messages.content),
          events.kind is not null
        from public.messages
        join public.conversations
          on conversations.brand_id = brand and conversations.id = messages.conversation_id
        join (
          select numbers.number, public.sending_opens_at(brand, numbers.number, moment) as opening
          from unnest(phones) as numbers (number)
        ) as openings on openings.number = conversations.customer_phone_e164
        left join public.consent_events as events
          on events.brand_id = brand
          and events.phone = conversations.customer_phone_e164
          and events.reply_message_id = messages.id
        left join public.opt_outs as confirmed
          on confirmed.brand_id = brand
          and confirmed.phone = conversations.customer_phone_e164
          and confirmed.confirmation_message_id = messages.id
          and confirmed.confirmation_claimed_at is null
        where messages.brand_id = brand and messages.id = any (candidates);
    end
  $$;

create function claim_outbound(batch integer default 100, worker text default null)
  returns table (
    message_id uuid,
    conversation_id uuid,
    kind text,
    from_phone text,
    to_phone text,
    content text,
    media_urls text[],
    metadata jsonb
  )
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      begun_at constant timestamptz := clock_timestamp();
      claimant constant text := coalesce(nullif(worker, ''), percytech.current_actor());
      due record;
      last_due_at timestamptz := '-infinity';
      last_id uuid;
      phones text[];
      candidates uuid[];
      moved integer;
      claimed integer := 0;
      examined integer := 0;
      kinds text[] := '{opt_out,opt_in,help}';
    begin
      if batch is null or batch not between 1 and 10000 then
        raise exception 'a batch is of 1 to 10000 messages'
          using errcode = '22023', detail = format('This one is of %s.', coalesce(batch::text, 'NULL'));
      end if;

      -- What is not to be sent now is put off or taken out on the way, which takes time, while nobody of whom it is can opt
      -- out: there is an end to it, in messages and in time.
      -- What answers somebody goes first: a confirmation does not wait behind a campaign.
      while claimed < batch
        and examined < least(10 * batch, batch + 1000)
        and clock_timestamp() < begun_at + interval '2 seconds'
      loop
        -- What is due next. Nothing is locked yet, and nothing is decided.
        select
          array_agg(nexts.id order by nexts.due_at, nexts.id) as ids,
          max(nexts.due_at) as due_at,
          (array_agg(nexts.id order by nexts.due_at desc, nexts.id desc))[1] as id,
          array_agg(distinct nexts.phone) filter (where nexts.phone is not null) as phones,
          count(*) as messages
        into due
        from (
          select messages.id, messages.due_at, conversations.customer_phone_e164 as phone
          from public.messages
          join public.conversations
            on conversations.brand_id = brand and conversations.id = messages.conversation_id
          where messages.brand_id = brand
            and messages.due_at <= clock_timestamp()
            and messages.due_at >= last_due_at
            and (last_id is null or (messages.due_at, messages.id) > (last_due_at, last_id))
            and messages.claimed_at is null
            and messages.cancelled_at is null
            and messages.status = 'pending'
            and messages.kind = any (kinds)
            -- What is queued in a conversation that is paused waits there.
            and (messages.kind <> 'message' or conversations.status = 'active' or conversations.opted_out_at is not null)
          order by messages.due_at, messages.id
          limit least(batch - claimed, 500)
        ) as nexts;
        if due.messages = 0 then
          exit when kinds = '{message}';
          kinds := '{message}';
          last_due_at := '-infinity';
          last_id := null;
          continue;
        end if;
        last_due_at := due.due_at;
        last_id := due.id;

        -- First the numbers, as an opt-out does: who is opting out right now is passed over, and so is whom another worker is
        -- writing to. No opt-out commits while the lock is held.
        insert into public.recipients (brand_id, phone)
        select brand, numbers.number
        from unnest(due.phones) as numbers (number)
        where not exists (
          select from public.recipients where recipients.brand_id = brand and recipients.phone = numbers.number
        )
        order by numbers.number
        on conflict do nothing;
        select array_agg(locked.phone) into phones
        from (
          select recipients.phone
          from public.recipients
          where recipients.brand_id = brand and recipients.phone = any (due.phones)
          order by recipients.phone
          for no key update skip locked
        ) as locked;

        -- Then their messages: what somebody is changing is passed over.
        select array_agg(locked.id) into candidates
        from (
          select messages.id
          from public.messages
          where messages.brand_id = brand
            and messages.id = any (
              array(
                select messages.id
                from public.messages
                join public.conversations
                  on conversations.brand_id = brand and conversations.id = messages.conversation_id
                where messages.brand_id = brand
                  and messages.id = any (due.ids)
                  and (conversations.customer_phone_e164 = any (phones) or conversations.customer_phone_e164 is null)
              )
            )
            and messages.due_at is not null
            and messages.claimed_at is null
            and messages.cancelled_at is null
            and messages.status = 'pending'
          order by messages.id
          for update skip locked
        ) as locked;

        examined := examined + coalesce(cardinality(candidates), 0);

        -- Now it is decided: a statement of its own, which sees every opt-out that was committed before the locks.
        return query
          with judged as materialized (
            select * from public.judge_messages(brand, candidates, phones)
          ),
          postponed as (
            update public.messages
            set due_at = coalesce(judged.opens_at, clock_timestamp() + interval '1 day')
            from judged
            where messages.brand_id = brand and messages.id = judged.message_id and judged.verdict = 'later'
          ),
          cancelled as (
            update public.messages
            set status = 'failed', cancelled_at = clock_timestamp(), cancel_reason = judged.verdict
            from judged
            where messages.brand_id = brand
              and messages.id = judged.message_id
              and judged.verdict in ('opted_out', 'expired', 'number_changed')
          ),
          confirmed as (
            update public.opt_outs
            set confirmation_claimed_at = clock_timestamp()
            from judged
            where opt_outs.brand_id = brand
              and opt_outs.confirmation_message_id = judged.message_id
              and judged.verdict = 'claim'
          ),
          claims as (
            update public.messages
            set claimed_at = clock_timestamp(), claimed_by = claimant, to_phone = judged.phone
            from judged, public.conversations
            where judged.verdict = 'claim'
              and messages.brand_id = brand
              and messages.id = judged.message_id
              and conversations.brand_id = brand
              and conversations.id = messages.conversation_id
            returning
              messages.id,
              messages.conversation_id,
              judged.kind,
              coalesce(conversations.brand_sender, conversations.brand_phone) as from_phone,
              messages.to_phone,
              judged.content,
              -- A reply is the ledger's words, and nothing with them.
              case when not judged.is_reply then messages.media_urls end as media_urls,
              case when not judged.is_reply then messages.metadata end as metadata,
              messages.due_at
          )
          select
            claims.id, claims.conversation_id, claims.kind, claims.from_phone, claims.to_phone, claims.content,
            claims.media_urls, claims.metadata
          from claims
          order by claims.due_at, claims.id;
        get diagnostics moved = row_count;
        claimed := claimed + moved;

        -- What has no number can be sent to nobody.
        update public.messages
        set status = 'failed', cancelled_at = clock_timestamp(), cancel_reason = 'invalid_number'
        from public.conversations
        where messages.brand_id = brand
          and messages.id = any (candidates)
          and messages.claimed_at is null
          and messages.cancelled_at is null
          and conversations.brand_id = brand
          and conversations.id = messages.conversation_id
          and conversations.customer_phone_e164 is null;
      end loop;
    end
  $$;

-- Makes the brand the context of whose messages one has an identifier, among those that the caller may act as: the one in
-- context, where there is one.
create function enter_brand_of_message(provider_id text) returns brand_id
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      current constant text := percytech.current_brand();
      brand text;
    begin
      if current is not null then
        return current;
      end if;
      foreach brand in array percytech.allowed_brands() loop
        perform percytech.set_brand_context(brand);
        if exists (
          select
          from public.messages
          where messages.brand_id = brand::public.brand_id and messages.external_id = provider_id
        ) then
          return brand;
        end if;
      end loop;
      raise exception 'no brand that you may act as has a message with the external_id "%"', left(provider_id, 63)
        using errcode = 'PT404', hint = 'Set the brand in context: then the callback is kept until the message is known.';
    end
  $$;

-- Brings a message to what all callbacks of its identifier say together. Whoever does so for an identifier queues up.
create function apply_delivery_events(brand brand_id, provider_id text) returns message_status
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      said record;
      result public.message_status;
    begin
      select
        (array_agg(events.status order by percytech.delivery_rank(events.status::text) desc))[1] as status,
        min(events.occurred_at) as first_at,
        min(events.occurred_at) filter (where events.status = 'delivered') as delivered_at
      into said
      from public.message_delivery_events as events
      where events.brand_id = brand and events.external_id = provider_id;
      update public.messages
      set
        status = said.status,
        sent_at = case when messages.status = 'pending' and messages.claimed_at is not null then said.first_at else messages.sent_at end
      where messages.brand_id = brand
        and messages.external_id = provider_id
        and messages.direction = 'outbound'
        and coalesce(percytech.delivery_rank(messages.status::text), -1) < percytech.delivery_rank(said.status::text);
      update public.messages
      set delivered_at = said.delivered_at
      where messages.brand_id = brand
        and messages.external_id = provider_id
        and messages.direction = 'outbound'
        and messages.delivered_at is distinct from said.delivered_at
        and said.delivered_at is not null;
      select messages.status into result
      from public.messages
      where messages.brand_id = brand and messages.external_id = provider_id and messages.direction = 'outbound';
      return result;
    end
  $$;

-- A number that has opted out with the provider, as a callback of one of its messages says, has opted out.
create function heed_provider(brand brand_id, message uuid, occurred_at timestamptz, error_code text) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      sent record;
      recipient public.recipients;
      event public.consent_events;
    begin
      select
        messages.id,
        messages.conversation_id,
        conversations.customer_id,
        -- Applications can write what they like in to_phone.
        case
          when percytech.normalize_phone(messages.to_phone) = messages.to_phone then messages.to_phone
          else conversations.customer_phone_e164
        end as phone
      into sent
      from public.messages
      join public.conversations
        on conversations.brand_id = brand and conversations.id = messages.conversation_id
      where messages.brand_id = brand and messages.id = heed_provider.message and messages.direction = 'outbound';
      if sent.phone is null then
        return;
      end if;
      recipient := public.lock_recipient(brand, sent.phone);
      -- A message is refused once. Who says so again says nothing new: the number may have opted in since.
      if exists (
        select
        from public.consent_events as events
        where events.brand_id = brand
          and events.message_id = sent.id
          and events.kind = 'opt_out'
          and events.source = 'provider'
      ) then
        return;
      end if;
      event.id := gen_random_uuid();
      event.brand_id := brand;
      event.phone := sent.phone;
      event.kind := 'opt_out';
      event.scope := 'brand';
      event.source := 'provider';
      event.reason := format('opted out elsewhere: provider error %s', error_code);
      event.actor := percytech.current_actor();
      event.customer_id := sent.customer_id;
      event.conversation_id := sent.conversation_id;
      event.message_id := sent.id;
      event.occurred_at := least(occurred_at, clock_timestamp());
      perform public.opt_out_number(event, recipient);
    end
  $$;

create function record_sent(message_id uuid, external_id text, sent_at timestamptz default now()) returns message_status
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      provider_id constant text := external_id;
      message public.messages;
      blocked record;
    begin
      if provider_id is null or length(provider_id) not between 1 and 255 then
        raise exception 'an external_id has 1 to 255 characters' using errcode = '22023', hint = 'Say the provider''s identifier.';
      elsif sent_at is null or not isfinite(sent_at) then
        raise exception 'no message is sent at %', coalesce(sent_at::text, 'NULL') using errcode = '22023', hint = 'Say a time.';
      end if;
      perform pg_advisory_xact_lock(hashtextextended('message ' || brand::text || ' ' || provider_id, 0));
      -- The number comes before the message, as it does for an opt-out.
      perform public.lock_recipient(brand, conversations.customer_phone_e164)
      from public.messages
      join public.conversations
        on conversations.brand_id = brand and conversations.id = messages.conversation_id
      where messages.brand_id = brand and messages.id = message_id and conversations.customer_phone_e164 is not null;
      select messages.* into message
      from public.messages
      where messages.brand_id = brand and messages.id = message_id and messages.direction = 'outbound'
      for no key update;
      if not found then
        raise exception 'there is no outbound message %', coalesce(message_id::text, 'NULL')
          using errcode = 'PT404', hint = 'Look for the message in the brand that is in context.';
      elsif message.external_id <> provider_id then
        raise exception 'the message was sent as "%"', message.external_id
          using errcode = 'PT409', hint = 'A message is sent once; queue another one to send it again.';
      elsif message.due_at is not null and message.claimed_at is null then
        raise exception 'the message was not claimed' using errcode = 'PT409', hint = 'Send what claim_outbound returns, and nothing else.';
      elsif message.external_id is null then
        if exists (
          select
          from public.messages
          where messages.brand_id = brand and messages.external_id = provider_id and messages.direction = 'outbound'
        ) then
          raise exception 'another message was sent as "%"', left(provider_id, 63)
            using errcode = 'PT409', hint = 'The provider gives each message an identifier of its own.';
        end if;
      end if;
      -- Callbacks may have been quicker. An opt-out takes messages out of the queue before it comes to the conversations, and
      -- so before this message is counted there.
      select events.occurred_at, events.error_code into blocked
      from public.message_delivery_events as events
      where events.brand_id = brand and events.external_id = provider_id and percytech.is_provider_opt_out(events.error_code)
      order by events.occurred_at desc
      limit 1;
      if found then
        perform public.heed_provider(brand, message.id, blocked.occurred_at, blocked.error_code);
      end if;
      if message.external_id is null then
        update public.messages
        set
          external_id = provider_id,
          sent_at = least(record_sent.sent_at, clock_timestamp()),
          status = case when messages.status is null or messages.status = 'pending' then 'sent' else messages.status end
        where messages.brand_id = brand and messages.id = message.id;
      end if;
      perform public.apply_delivery_events(brand, provider_id);
      return (select messages.status from public.messages where messages.brand_id = brand and messages.id = message.id);
    end
  $$;

create function record_delivery_status(
  external_id text,
  status message_status,
  occurred_at timestamptz,
  error_code text default null
) returns message_status
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      previous constant text := coalesce(current_setting('app.current_brand', true), '');
      provider_id constant text := external_id;
      brand public.brand_id;
      result public.message_status;
    begin
      if provider_id is null or length(provider_id) not between 1 and 255 then
        raise exception 'an external_id has 1 to 255 characters' using errcode = '22023', hint = 'Say the provider''s identifier.';
      elsif status is null or occurred_at is null or not isfinite(occurred_at) then
        raise exception 'a callback has a status and a time'
          using errcode = '22023',
                detail = format('The status is %s, the time is %s.', coalesce(status::text, 'NULL'), coalesce(occurred_at::text, 'NULL'));
      elsif length(error_code) > 63 then
        raise exception 'an error_code has at most 63 characters' using errcode = '22023';
      end if;
      brand := public.enter_brand_of_message(provider_id);
      perform pg_advisory_xact_lock(hashtextextended('message ' || brand::text || ' ' || provider_id, 0));
      insert into public.message_delivery_events (brand_id, external_id, status, error_code, occurred_at)
      values (brand, provider_id, record_delivery_status.status, nullif(record_delivery_status.error_code, ''), record_delivery_status.occurred_at);

      if percytech.is_provider_opt_out(error_code) then
        perform public.heed_provider(brand, messages.id, record_delivery_status.occurred_at, record_delivery_status.error_code)
        from public.messages
        where messages.brand_id = brand and messages.external_id = provider_id and messages.direction = 'outbound';
      end if;
      result := public.apply_delivery_events(brand, provider_id);
      if coalesce(current_setting('app.current_brand', true), '') <> previous then
        perform public.leave_brand_context(previous);
      end if;
      return result;
    end
  $$;

-- A provider that refuses a message at once gives it no identifier: it has its own.
create function record_failed(message_id uuid, error_code text default null, occurred_at timestamptz default now())
  returns message_status
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      perform percytech.require_brand();
      -- The callback is kept before the message is looked at, so that an opt-out comes before the count.
      perform public.record_delivery_status(message_id::text, 'failed', occurred_at, error_code);
      return public.record_sent(message_id, message_id::text, occurred_at);
    end
  $$;

comment on function record_failed(uuid, text, timestamptz) is
  'Notes that the provider refused a message that was claimed, and returns its status. A block for an opt-out (Twilio 21610, Telnyx 40300) opts the number out.';
comment on function queue_message(uuid, text, text[], timestamptz, jsonb) is
  'Queues a message of a conversation, and returns it. PT404 where there is no such conversation, PT409 where its number has opted out.';
comment on function judge_messages(brand_id, uuid[], text[]) is
  'What becomes of messages whose numbers are locked: claim, or why not.';
comment on function claim_outbound(integer, text) is
  'Takes the next messages out of the queue, to be sent as soon as this is committed: at most batch, none to a number that has opted out or is not to be disturbed now. Each is given out once. Ten times the batch is looked at, a thousand more at most, and for two seconds: call again while there may be more.';
comment on function enter_brand_of_message(text) is
  'Makes the brand of a message the context, where there is none; PT404 where it is none of the caller''s.';
comment on function apply_delivery_events(brand_id, text) is
  'Brings a message to what all callbacks of its identifier say together, and returns its status.';
comment on function heed_provider(brand_id, uuid, timestamptz, text) is
  'Opts the number of a message out, since the provider says that it has opted out there.';
comment on function record_sent(uuid, text, timestamptz) is
  'Notes the provider''s identifier of a message that was claimed and handed over, and returns its status, by the callbacks that were quicker. PT404 where there is no such message, PT409 where it has another identifier or was not claimed.';
comment on function record_delivery_status(text, message_status, timestamptz, text) is
  'Keeps a provider''s callback, and returns the status of the message, which never goes back; NULL while the message is not known. A provider''s block for an opt-out (Twilio 21610, Telnyx 40300) opts the number out.';

do $$
declare
  callee text;
  grantee text;
begin
  foreach callee in array array[
    'judge_messages(brand_id, uuid[], text[])', 'enter_brand_of_message(text)', 'apply_delivery_events(brand_id, text)',
    'heed_provider(brand_id, uuid, timestamptz, text)'
  ] loop
    execute format('revoke all on function %s from public', callee);
  end loop;
  foreach callee in array array[
    'queue_message(uuid, text, text[], timestamptz, jsonb)',
    'claim_outbound(integer, text)',
    'record_sent(uuid, text, timestamptz)',
    'record_failed(uuid, text, timestamptz)',
    'record_delivery_status(text, message_status, timestamptz, text)'
  ] loop
    execute format('revoke all on function %s from public', callee);
    foreach grantee in array array['percytech_app', 'authenticated', 'service_role'] loop
      if to_regrole(grantee) is not null then
        execute format('grant execute on function %s to %I', callee, grantee);
      end if;
    end loop;
  end loop;
end
$$;

-- rollback

drop function record_delivery_status(text, message_status, timestamptz, text);
drop function record_failed(uuid, text, timestamptz);
drop function record_sent(uuid, text, timestamptz);
drop function heed_provider(brand_id, uuid, timestamptz, text);
drop function apply_delivery_events(brand_id, text);
drop function enter_brand_of_message(text);
drop function claim_outbound(integer, text);
drop function judge_messages(brand_id, uuid[], text[]);
drop function queue_message(uuid, text, text[], timestamptz, jsonb);
