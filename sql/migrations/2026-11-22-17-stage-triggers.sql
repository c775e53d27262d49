-- A customer's stage changes along the rules of the brand, and every change is recorded, whatever statement makes it. The
-- triggers run as percytech_owner, since nobody else writes the history, and the floor binds it to the brand in context.
-- Who passes row level security by, a superuser or Supabase's service_role, may change a customer without that context:
-- then the row's brand is entered for as long as the trigger works, which only those may who may act as it.
--
-- What runs as the owner looks names up in pg_catalog, and temporary objects last: a temporary type of a caller's would
-- otherwise be found before PostgreSQL's own, and its checks be run as the owner.

alter table customers add constraint customers_finite_times_check check (
  isfinite(created_at)
  and isfinite(coalesce(marketing_qualified_at, created_at))
  and isfinite(coalesce(trial_started_at, created_at))
  and isfinite(coalesce(subscribed_at, created_at))
  and isfinite(coalesce(churned_at, created_at))
);

create function enter_brand_context(brand brand_id) returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      previous constant text := coalesce(current_setting('app.current_brand', true), '');
    begin
      perform percytech.set_brand_context(brand::text);
      return previous;
    end
  $$;

create function leave_brand_context(previous text) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      perform set_config('app.current_brand', previous, true);
    end
  $$;

comment on function enter_brand_context(brand_id) is
  'Makes the brand of a row the context of a trigger; returns what app.current_brand was.';
comment on function leave_brand_context(text) is 'Gives back what enter_brand_context returned.';
revoke all on function enter_brand_context(brand_id) from public;
revoke all on function leave_brand_context(text) from public;

-- What transition_stage says of the move that its UPDATE makes: in a setting, for the triggers. Anybody may set it, and so
-- say of a plain UPDATE what transition_stage may say; the triggers check it all the same. NULL where nothing is said of
-- this customer.
create function said_of_move(customer_id uuid) returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      said constant text := current_setting('percytech.move', true);
    begin
      if said is null or said = '' or said::jsonb ->> 'customer_id' is distinct from customer_id::text then
        return null;
      end if;
      return said::jsonb;
    exception when data_exception then
      raise exception 'the setting percytech.move says nothing of a move'
        using errcode = '22023', detail = sqlerrm, hint = 'Reset it: transition_stage sets it by itself.';
    end
  $$;

comment on function said_of_move(uuid) is 'What transition_stage says of the move that it is making.';
revoke all on function said_of_move(uuid) from public;

-- When a move occurs that is made now: after the last one, whichever transaction began first.
create function time_of_move(said jsonb, last_at timestamptz) returns timestamptz
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      occurred_at constant timestamptz := (said ->> 'occurred_at')::timestamptz;
    begin
      if occurred_at is null then
        return greatest(now(), last_at);
      elsif occurred_at < last_at then
        raise exception 'the move occurred before the customer''s previous one'
          using errcode = '22023',
                detail = format('%s is before %s, when the customer came to the stage.', occurred_at, last_at),
                hint = 'A move may be recorded late, and not before what is recorded already.';
      elsif occurred_at > clock_timestamp() then
        raise exception 'the move has not occurred yet'
          using errcode = '22023', detail = format('It is to occur at %s.', occurred_at), hint = 'Record it when it has.';
      end if;
      return occurred_at;
    end
  $$;

comment on function time_of_move(jsonb, timestamptz) is
  'When a move occurs, by what is said of it and by the customer''s last one; 22023 where that cannot be.';
revoke all on function time_of_move(jsonb, timestamptz) from public;

-- Says that a customer is moved while a move of the same customer is not recorded yet.
create function refuse_second_move(ends_at customer_stage, stands_at customer_stage) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      raise exception 'the customer is moved twice by one statement'
        using errcode = '55000',
              detail = format('The history ends at %s, and the row was at %s.', coalesce(ends_at::text, 'nothing'), stands_at),
              hint = 'Make each move by a statement of its own.';
    end
  $$;

comment on function refuse_second_move(customer_stage, customer_stage) is
  'Raises the error of a move whose customer is elsewhere than the history ends; 55000.';
revoke all on function refuse_second_move(customer_stage, customer_stage) from public;

