-- What the history tells of the journey of a brand's customers: how far they come, how long they stay, whether they pay on,
-- and how soon and from where those come who pay. Each report runs with its caller's rights, within the brand in context,
-- and names the brand itself besides: who passes row level security by is shown one brand, too.
--
-- A time in days is one of days of 24 hours, whatever the clocks do in between.

create function journey_funnel(
  steps customer_stage[] default '{lead,marketing,trial,active}',
  since timestamptz default '-infinity',
  until timestamptz default 'infinity',
  within_window interval default '30 days',
  by_source boolean default false
) returns setof journey_funnel_step
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
    begin
      perform public.check_funnel_steps(steps);
      perform public.check_report_span(since, until);
      perform public.check_report_window(within_window);
      perform public.check_report_flag(by_source);
      return query
        with funnels as (
          select
            case when by_source then customers.source end as source,
            percytech.funnel(
              transitions.customer_id, transitions.occurred_at, transitions.to_stage, steps, within_window, until, now()
            ) as counted
          from public.customer_stage_transitions as transitions
          left join public.customers
            on by_source
            and customers.brand_id = transitions.brand_id
            and customers.id = transitions.customer_id
          where transitions.brand_id = brand
            and transitions.occurred_at >= since
            and transitions.to_stage = any (steps)
          group by 1
        ),
        groups as (
          select funnels.source, funnels.counted from funnels
          union all
          select null, null where not by_source and not exists (select from funnels)
        ),
        counts as (
          select
            listed.step::integer as step,
            listed.stage,
            groups.source,
            coalesce(counted.subjects, 0) as customers,
            counted.median_time,
            counted.decided,
            first_value(coalesce(counted.subjects, 0)) over steps_of_group as entered,
            -- Only whose window is over is counted in a share, those who were quick as well: else it would be the higher, the
            -- more came lately.
            first_value(counted.decided) over steps_of_group as decided_at_first,
            lag(counted.decided) over steps_of_group as decided_before,
            coalesce(
              sum(counted.waiting) over (partition by groups.source order by listed.step rows between unbounded preceding and 1 preceding),
              0
            )::bigint as undecided
          from groups
          cross join unnest(steps) with ordinality as listed (stage, step)
          left join lateral unnest(groups.counted) as counted on counted.step = listed.step
          window steps_of_group as (partition by groups.source order by listed.step)
        )
        select
          counts.step,
          counts.stage,
          counts.source,
          counts.customers,
          counts.undecided,
          counts.decided / nullif(counts.decided_at_first, 0)::double precision,
          counts.decided / nullif(counts.decided_before, 0)::double precision,
          counts.median_time
        from counts
        where not by_source or counts.entered > 0
        order by counts.source, counts.step;
    end
  $$;

create function stage_durations(since timestamptz default '-infinity', until timestamptz default 'infinity')
  returns setof stage_duration
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
    begin
      perform public.check_report_span(since, until);
      return query
        with visits as (
          select
            transitions.to_stage as stage,
            transitions.occurred_at as entered_at,
            lead(transitions.occurred_at) over (partition by transitions.customer_id order by transitions.position)
              - transitions.occurred_at as time_there
          from public.customer_stage_transitions as transitions
          where transitions.brand_id = brand
        )
        select
          visits.stage,
          count(*),
          count(*) filter (where visits.time_there is null),
          justify_hours(percentile_cont(0.5) within group (order by visits.time_there)),
          justify_hours(avg(visits.time_there)),
          justify_hours(percentile_cont(0.9) within group (order by visits.time_there))
        from visits
        where visits.entered_at >= since and visits.entered_at < until
        group by visits.stage
        order by visits.stage;
    end
  $$;

