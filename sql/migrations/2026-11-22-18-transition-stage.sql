-- Moving customers from stage to stage, with what a plain UPDATE cannot say: why, by whom, since when, and under which
-- name, so that the same call made twice moves once. The move itself is an UPDATE, and its triggers' to judge and record.

-- One move, and whether it was made: not where the customer is there already, or the key was used for this before.
create type stage_move as (is_moved boolean, transition customer_stage_transitions);

create function move_customer(
  customer_id uuid,
  to_stage customer_stage,
  reason text,
  expected_from customer_stage,
  actor text,
  occurred_at timestamptz,
  idempotency_key text,
  metadata jsonb
) returns stage_move
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      stage public.customer_stage;
      transition public.customer_stage_transitions;
    begin
      if to_stage is null then
        raise exception 'no stage is named' using errcode = '22004', hint = 'Say to_stage.';
      elsif length(idempotency_key) not between 1 and 255 then
        raise exception 'an idempotency key has 1 to 255 characters'
          using errcode = '22023', detail = format('This one has %s.', length(idempotency_key));
      elsif jsonb_typeof(metadata) not in ('object', 'null') then
        raise exception 'metadata is no object' using errcode = '22023', detail = format('It is of type %s.', jsonb_typeof(metadata));
      end if;

      -- Whoever uses a key queues up for it, and then for the customer; what depends on either is read after.
      if idempotency_key is not null then
        perform pg_advisory_xact_lock(hashtextextended(brand::text || ' ' || idempotency_key, 0));
        select transitions.* into transition
        from public.customer_stage_transitions as transitions
        where transitions.brand_id = brand and transitions.idempotency_key = move_customer.idempotency_key;
        if found and transition.customer_id = move_customer.customer_id and transition.to_stage = move_customer.to_stage then
          return (false, transition)::public.stage_move;
        elsif found then
          raise exception 'idempotency key "%" was used for another move', left(idempotency_key, 63)
            using errcode = 'PT409', hint = 'Use a key of its own for each move.';
        end if;
      end if;

      select customers.stage into stage
      from public.customers
      where customers.brand_id = brand and customers.id = move_customer.customer_id
      for no key update;
      if not found then
        raise exception 'there is no customer %', coalesce(customer_id::text, 'NULL')
          using errcode = 'PT404', hint = 'Look for the customer in the brand that is in context.';
      end if;
      if expected_from <> stage then
        raise exception 'the customer is in stage %, not %', stage, expected_from
          using errcode = 'PT409', hint = 'Read the customer again, and decide again.';
      end if;

      if stage <> to_stage then
        perform set_config(
          'percytech.move',
          jsonb_build_object(
            'customer_id', customer_id,
            'reason', reason,
            'actor', actor,
            -- The beginning of the transaction is what the caller did not say.
            'occurred_at', nullif(occurred_at, now()),
            'idempotency_key', idempotency_key,
            'metadata', metadata
          )::text,
          true
        );
        update public.customers
        set stage = to_stage
        where customers.brand_id = brand and customers.id = move_customer.customer_id;
        perform set_config('percytech.move', '', true);
      elsif idempotency_key is not null then
        raise exception 'the customer is in stage % already, so that the key would name no move', stage
          using errcode = 'PT409', hint = 'Leave out the key where nothing may have to be moved.';
      end if;

      select transitions.* into transition
      from public.customer_stage_transitions as transitions
      where transitions.brand_id = brand and transitions.customer_id = move_customer.customer_id
      order by transitions.position desc
      limit 1;
      return (stage <> to_stage, transition)::public.stage_move;
    end
  $$;

create function transition_stage(
  customer_id uuid,
  to_stage customer_stage,
  reason text default null,
  expected_from customer_stage default null,
  actor text default null,
  occurred_at timestamptz default now(),
  idempotency_key text default null,
  metadata jsonb default '{}'
) returns customer_stage_transitions
  language sql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    select (moved.transition).*
    from public.move_customer(
      customer_id, to_stage, reason, expected_from, actor, occurred_at, idempotency_key, metadata
    ) as moved
  $$;

