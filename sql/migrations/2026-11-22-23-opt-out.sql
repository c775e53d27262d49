-- Opting out and in. Whoever changes a number's consent locks its row of recipients first; then what follows from it is read
-- and written: the suppression list, the queue, the conversations, and the event that proves it.

create function require_phone(phone text) returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      number constant text := percytech.normalize_phone(phone);
    begin
      if number is null then
        raise exception '% is no telephone number', coalesce('"' || left(phone, 63) || '"', 'NULL')
          using errcode = '22023', hint = 'Write it with its country code, as in +14155552671.';
      end if;
      return number;
    end
  $$;

-- The row of a number, locked until the transaction ends; there is one from now on.
create function lock_recipient(brand brand_id, phone text) returns recipients
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      recipient public.recipients;
    begin
      loop
        select recipients.* into recipient
        from public.recipients
        where recipients.brand_id = brand and recipients.phone = lock_recipient.phone
        for no key update;
        if found then
          return recipient;
        end if;
        insert into public.recipients (brand_id, phone)
        values (brand, phone)
        on conflict do nothing
        returning recipients.* into recipient;
        if found then
          return recipient;
        end if;
      end loop;
    end
  $$;

-- Queues what the brand answers with, and returns the event with it; without a text for it, nothing is answered.
create function queue_reply(event consent_events) returns consent_events
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      select texts.content into event.reply
      from public.reply_texts as texts
      where texts.brand_id = event.brand_id and texts.kind = event.kind and texts.language in (event.language, 'en')
      order by texts.language = event.language desc
      limit 1;
      if event.reply is not null then
        insert into public.messages (brand_id, conversation_id, direction, content, status, kind, due_at)
        values (event.brand_id, event.conversation_id, 'outbound', event.reply, 'pending', event.kind, clock_timestamp())
        returning messages.id into event.reply_message_id;
      end if;
      return event;
    end
  $$;

-- Takes what is queued to a number out of the queue: of a campaign, or all of it. Messages come before conversations, as
-- they do for whoever writes messages, and conversations in the order of their ids, so that nobody waits for one who waits.
-- A message that somebody is changing right now is passed over: an opt-out does not wait for it, and the claim takes it out.
create function cancel_queued(brand brand_id, phone text, campaign uuid) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      update public.messages
      set status = 'failed', cancelled_at = clock_timestamp(), cancel_reason = 'opted_out'
      where messages.brand_id = brand
        and messages.status = 'pending'
        and messages.id = any (
          array(
            select queued.id
            from public.conversations
            join public.messages as queued
              on queued.brand_id = brand and queued.conversation_id = conversations.id
            where conversations.brand_id = brand
              and conversations.customer_phone_e164 = cancel_queued.phone
              and (campaign is null or conversations.campaign_id = campaign)
              and queued.due_at is not null
              and queued.claimed_at is null
              and queued.cancelled_at is null
              and queued.status = 'pending'
            order by queued.id
            for update of queued skip locked
          )
        );
      perform
      from public.conversations
      where conversations.brand_id = brand and conversations.customer_phone_e164 = cancel_queued.phone
      order by conversations.id
      for no key update;
    end
  $$;