-- The periods in which a customer was active are kept as ranges, so that a visit of years costs no more than one of a day.
create function cohort_retention(
  period text default 'month',
  since timestamptz default '-infinity',
  until timestamptz default 'infinity',
  periods integer default 12,
  time_zone text default 'UTC'
) returns setof cohort_period
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      this_period integer;
    begin
      perform public.check_cohort_periods(period, periods, time_zone);
      perform public.check_report_span(since, until);
      this_period := public.period_index(period, now() at time zone time_zone);
      return query
        with moves as (
          select
            transitions.customer_id,
            transitions.to_stage,
            transitions.occurred_at as entered_at,
            lead(transitions.occurred_at) over (partition by transitions.customer_id order by transitions.position) as left_at
          from public.customer_stage_transitions as transitions
          where transitions.brand_id = brand
        ),
        -- The first and the last moment of each visit, which is never without its first.
        visits as (
          select
            moves.customer_id,
            moves.entered_at,
            public.period_index(period, moves.entered_at at time zone time_zone) as first_period,
            public.period_index(
              period,
              greatest(moves.entered_at, coalesce(moves.left_at - interval '1 microsecond', now())) at time zone time_zone
            ) as last_period
          from moves
          where moves.to_stage = 'active'
        ),
        subscribers as (
          select
            min(visits.entered_at) at time zone time_zone as subscribed_at,
            range_agg(int4range(visits.first_period, greatest(visits.first_period, visits.last_period), '[]')) as active_periods
          from visits
          group by visits.customer_id
          having min(visits.entered_at) >= since and min(visits.entered_at) < until
        ),
        members as (
          select
            date_trunc(period, subscribers.subscribed_at)::date as cohort,
            public.period_index(period, subscribers.subscribed_at) as own_period,
            subscribers.active_periods
          from subscribers
        ),
        cohorts as (
          select members.cohort, members.own_period, count(*) as customers
          from members
          group by members.cohort, members.own_period
        ),
        -- How many more, or fewer, are active in a period than in the one before.
        changes as (
          select members.cohort, ends.at_period - members.own_period as period_number, sum(ends.change) as change
          from members
          cross join unnest(members.active_periods) as range
          cross join lateral (values (lower(range), 1), (upper(range), -1)) as ends (at_period, change)
          group by members.cohort, ends.at_period - members.own_period
        ),
        counts as (
          select
            cohorts.cohort,
            numbers.period_number,
            cohorts.customers,
            cohorts.own_period + numbers.period_number < this_period as is_complete,
            coalesce(sum(changes.change) over (partition by cohorts.cohort order by numbers.period_number), 0)::bigint as active
          from cohorts
          cross join lateral generate_series(0, least(periods, this_period - cohorts.own_period)) as numbers (period_number)
          left join changes on changes.cohort = cohorts.cohort and changes.period_number = numbers.period_number
        )
        select
          counts.cohort,
          counts.period_number,
          counts.customers,
          counts.active,
          counts.active / counts.customers::double precision,
          counts.is_complete
        from counts
        order by counts.cohort, counts.period_number;
    end
  $$;

create function time_to_subscription(
  since timestamptz default '-infinity',
  until timestamptz default 'infinity',
  by_source boolean default false,
  confidence double precision default 0.95
) returns setof subscription_curve_point
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
    begin
      perform public.check_report_span(since, until);
      perform public.check_report_flag(by_source);
      if confidence is null or not (confidence > 0 and confidence < 1) then
        raise exception 'a confidence is between 0 and 1'
          using errcode = '22023', detail = format('It is %s.', coalesce(confidence::text, 'NULL')), hint = 'Write 0.95 for 95 %.';
      end if;
      return query
        with subscribers as (
          select transitions.customer_id, min(transitions.occurred_at) as subscribed_at
          from public.customer_stage_transitions as transitions
          where transitions.brand_id = brand and transitions.to_stage = 'active'
          group by transitions.customer_id
        ),
        journeys as (
          select arrivals.customer_id, arrivals.occurred_at as came_at, subscribers.subscribed_at
          from public.customer_stage_transitions as arrivals
          left join subscribers on subscribers.customer_id = arrivals.customer_id
          where arrivals.brand_id = brand
            and arrivals.position = 1
            -- Who came as a subscriber had subscribed before, nobody knows how soon.
            and arrivals.to_stage <> 'active'
            and arrivals.occurred_at >= since
            and arrivals.occurred_at < until
        ),
        curves as (
          select
            case when by_source then customers.source end as source,
            percytech.kaplan_meier(
              greatest(date_part('day', coalesce(journeys.subscribed_at, now()) - journeys.came_at), 0),
              journeys.subscribed_at is not null,
              confidence
            ) as curve
          from journeys
          left join public.customers
            on by_source and customers.brand_id = brand and customers.id = journeys.customer_id
          group by 1
        )
        select
          curves.source,
          points.duration::integer,
          points.at_risk,
          points.events,
          points.censored,
          points.survival,
          points.lower_limit,
          points.upper_limit
        from curves
        cross join lateral unnest(curves.curve) as points
        order by curves.source, points.duration;
    end
  $$;

