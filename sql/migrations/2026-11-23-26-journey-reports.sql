-- What the history tells of the journey of a brand's customers: how far they come, how long they stay, whether they pay on,
-- and how soon and from where those come who pay. Each report runs with its caller's rights, within the brand in context,
-- and names the brand itself besides: who passes row level security by is shown one brand, too.
--
-- A time in days is one of days of 24 hours, whatever the clocks do in between.

-- What the reports read of a move is in the index of its key, a tenth larger for it, so that they need not read the table,
-- nor sort it by customer.
alter table customer_stage_transitions
  drop constraint customer_stage_transitions_brand_id_customer_id_position_key,
  add constraint customer_stage_transitions_brand_id_customer_id_position_key
    unique (brand_id, customer_id, position) include (to_stage, occurred_at);

create type journey_funnel_step as (
  step integer,
  stage customer_stage,
  source customer_source,
  customers bigint,
  undecided bigint,
  conversion double precision,
  step_conversion double precision,
  median_time interval
);

comment on type journey_funnel_step is 'A row of journey_funnel: a step of the funnel, of all customers or of those of a source.';
comment on column journey_funnel_step.step is 'The place of the step in the funnel, from 1.';
comment on column journey_funnel_step.stage is 'The stage that one comes to with it.';
comment on column journey_funnel_step.source is 'Whose customers these are; NULL where they are those of all sources.';
comment on column journey_funnel_step.customers is 'How many came so far: to this step through all steps before it, within the window.';
comment on column journey_funnel_step.undecided is
  'How many have not come so far, and still may, since their window is open.';
comment on column journey_funnel_step.conversion is
  'The share of those who entered that came so far, of all whose window is over; NULL where nobody''s is.';
comment on column journey_funnel_step.step_conversion is
  'The share of those who came to the step before that came so far, of all whose window is over; NULL for the first.';
comment on column journey_funnel_step.median_time is
  'The median of the times from the step before to this one; NULL for the first, and where nobody came so far.';

create type stage_duration as (
  stage customer_stage,
  entries bigint,
  still_there bigint,
  median_time interval,
  mean_time interval,
  p90_time interval
);

comment on type stage_duration is 'A row of stage_durations: a stage, and how long customers stayed.';
comment on column stage_duration.stage is 'The stage.';
comment on column stage_duration.entries is 'How many visits began: a customer who came twice is counted twice.';
comment on column stage_duration.still_there is 'How many of these visits are not over.';
comment on column stage_duration.median_time is 'The median of the times of the visits that are over; NULL where none is.';
comment on column stage_duration.mean_time is 'Their mean.';
comment on column stage_duration.p90_time is 'The time that nine in ten of them did not exceed, interpolated (percentile_cont).';

create type cohort_period as (
  cohort date,
  period_number integer,
  customers bigint,
  active bigint,
  rate double precision,
  is_complete boolean
);

comment on type cohort_period is 'A row of cohort_retention: a cohort in one of its periods.';
comment on column cohort_period.cohort is 'The first day of the period in which its customers first became active.';
comment on column cohort_period.period_number is 'Which period this is about: 0 is the cohort''s own, 1 the next.';
comment on column cohort_period.customers is 'How many customers the cohort has.';
comment on column cohort_period.active is 'How many of them were active at some moment of the period.';
comment on column cohort_period.rate is 'Their share.';
comment on column cohort_period.is_complete is 'Whether the period is over; until then more may become active.';

create type subscription_curve_point as (
  source customer_source,
  days integer,
  at_risk bigint,
  subscribed bigint,
  censored bigint,
  waiting double precision,
  lower_limit double precision,
  upper_limit double precision
);