-- The opt-out that an event tells of. Its number's row is locked. A reply is answered, if it is not too late for that; who
-- opts out by other means is not written to.
--
-- What was said last counts. Only where the number has asked for messages again by a reply, and that is clearly later by
-- the same clock, is a late opt-out history already; where that is not sure, the opt-out counts.
create function opt_out_number(event consent_events, recipient recipients) returns consent_events
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      event.recorded_at := clock_timestamp();
      event.outcome := 'applied';
      if recipient.opted_in_at > event.occurred_at + interval '1 minute'
        and event.occurred_at > clock_timestamp() - interval '3 days'
        and exists (
          select
          from public.consent_events as events
          where events.brand_id = event.brand_id
            and events.phone = event.phone
            and events.kind = 'opt_in'
            and events.outcome <> 'superseded'
            and events.source = 'reply'
            and events.occurred_at > event.occurred_at + interval '1 minute'
        )
      then
        event.outcome := 'superseded';
        insert into public.consent_events values (event.*);
        return event;
      end if;

      update public.opt_outs
      set opted_out_at = greatest(opt_outs.opted_out_at, event.occurred_at)
      where opt_outs.brand_id = event.brand_id
        and opt_outs.phone = event.phone
        and (opt_outs.scope = 'brand' or opt_outs.campaign_id = event.campaign_id);
      if found then
        event.outcome := 'repeated';
        insert into public.consent_events values (event.*);
        return event;
      end if;

      update public.recipients
      set
        consent_changed_at = clock_timestamp(),
        opted_in_at = case when event.scope = 'campaign' then recipients.opted_in_at end
      where recipients.brand_id = event.brand_id and recipients.phone = event.phone;
      perform public.cancel_queued(event.brand_id, event.phone, event.campaign_id);
      if event.source = 'reply' and event.occurred_at > clock_timestamp() - interval '5 minutes' then
        event := public.queue_reply(event);
      end if;
      insert into public.consent_events values (event.*);
      insert into public.opt_outs (
        brand_id, phone, scope, campaign_id, opted_out_at, reason, source, event_id, confirmation_message_id
      )
      values (
        event.brand_id, event.phone, event.scope, event.campaign_id, event.occurred_at, event.reason, event.source, event.id,
        event.reply_message_id
      );
      update public.conversations
      set
        status_before_opt_out = case
          when conversations.opted_out_at is not null and conversations.status = 'archived'
          then conversations.status_before_opt_out
          else conversations.status
        end,
        status = 'archived',
        opted_out_at = event.occurred_at,
        opt_out_reason = coalesce(event.reason, event.source)
      where conversations.brand_id = event.brand_id
        and conversations.customer_phone_e164 = event.phone
        and (event.scope = 'brand' or conversations.campaign_id = event.campaign_id)
        -- An application can write opted_out_at: that alone is no opt-out.
        and (
          conversations.opted_out_at is null
          or conversations.status <> 'archived'
          or not exists (
            select
            from public.opt_outs
            where opt_outs.brand_id = event.brand_id
              and opt_outs.phone = event.phone
              and opt_outs.event_id <> event.id
              and (opt_outs.scope = 'brand' or opt_outs.campaign_id = conversations.campaign_id)
          )
        );
      return event;
    end
  $$;

-- The opt-in that an event tells of: it ends every opt-out of the number that was said before it.
create function opt_in_number(event consent_events, recipient recipients) returns consent_events
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      last_opt_out constant timestamptz := (
        select max(opt_outs.opted_out_at)
        from public.opt_outs
        where opt_outs.brand_id = event.brand_id and opt_outs.phone = event.phone
      );
    begin
      event.recorded_at := clock_timestamp();
      event.outcome := case
        when last_opt_out >= event.occurred_at then 'superseded'
        when last_opt_out is null and recipient.opted_in_at is not null then 'repeated'
        else 'applied'
      end;
      if event.outcome <> 'superseded' then
        update public.recipients
        set
          consent_changed_at = clock_timestamp(),
          opted_in_at = greatest(recipients.opted_in_at, event.occurred_at)
        where recipients.brand_id = event.brand_id and recipients.phone = event.phone;
      end if;
      if event.outcome = 'applied' then
        -- A confirmation that nobody has claimed yet would come after the opt-in.
        update public.messages
        set status = 'failed', cancelled_at = clock_timestamp(), cancel_reason = 'opted_in'
        where messages.brand_id = event.brand_id
          and messages.id = any (
            array(
              select opt_outs.confirmation_message_id
              from public.opt_outs
              where opt_outs.brand_id = event.brand_id and opt_outs.phone = event.phone
            )
          )
          and messages.status = 'pending'
          and messages.claimed_at is null
          and messages.cancelled_at is null;
        delete from public.opt_outs where opt_outs.brand_id = event.brand_id and opt_outs.phone = event.phone;

        perform
        from public.conversations
        where conversations.brand_id = event.brand_id and conversations.customer_phone_e164 = event.phone
        order by conversations.id
        for no key update;
        update public.conversations
        set
          status = case
            when conversations.status = 'archived' then coalesce(conversations.status_before_opt_out, 'active')
            else conversations.status
          end,
          status_before_opt_out = null,
          opted_out_at = null,
          opt_out_reason = null
        where conversations.brand_id = event.brand_id
          and conversations.customer_phone_e164 = event.phone
          and conversations.opted_out_at is not null;
        if event.source = 'reply' then
          event := public.queue_reply(event);
        end if;
      end if;
      insert into public.consent_events values (event.*);
      return event;
    end
  $$;