-- Every move of a list, each for itself. Keys and customers are locked in their order before the first is moved, so that
-- two lists do not wait for each other. What is refused takes back nothing but itself; what fails for another reason, a
-- lock that was not to be had or a transaction that came too late, fails the list, which can be tried again.
create function transition_stages(moves jsonb)
  returns table (customer_id uuid, outcome text, error text)
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant text := percytech.require_brand();
      known constant text[] := array[
        'customer_id', 'to_stage', 'reason', 'expected_from', 'actor', 'occurred_at', 'idempotency_key', 'metadata'
      ];
      uuid_pattern constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
      move jsonb;
      unknown text;
      moved public.stage_move;
      particulars text;
    begin
      if moves is null or jsonb_typeof(moves) <> 'array' then
        raise exception 'the moves are no array'
          using errcode = '22023', hint = 'Write [{"customer_id": "...", "to_stage": "..."}, ...].';
      end if;
      perform pg_advisory_xact_lock(locks.lock)
      from (
        select distinct hashtextextended(brand || ' ' || (elements.element ->> 'idempotency_key'), 0) as lock
        from jsonb_array_elements(moves) as elements (element)
        where elements.element ->> 'idempotency_key' is not null
        order by lock
      ) as locks;
      perform
      from public.customers
      where customers.brand_id = brand::public.brand_id
        and customers.id = any (
          array(
            select (elements.element ->> 'customer_id')::uuid
            from jsonb_array_elements(moves) as elements (element)
            where case when jsonb_typeof(elements.element) = 'object' then elements.element ->> 'customer_id' ~ uuid_pattern end
          )
        )
      order by customers.id
      for no key update;

      for move in select elements.element from jsonb_array_elements(moves) with ordinality as elements (element, place) order by place
      loop
        customer_id := null;
        outcome := 'refused';
        error := null;
        begin
          if jsonb_typeof(move) <> 'object' then
            raise exception 'the move is no object' using errcode = '22023';
          end if;
          customer_id := move ->> 'customer_id';
          select string_agg(keys.key, ', ') into unknown
          from jsonb_object_keys(move) as keys (key)
          where keys.key <> all (known);
          if unknown is not null then
            raise exception 'the move has unknown fields: %', unknown using errcode = '22023';
          end if;
          if customer_id is null then
            raise exception 'no customer is named' using errcode = '22004';
          end if;
          moved := public.move_customer(
            customer_id,
            (move ->> 'to_stage')::public.customer_stage,
            move ->> 'reason',
            (move ->> 'expected_from')::public.customer_stage,
            move ->> 'actor',
            (move ->> 'occurred_at')::timestamptz,
            move ->> 'idempotency_key',
            move -> 'metadata'
          );
          outcome := case when moved.is_moved then 'moved' else 'unchanged' end;
        exception
          when data_exception or integrity_constraint_violation or raise_exception or sqlstate 'PT404' or sqlstate 'PT409' then
            get stacked diagnostics error = message_text, particulars = pg_exception_detail;
            error := concat_ws(': ', error, nullif(particulars, ''));
        end;
        return next;
      end loop;
    end
  $$;

-- From one move to the next; the stage that a customer is in lasts until now.
create function stage_history(customer_id uuid)
  returns table (
    stage customer_stage,
    from_stage customer_stage,
    entered_at timestamptz,
    left_at timestamptz,
    time_in_stage interval,
    reason text,
    actor text,
    metadata jsonb,
    recorded_at timestamptz
  )
  language sql
  stable
  as $$
    select
      transitions.to_stage,
      transitions.from_stage,
      transitions.occurred_at,
      lead(transitions.occurred_at) over moves,
      coalesce(lead(transitions.occurred_at) over moves, greatest(now(), transitions.occurred_at))
        operator(pg_catalog.-) transitions.occurred_at,
      transitions.reason,
      transitions.actor,
      transitions.metadata,
      transitions.recorded_at
    from public.customer_stage_transitions as transitions
    where transitions.brand_id operator(pg_catalog.=) (select percytech.current_brand()::public.brand_id)
      and transitions.customer_id operator(pg_catalog.=) stage_history.customer_id
    window moves as (order by transitions.position)
    order by transitions.position
  $$;