comment on type subscription_curve_point is 'A row of time_to_subscription: the curve on a day.';
comment on column subscription_curve_point.source is 'Whose customers these are; NULL where they are those of all sources.';
comment on column subscription_curve_point.days is 'Whole days since the customers came, rounded down.';
comment on column subscription_curve_point.at_risk is 'How many had neither subscribed nor gone out of sight before that day.';
comment on column subscription_curve_point.subscribed is 'How many first became active on that day.';
comment on column subscription_curve_point.censored is
  'How many have not yet, and came so many days ago: nobody knows of them beyond that day.';
comment on column subscription_curve_point.waiting is 'S: the estimated share of customers who subscribe later than that day, or never.';
comment on column subscription_curve_point.lower_limit is 'The lower confidence limit of waiting; NULL where that is 0 or 1.';
comment on column subscription_curve_point.upper_limit is 'The upper confidence limit of waiting; NULL where that is 0 or 1.';

create type source_conversion as (
  source customer_source,
  leads bigint,
  subscribed bigint,
  undecided bigint,
  sample_size bigint,
  conversion double precision,
  lower_limit double precision,
  upper_limit double precision,
  median_days double precision
);

comment on type source_conversion is 'A row of source_performance: a source, and what became of its customers.';
comment on column source_conversion.source is 'How the customers came.';
comment on column source_conversion.leads is 'How many came, but for those who were active at once: when they had come, nobody knows.';
comment on column source_conversion.subscribed is 'How many of them became active within the window.';
comment on column source_conversion.undecided is 'How many have not, and still may, since their window is open.';
comment on column source_conversion.sample_size is 'The leads whose window is over: what conversion is a share of.';
comment on column source_conversion.conversion is 'The share of the sample that became active within the window; NULL where there is no sample.';
comment on column source_conversion.lower_limit is 'Wilson''s lower 95 % limit of conversion.';
comment on column source_conversion.upper_limit is 'Wilson''s upper 95 % limit of conversion.';
comment on column source_conversion.median_days is 'The median of the days until they subscribed, of those of the sample who did.';

-- The checks of what reports are asked for. They are called as the caller, who may call them.
create function check_report_span(since timestamptz, until timestamptz) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if since is null or until is null then
        raise exception 'a report is of a time from since until until'
          using errcode = '22023',
                detail = format('since is %s, until is %s.', coalesce(since::text, 'NULL'), coalesce(until::text, 'NULL')),
                hint = 'Leave them out for all of the time.';
      elsif since > until then
        raise exception 'since is after until'
          using errcode = '22023',
                detail = format('since is %s, until is %s.', since, until),
                hint = 'since is the first moment of the report, until the first one after it.';
      end if;
    end
  $$;

create function check_report_window(within_window interval) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if within_window is null then
        raise exception 'a report needs a window' using errcode = '22023', hint = 'Leave within_window out for the usual one.';
      -- Since PostgreSQL 17 an interval can be infinite.
      elsif not isfinite(within_window) then
        raise exception 'a window is not infinite'
          using errcode = '22023', detail = format('It is %s.', within_window), hint = 'Write many days: ''36500 days''.';
      elsif extract(year from within_window) * 12 + extract(month from within_window) <> 0 then
        raise exception 'a window has no months'
          using errcode = '22023',
                detail = format('It is %s.', within_window),
                hint = 'A month has no fixed length: write days.';
      elsif within_window < interval '0' then
        raise exception 'a window is not negative'
          using errcode = '22023', detail = format('It is %s.', within_window), hint = 'Write zero days or more.';
      end if;
    end
  $$;

create function check_report_flag(by_source boolean) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if by_source is null then
        raise exception 'by_source is NULL' using errcode = '22023', hint = 'Say true or false, or leave it out.';
      end if;
    end
  $$;