-- An event of somebody who says by other means than a reply that a number wants, or does not want, to be written to.
create function said_of_number(brand brand_id, kind text, phone text, reason text, source text) returns consent_events
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      event public.consent_events;
    begin
      if source is null or length(source) not between 1 and 63 or lower(btrim(source)) = 'reply' then
        raise exception 'a source has 1 to 63 characters, and is not reply'
          using errcode = '22023',
                detail = 'A reply is what process_inbound_message has read.',
                hint = 'Say how it was said: phone, email, web, in person.';
      elsif length(reason) > 10000 then
        raise exception 'a reason has at most 10000 characters'
          using errcode = '22023', detail = format('This one has %s.', length(reason));
      end if;
      event.id := gen_random_uuid();
      event.brand_id := brand;
      event.phone := phone;
      event.kind := kind;
      event.source := source;
      event.reason := reason;
      event.actor := percytech.current_actor();
      -- It is said now: after all that is recorded, since the number's row is locked.
      event.occurred_at := clock_timestamp();
      select customers.id into event.customer_id
      from public.customers
      where customers.brand_id = brand and customers.phone_e164 = said_of_number.phone
      order by customers.created_at desc, customers.id
      limit 1;
      return event;
    end
  $$;

create function process_opt_out(
  phone text,
  reason text,
  source text default 'manual',
  scope text default 'brand',
  campaign_id uuid default null
) returns consent_events
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      number constant text := public.require_phone(phone);
      recipient public.recipients;
      event public.consent_events;
      campaigns uuid[];
    begin
      if scope is null or scope not in ('brand', 'campaign') then
        raise exception 'an opt-out is of scope brand or campaign'
          using errcode = '22023', detail = format('This one is of scope %s.', coalesce('"' || left(scope, 63) || '"', 'NULL'));
      elsif scope = 'brand' and campaign_id is not null then
        raise exception 'an opt-out of scope brand names no campaign' using errcode = '22023', hint = 'Say scope => ''campaign''.';
      end if;
      recipient := public.lock_recipient(brand, number);
      event := public.said_of_number(brand, 'opt_out', number, reason, source);
      event.scope := scope;
      event.campaign_id := campaign_id;
      if scope = 'campaign' and campaign_id is null then
        select array_agg(distinct conversations.campaign_id) into campaigns
        from public.conversations
        where conversations.brand_id = brand
          and conversations.customer_phone_e164 = number
          and conversations.campaign_id is not null;
        if cardinality(campaigns) is distinct from 1 then
          raise exception 'it is not clear which campaign is opted out of'
            using errcode = '22023',
                  detail = format('The conversations of the number are of %s campaigns.', coalesce(cardinality(campaigns), 0)),
                  hint = 'Say campaign_id, or opt out of the whole brand.';
        end if;
        event.campaign_id := campaigns[1];
      end if;
      return public.opt_out_number(event, recipient);
    end
  $$;

create function process_opt_in(phone text, reason text, source text default 'manual') returns consent_events
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      number constant text := public.require_phone(phone);
      recipient public.recipients;
    begin
      recipient := public.lock_recipient(brand, number);
      return public.opt_in_number(public.said_of_number(brand, 'opt_in', number, reason, source), recipient);
    end
  $$;

-- From when on a number may be written to, by the clock of every time zone that it may be in: at itself, or later; NULL where
-- there is no such time within eight days. A brand without a row of its own has the hours of the law.
create function sending_opens_at(brand brand_id, phone text, at timestamptz) returns timestamptz
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      hours record;
      zones text[] := percytech.phone_time_zones(phone);
      local timestamp;
      zone text;
      is_open boolean := true;
    begin
      select
        coalesce(max(quiet_hours.quiet_from), '21:00') as quiet_from,
        coalesce(max(quiet_hours.quiet_until), '08:00') as quiet_until,
        max(quiet_hours.fallback_time_zones) as fallback_time_zones
      into hours
      from public.quiet_hours
      where quiet_hours.brand_id = brand;
      if cardinality(zones) = 0 then
        zones := coalesce(
          hours.fallback_time_zones,
          '{America/New_York,America/Chicago,America/Denver,America/Phoenix,America/Los_Angeles,America/Anchorage,Pacific/Honolulu}'
        );
      end if;

      foreach zone in array zones loop
        local := at at time zone zone;
        is_open := is_open and local::time >= hours.quiet_until and local::time < hours.quiet_from;
      end loop;
      if is_open then
        return at;
      end if;

      return (
        select min(openings.opening)
        from (
          select ((at at time zone zones.zone)::date + days.day + hours.quiet_until) at time zone zones.zone as opening
          from unnest(zones) as zones (zone)
          cross join generate_series(0, 8) as days (day)
        ) as openings
        where openings.opening > at
          and not exists (
            select
            from unnest(zones) as zones (zone)
            where (openings.opening at time zone zones.zone)::time < hours.quiet_until
              or (openings.opening at time zone zones.zone)::time >= hours.quiet_from
          )
      );
    end
  $$;

