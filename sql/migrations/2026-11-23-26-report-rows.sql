-- What the reports of the journey answer with, what they may be asked for, and an index that they read.

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

comment on function check_report_span(timestamptz, timestamptz) is 'Refuses a time that no report can be of; 22023.';
comment on function check_report_window(interval) is 'Refuses a window that is none, or of no fixed length; 22023.';
comment on function check_report_flag(boolean) is 'Refuses a by_source that says neither; 22023.';
comment on function check_funnel_steps(customer_stage[]) is 'Refuses steps that no funnel has; 22023.';
comment on function check_cohort_periods(text, integer, text) is 'Refuses periods that cohort_retention does not know; 22023.';
comment on function period_index(text, timestamp) is 'Which period a local time is in: one more for the next.';

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
    'period_index(text, timestamp)'
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