create function source_performance(
  since timestamptz default '-infinity',
  until timestamptz default 'infinity',
  within_window interval default '90 days'
) returns setof source_conversion
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand constant public.brand_id := percytech.require_brand()::public.brand_id;
      -- The 0.975 quantile of the normal distribution, squared.
      z2 constant double precision := 1.959963984540054 * 1.959963984540054;
    begin
      perform public.check_report_span(since, until);
      perform public.check_report_window(within_window);
      return query
        with subscribers as (
          select transitions.customer_id, min(transitions.occurred_at) as subscribed_at
          from public.customer_stage_transitions as transitions
          where transitions.brand_id = brand and transitions.to_stage = 'active'
          group by transitions.customer_id
        ),
        journeys as (
          select arrivals.customer_id, arrivals.occurred_at as came_at, subscribers.subscribed_at
          from public.customer_stage_transitions as arrivals
          left join subscribers on subscribers.customer_id = arrivals.customer_id
          where arrivals.brand_id = brand
            and arrivals.position = 1
            -- Who came as a subscriber had subscribed before, nobody knows how soon.
            and arrivals.to_stage <> 'active'
            and arrivals.occurred_at >= since
            and arrivals.occurred_at < until
        ),
        leads as (
          select
            customers.source,
            coalesce(journeys.subscribed_at - journeys.came_at <= within_window, false) as is_subscribed,
            now() - journeys.came_at <= within_window as is_open,
            date_part('epoch', journeys.subscribed_at - journeys.came_at) / 86400 as days
          from journeys
          join public.customers on customers.brand_id = brand and customers.id = journeys.customer_id
        ),
        counts as (
          select
            leads.source,
            count(*) as leads,
            count(*) filter (where leads.is_subscribed) as subscribed,
            count(*) filter (where not leads.is_subscribed and leads.is_open) as undecided,
            -- Who was quick is not counted before the others are: else the share would be the higher, the more came lately.
            count(*) filter (where not leads.is_open) as sample_size,
            count(*) filter (where leads.is_subscribed and not leads.is_open) as converted,
            percentile_cont(0.5) within group (order by leads.days) filter (where leads.is_subscribed and not leads.is_open)
              as median_days
          from leads
          group by leads.source
        ),
        shares as (
          select
            counts.*,
            nullif(counts.sample_size, 0)::double precision as n,
            counts.converted / nullif(counts.sample_size, 0)::double precision as p
          from counts
        ),
        -- Wilson's limits: the middle, and how far they are from it.
        limits as (
          select
            shares.*,
            (p + z2 / (2 * n)) / (1 + z2 / n) as middle,
            sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n) as reach
          from shares
        )
        select
          limits.source,
          limits.leads,
          limits.subscribed,
          limits.undecided,
          limits.sample_size,
          limits.p,
          -- Of none, and of all, the limit is the share itself, to which rounding would only come near.
          case when limits.p = 0 then 0 else limits.middle - limits.reach end,
          case when limits.p = 1 then 1 else limits.middle + limits.reach end,
          limits.median_days
        from limits
        order by limits.source;
    end
  $$;

comment on function journey_funnel(customer_stage[], timestamptz, timestamptz, interval, boolean) is
  'How far do customers come who came to the first step from since on and before until, through the others in their order and within the window? One row for each step.';
comment on function stage_durations(timestamptz, timestamptz) is
  'How long do customers stay in a stage who came to it from since on and before until? One row for each stage that somebody came to.';
comment on function cohort_retention(text, timestamptz, timestamptz, integer, text) is
  'Of those who first became active in the same day, week, month, quarter or year, how many were active in each period that followed? One row for each cohort and period that has begun.';
comment on function time_to_subscription(timestamptz, timestamptz, boolean, double precision) is
  'How long does it take customers who came from since on and before until to become active, those counted who have not yet? The Kaplan-Meier curve, one row for each day on which it or what is known changes.';
comment on function source_performance(timestamptz, timestamptz, interval) is
  'From which sources come those who subscribe: of customers who came from since on and before until, how many became active within the window, and how soon? One row for each source.';

do $$
declare
  callee text;
  grantee text;
begin
  foreach callee in array array[
    'journey_funnel(customer_stage[], timestamptz, timestamptz, interval, boolean)',
    'stage_durations(timestamptz, timestamptz)',
    'cohort_retention(text, timestamptz, timestamptz, integer, text)',
    'time_to_subscription(timestamptz, timestamptz, boolean, double precision)',
    'source_performance(timestamptz, timestamptz, interval)'
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

drop function source_performance(timestamptz, timestamptz, interval);
drop function time_to_subscription(timestamptz, timestamptz, boolean, double precision);
drop function cohort_retention(text, timestamptz, timestamptz, integer, text);
drop function stage_durations(timestamptz, timestamptz);
drop function journey_funnel(customer_stage[], timestamptz, timestamptz, interval, boolean);