create function can_send(phone text, at timestamptz default now(), campaign_id uuid default null)
  returns table (allowed boolean, reason text, until timestamptz)
  language plpgsql
  stable
  rows 1
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      number constant text := percytech.normalize_phone(phone);
      moment constant timestamptz := coalesce(at, now());
    begin
      if not isfinite(moment) then
        raise exception 'no message is sent at %', moment using errcode = '22023', hint = 'Say a time.';
      end if;
      if number is null then
        reason := 'invalid_number';
      elsif exists (
        select
        from public.opt_outs
        where opt_outs.brand_id = brand
          and opt_outs.phone = number
          and (opt_outs.scope = 'brand' or opt_outs.campaign_id = can_send.campaign_id)
      ) then
        reason := 'opted_out';
      else
        until := public.sending_opens_at(brand, number, moment);
        if until is distinct from moment then
          reason := 'quiet_hours';
        else
          until := null;
        end if;
      end if;
      allowed := reason is null;
      return next;
    end
  $$;

comment on function require_phone(text) is 'The number in E.164; 22023 where it is none.';
comment on function lock_recipient(brand_id, text) is
  'Locks the row of a number until the transaction ends, and makes it where there is none.';
comment on function queue_reply(consent_events) is 'Queues what the brand answers to an event.';
comment on function cancel_queued(brand_id, text, uuid) is
  'Takes what is queued to a number, of a campaign or at all, out of the queue, and locks its conversations.';
comment on function opt_out_number(consent_events, recipients) is
  'Applies an opt-out to a number whose row is locked, and records it.';
comment on function opt_in_number(consent_events, recipients) is
  'Applies an opt-in to a number whose row is locked, and records it.';
comment on function said_of_number(brand_id, text, text, text, text) is
  'An event, not recorded yet, of what was said of a number by other means than a reply.';
comment on function process_opt_out(text, text, text, text, uuid) is
  'Opts a number out of a brand, or of a campaign, by whatever means it was asked for; returns the event. 22023 where the number is none, or the campaign is not clear.';
comment on function process_opt_in(text, text, text) is
  'Opts a number in again, by whatever means it was asked for; returns the event. 22023 where the number is none.';
comment on function sending_opens_at(brand_id, text, timestamptz) is
  'From when on a number may be written to, by its brand''s quiet hours and its own clocks.';
comment on function can_send(text, timestamptz, uuid) is
  'Whether a number may be written to at a time, and if not, why (invalid_number, opted_out, quiet_hours) and until when.';

do $$
declare
  callee text;
  grantee text;
begin
  foreach callee in array array[
    'require_phone(text)',
    'lock_recipient(brand_id, text)',
    'queue_reply(consent_events)',
    'cancel_queued(brand_id, text, uuid)',
    'opt_out_number(consent_events, recipients)',
    'opt_in_number(consent_events, recipients)',
    'said_of_number(brand_id, text, text, text, text)'
  ] loop
    execute format('revoke all on function %s from public', callee);
  end loop;
  foreach callee in array array[
    'process_opt_out(text, text, text, text, uuid)',
    'process_opt_in(text, text, text)',
    'sending_opens_at(brand_id, text, timestamptz)',
    'can_send(text, timestamptz, uuid)'
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

drop function can_send(text, timestamptz, uuid);
drop function sending_opens_at(brand_id, text, timestamptz);
drop function process_opt_in(text, text, text);
drop function process_opt_out(text, text, text, text, uuid);
drop function said_of_number(brand_id, text, text, text, text);
drop function opt_in_number(consent_events, recipients);
drop function opt_out_number(consent_events, recipients);
drop function cancel_queued(brand_id, text, uuid);
drop function queue_reply(consent_events);
drop function lock_recipient(brand_id, text);
drop function require_phone(text);