-- Says that a move is not among the rules of the brand, and which are.
create function refuse_stage_transition(brand brand_id, from_stage customer_stage, to_stage customer_stage) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      allowed text;
    begin
      select string_agg(rules.to_stage::text, ', ' order by rules.to_stage)
      into allowed
      from public.stage_transition_rules as rules
      where rules.brand_id = brand and rules.from_stage = refuse_stage_transition.from_stage;
      raise exception 'a customer cannot go from % to %', from_stage, to_stage
        using errcode = '23514',
              detail = format('%s → %s', from_stage, to_stage),
              hint = case
                when allowed is null then format('From %s no stage can be reached.', from_stage)
                else format('From %s these can be reached: %s.', from_stage, allowed)
              end;
    end
  $$;

comment on function refuse_stage_transition(brand_id, customer_stage, customer_stage) is
  'Raises the error of a move that the rules of the brand do not have; 23514.';
revoke all on function refuse_stage_transition(brand_id, customer_stage, customer_stage) from public;

-- Before the row is written: who it is stays, and when the customer came to the stage is noted.
create function note_customer_stage() returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      previous text;
      last_move record;
      moved_at timestamptz;
    begin
      if tg_op = 'INSERT' then
        moved_at := least(new.created_at, now());
      else
        -- The brand is kept by the policies, and by the history's foreign key.
        if new.id <> old.id then
          raise exception 'a customer keeps the id'
            using errcode = '23514', detail = 'The history belongs to it.', hint = 'Insert another customer.';
        end if;
        if (new.marketing_qualified_at, new.trial_started_at, new.subscribed_at, new.churned_at)
          is distinct from (old.marketing_qualified_at, old.trial_started_at, old.subscribed_at, old.churned_at)
        then
          raise exception 'when a customer came to a stage follows from the history'
            using errcode = '23514',
                  detail = 'marketing_qualified_at, trial_started_at, subscribed_at and churned_at are set by a move.',
                  hint = 'Move the customer, with occurred_at: transition_stage(customer_id, to_stage, occurred_at => ...).';
        end if;
        if new.stage = old.stage then
          return new;
        end if;
        if percytech.current_brand() is distinct from new.brand_id::text then
          previous := public.enter_brand_context(new.brand_id);
        end if;
        select transitions.to_stage, transitions.occurred_at
        into last_move
        from public.customer_stage_transitions as transitions
        where transitions.brand_id = new.brand_id and transitions.customer_id = new.id
        order by transitions.position desc
        limit 1;
        if last_move.to_stage is distinct from old.stage then
          perform public.refuse_second_move(last_move.to_stage, old.stage);
        end if;
        moved_at := public.time_of_move(public.said_of_move(new.id), last_move.occurred_at);
        if previous is not null then
          perform public.leave_brand_context(previous);
        end if;
      end if;

      case new.stage
        when 'marketing' then new.marketing_qualified_at := coalesce(new.marketing_qualified_at, moved_at);
        when 'trial' then new.trial_started_at := coalesce(new.trial_started_at, moved_at);
        when 'active' then new.subscribed_at := coalesce(new.subscribed_at, moved_at);
        when 'churned' then
          if tg_op = 'UPDATE' or new.churned_at is null then
            new.churned_at := moved_at;
          end if;
        else null;
      end case;
      return new;
    end
  $$;