-- Whether something was heard of a customer since then: a move, or a message in one of their conversations.
create function is_heard_of(brand brand_id, customer uuid, since timestamptz) returns boolean
  language sql
  volatile
  set search_path = pg_catalog, pg_temp
  as $$
    select
      exists (
        select
        from public.customer_stage_transitions as transitions
        where transitions.brand_id = brand and transitions.customer_id = customer and transitions.occurred_at >= since
      )
      or exists (
        select
        from public.conversations
        where conversations.brand_id = brand
          and conversations.customer_id = customer
          and (
            conversations.last_message_at >= since
            or exists (
              select
              from public.messages
              where messages.brand_id = brand
                and messages.conversation_id = conversations.id
                and messages.sent_at >= since
            )
          )
      )
  $$;

-- Customers of whom nothing has been heard for so long. Who pays or has cancelled is not dormant, even where the rules
-- would let a person decide so.
create function mark_dormant(inactive_for interval, batch integer default 1000) returns integer
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      since timestamptz;
      customer record;
      marked integer := 0;
    begin
      if inactive_for is null or inactive_for <= interval '0' or batch is null or batch < 1 then
        raise exception 'mark_dormant needs a time and a batch that are positive'
          using errcode = '22023', detail = format('inactive_for is %s, batch is %s.', coalesce(inactive_for::text, 'NULL'), coalesce(batch::text, 'NULL'));
      end if;
      since := now() - inactive_for;
      for customer in
        select customers.id, customers.stage
        from public.customers
        where customers.brand_id = brand
          and customers.stage in ('lead', 'marketing', 'trial')
          and customers.created_at < since
          and exists (
            select
            from public.stage_transition_rules as rules
            where rules.brand_id = brand and rules.from_stage = customers.stage and rules.to_stage = 'dormant'
          )
          and not public.is_heard_of(brand, customers.id, since)
        order by customers.id
        limit batch
        -- Whom somebody else is moving is not dormant.
        for no key update skip locked
      loop
        -- Asked once more under the lock: what has been committed since the list was begun is seen now.
        if not public.is_heard_of(brand, customer.id, since) then
          perform public.move_customer(
            customer.id, 'dormant', format('inactive for %s', inactive_for), customer.stage, null, null, null, null
          );
          marked := marked + 1;
        end if;
      end loop;
      return marked;
    end
  $$;

comment on type stage_move is 'What move_customer returns: whether the customer was moved, and the row of the history.';
comment on function move_customer(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb) is
  'What transition_stage does, and whether it moved the customer.';
comment on function transition_stage(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb) is
  'Moves a customer to a stage, and returns the row of the history; 23514 where the brand does not allow it, PT409 where the customer is in another stage than expected, PT404 where there is no such customer.';
comment on function transition_stages(jsonb) is
  'Moves the customers of a list, [{"customer_id": ..., "to_stage": ...}, ...]; one row for each: moved, unchanged or refused, and why.';
comment on function stage_history(uuid) is 'The stages that a customer has been in, and for how long.';
comment on function is_heard_of(brand_id, uuid, timestamptz) is
  'Whether a customer was moved, or wrote or was written to, since then.';
comment on function mark_dormant(interval, integer) is
  'Makes dormant those in stage lead, marketing or trial of whom nothing has been heard for so long, at most batch; returns how many.';

do $$
declare
  callee text;
  grantee text;
begin
  revoke all on function move_customer(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb) from public;
  revoke all on function is_heard_of(brand_id, uuid, timestamptz) from public;
  foreach callee in array array[
    'transition_stage(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb)',
    'transition_stages(jsonb)',
    'stage_history(uuid)',
    'mark_dormant(interval, integer)'
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

drop function mark_dormant(interval, integer);
drop function is_heard_of(brand_id, uuid, timestamptz);
drop function stage_history(uuid);
drop function transition_stages(jsonb);
drop function transition_stage(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb);
drop function move_customer(uuid, customer_stage, text, customer_stage, text, timestamptz, text, jsonb);
drop type stage_move;