create function check_funnel_steps(steps customer_stage[]) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if array_ndims(steps) > 1 then
        raise exception 'the steps of a funnel are in one line'
          using errcode = '22023', detail = format('The steps are %s.', steps), hint = 'Write an array of one dimension.';
      elsif steps is null or cardinality(steps) = 0 or array_position(steps, null) is not null then
        raise exception 'a funnel has steps, each of them a stage'
          using errcode = '22023',
                detail = format('The steps are %s.', coalesce(steps::text, 'NULL')),
                hint = 'Write the stages in order, as ''{lead,trial,active}''.';
      elsif (select count(distinct step) from unnest(steps) as listed (step)) < cardinality(steps) then
        raise exception 'a stage is a step of the funnel twice'
          using errcode = '22023', detail = format('The steps are %s.', steps), hint = 'Name each stage once.';
      elsif cardinality(steps) > 32 then
        raise exception 'a funnel has at most 32 steps'
          using errcode = '22023', detail = format('This one has %s.', cardinality(steps)), hint = 'Leave some out.';
      end if;
    end
  $$;

create function check_cohort_periods(period text, periods integer, time_zone text) returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if period is null or period not in ('day', 'week', 'month', 'quarter', 'year') then
        raise exception 'unknown period %', coalesce('"' || left(period, 63) || '"', 'NULL')
          using errcode = '22023', hint = 'It is one of day, week, month, quarter, year.';
      elsif periods is null or periods < 0 then
        raise exception 'a cohort is followed for some periods'
          using errcode = '22023',
                detail = format('periods is %s.', coalesce(periods::text, 'NULL')),
                hint = 'Write how many are to follow the cohort''s own: zero or more.';
      elsif time_zone is null then
        raise exception 'a period needs a time zone' using errcode = '22023', hint = 'Leave time_zone out for UTC.';
      end if;
      begin
        perform now() at time zone time_zone;
      exception when invalid_parameter_value then
        raise exception 'unknown time zone "%"', left(time_zone, 63)
          using errcode = '22023', hint = 'pg_timezone_names has those that there are, as America/New_York.';
      end;
    end
  $$;

-- Which period a local time is in, by a count that is one higher for the next period. A week begins on Monday, as the
-- first day of year 1 was.
create function period_index(period text, at timestamp) returns integer
  language sql
  immutable
  parallel safe
  return case period
    when 'day' then at::date - date '0001-01-01'
    when 'week' then (at::date - date '0001-01-01') / 7
    when 'month' then date_part('year', at)::integer * 12 + date_part('month', at)::integer
    when 'quarter' then date_part('year', at)::integer * 4 + date_part('quarter', at)::integer
    else date_part('year', at)::integer
  end;

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

comment on function check_report_span(timestamptz, timestamptz) is 'Refuses a time that no report can be of; 22023.';
comment on function check_report_window(interval) is 'Refuses a window that is none, or of no fixed length; 22023.';
comment on function check_report_flag(boolean) is 'Refuses a by_source that says neither; 22023.';
comment on function check_funnel_steps(customer_stage[]) is 'Refuses steps that no funnel has; 22023.';
comment on function check_cohort_periods(text, integer, text) is 'Refuses periods that cohort_retention does not know; 22023.';
comment on function period_index(text, timestamp) is 'Which period a local time is in: one more for the next.';
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
    'check_report_span(timestamptz, timestamptz)',
    'check_report_window(interval)',
    'check_report_flag(boolean)',
    'check_funnel_steps(customer_stage[])',
    'check_cohort_periods(text, integer, text)',
    'period_index(text, timestamp)',
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
drop function period_index(text, timestamp);
drop function check_cohort_periods(text, integer, text);
drop function check_funnel_steps(customer_stage[]);
drop function check_report_flag(boolean);
drop function check_report_window(interval);
drop function check_report_span(timestamptz, timestamptz);
drop type source_conversion;
drop type subscription_curve_point;
drop type cohort_period;
drop type stage_duration;
drop type journey_funnel_step;

alter table customer_stage_transitions
  drop constraint customer_stage_transitions_brand_id_customer_id_position_key,
  add constraint customer_stage_transitions_brand_id_customer_id_position_key unique (brand_id, customer_id, position);