-- After it is written: what the row has become, by this statement and every trigger before it, is held to the rules, and
-- recorded. Nothing is inferred: a row whose history does not end where the row was is not moved.
create function record_customer_stage() returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      previous text;
      last_move record;
      said jsonb;
      occurred_at timestamptz;
    begin
      if percytech.current_brand() is distinct from new.brand_id::text then
        previous := public.enter_brand_context(new.brand_id);
      end if;
      select transitions.position, transitions.to_stage, transitions.occurred_at
      into last_move
      from public.customer_stage_transitions as transitions
      where transitions.brand_id = new.brand_id and transitions.customer_id = new.id
      order by transitions.position desc
      limit 1;

      if tg_op = 'INSERT' then
        if last_move.position is not null then
          raise exception 'a customer of this id has a history already'
            using errcode = '23505', hint = 'Give a new customer a new id.';
        end if;
        insert into public.customer_stage_transitions (brand_id, customer_id, position, to_stage, actor, occurred_at)
        values (new.brand_id, new.id, 1, new.stage, percytech.current_actor(), least(new.created_at, now()));
      else
        if last_move.to_stage is distinct from old.stage then
          perform public.refuse_second_move(last_move.to_stage, old.stage);
        end if;
        if not exists (
          select
          from public.stage_transition_rules as rules
          where rules.brand_id = new.brand_id and rules.from_stage = old.stage and rules.to_stage = new.stage
        ) then
          perform public.refuse_stage_transition(new.brand_id, old.stage, new.stage);
        end if;
        said := public.said_of_move(new.id);
        occurred_at := public.time_of_move(said, last_move.occurred_at);
        -- What was noted before the row was written is what is recorded after: nothing was said otherwise in between.
        if new.marketing_qualified_at is distinct from old.marketing_qualified_at and new.marketing_qualified_at <> occurred_at
          or new.trial_started_at is distinct from old.trial_started_at and new.trial_started_at <> occurred_at
          or new.subscribed_at is distinct from old.subscribed_at and new.subscribed_at <> occurred_at
          or new.stage = 'churned' and new.churned_at <> occurred_at
        then
          raise exception 'what is said of the move changed while it was made'
            using errcode = '55000', hint = 'Make each move by a statement of its own.';
        end if;
        insert into public.customer_stage_transitions (
          brand_id, customer_id, position, from_stage, to_stage, reason, actor, metadata, occurred_at, idempotency_key
        )
        values (
          new.brand_id,
          new.id,
          last_move.position + 1,
          old.stage,
          new.stage,
          said ->> 'reason',
          coalesce(nullif(said ->> 'actor', ''), percytech.current_actor()),
          coalesce(nullif(said -> 'metadata', 'null'), '{}'),
          occurred_at,
          said ->> 'idempotency_key'
        );
      end if;
      if previous is not null then
        perform public.leave_brand_context(previous);
      end if;
      return null;
    end
  $$;

comment on function note_customer_stage() is
  'Trigger: keeps a customer''s id, and notes when the customer came to the stage.';
comment on function record_customer_stage() is
  'Trigger: refuses a move that the brand does not allow (23514), and records the others.';
revoke all on function note_customer_stage() from public;
revoke all on function record_customer_stage() from public;

-- The customers that there are already begin where they stand, and came there when they came, if nothing else is known;
-- whose history ends elsewhere, goes on there.
do $$
declare
  brand brand_id;
begin
  foreach brand in array enum_range(null::brand_id) loop
    perform percytech.set_brand_context(brand::text);
    update customers
    set
      marketing_qualified_at = coalesce(marketing_qualified_at, case stage when 'marketing' then least(created_at, now()) end),
      trial_started_at = coalesce(trial_started_at, case stage when 'trial' then least(created_at, now()) end),
      subscribed_at = coalesce(subscribed_at, case stage when 'active' then least(created_at, now()) end),
      churned_at = coalesce(churned_at, case stage when 'churned' then least(created_at, now()) end)
    where brand_id = brand
      and case stage
        when 'marketing' then marketing_qualified_at
        when 'trial' then trial_started_at
        when 'active' then subscribed_at
        when 'churned' then churned_at
        else created_at
      end is null;
    insert into customer_stage_transitions (brand_id, customer_id, position, from_stage, to_stage, actor, occurred_at)
    select
      customers.brand_id,
      customers.id,
      coalesce(last.position, 0) + 1,
      last.to_stage,
      customers.stage,
      'migration',
      case when last.position is null then least(customers.created_at, now()) else greatest(now(), last.occurred_at) end
    from customers
    left join lateral (
      select position, to_stage, occurred_at
      from customer_stage_transitions
      where customer_stage_transitions.brand_id = customers.brand_id
        and customer_stage_transitions.customer_id = customers.id
      order by position desc
      limit 1
    ) as last on true
    where customers.brand_id = brand and last.to_stage is distinct from customers.stage;
  end loop;
end
$$;

create trigger customers_note_stage
  before insert or update on customers
  for each row execute function note_customer_stage();

create trigger customers_record_first_stage
  after insert on customers
  for each row execute function record_customer_stage();

create trigger customers_record_stage
  after update on customers
  for each row when (old.stage is distinct from new.stage) execute function record_customer_stage();

-- rollback

drop trigger customers_record_stage on customers;
drop trigger customers_record_first_stage on customers;
drop trigger customers_note_stage on customers;
drop function record_customer_stage();
drop function note_customer_stage();
drop function refuse_stage_transition(brand_id, customer_stage, customer_stage);
drop function refuse_second_move(customer_stage, customer_stage);
drop function time_of_move(jsonb, timestamptz);
drop function said_of_move(uuid);
drop function leave_brand_context(text);
drop function enter_brand_context(brand_id);
alter table customers drop constraint customers_finite_times_check;
