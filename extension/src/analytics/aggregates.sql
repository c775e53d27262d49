-- The deserialise function of all: what a parallel process has sent is read by the combine function.
create function aggregate_state_received(bytea, internal) returns internal
  language c immutable strict parallel safe
  as 'MODULE_PATHNAME', 'aggregate_state_received_wrapper';

-- window_funnel

create function window_funnel_add(internal, within_window interval, occurred_at timestamptz, variadic steps boolean[])
  returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'window_funnel_add_wrapper';
create function window_funnel_send(internal) returns bytea
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'window_funnel_send_wrapper';
create function window_funnel_combine(internal, internal) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'window_funnel_combine_wrapper';
create function window_funnel_level(internal) returns integer
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'window_funnel_level_wrapper';

create aggregate window_funnel(within_window interval, occurred_at timestamptz, variadic steps boolean[]) (
  sfunc = @extschema@.window_funnel_add,
  stype = internal,
  sspace = 256,
  finalfunc = @extschema@.window_funnel_level,
  combinefunc = @extschema@.window_funnel_combine,
  serialfunc = @extschema@.window_funnel_send,
  deserialfunc = @extschema@.aggregate_state_received,
  parallel = safe
);

comment on aggregate window_funnel(interval, timestamptz, variadic boolean[]) is
  'How many of the steps one customer took in this order and within the window of the first: the greatest n for which there are t1 <= t2 <= ... <= tn <= t1 + within_window such that an event at ti meets the condition of step i, as windowFunnel of ClickHouse counts by default. 0 where there is none; events without a time are left out. 22023 for a window that is negative or has months, and for more than 32 steps.';

-- retention

create function retention_add(bigint, variadic conditions boolean[]) returns bigint
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'retention_add_wrapper';
create function retention_combine(bigint, bigint) returns bigint
  language c immutable strict parallel safe
  as 'MODULE_PATHNAME', 'retention_combine_wrapper';
create function retention_result(bigint) returns boolean[]
  language c immutable strict parallel safe
  as 'MODULE_PATHNAME', 'retention_result_wrapper';

create aggregate retention(variadic conditions boolean[]) (
  sfunc = @extschema@.retention_add,
  stype = bigint,
  finalfunc = @extschema@.retention_result,
  combinefunc = @extschema@.retention_combine,
  parallel = safe
);

comment on aggregate retention(variadic boolean[]) is
  'Whether any row of one customer met the first condition; and for each other, whether any row met it and any row met the first, as retention of ClickHouse says. NULL of no rows. 22023 for more than 32 conditions.';

-- kaplan_meier

create type survival_point as (
  duration double precision,
  at_risk bigint,
  events bigint,
  censored bigint,
  survival double precision,
  std_error double precision,
  lower_limit double precision,
  upper_limit double precision
);

comment on type survival_point is 'A point of a survival curve.';
comment on column survival_point.duration is 'A duration that a subject has, in the unit that the durations are given in.';
comment on column survival_point.at_risk is 'How many were still watched just before it.';
comment on column survival_point.events is 'To how many the event happened then.';
comment on column survival_point.censored is 'How many were last seen then, without an event.';
comment on column survival_point.survival is 'The share to whom the event happens later than this, as estimated.';
comment on column survival_point.std_error is 'The standard error of survival, by Greenwood; NULL where survival is 0.';
comment on column survival_point.lower_limit is 'The lower confidence limit of survival; NULL where survival is 0 or 1.';
comment on column survival_point.upper_limit is 'The upper confidence limit of survival; NULL where survival is 0 or 1.';

create function kaplan_meier_add(internal, duration double precision, observed boolean) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'kaplan_meier_add_wrapper';
create function kaplan_meier_add(internal, duration double precision, observed boolean, confidence double precision)
  returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'kaplan_meier_add_wrapper';
create function kaplan_meier_send(internal) returns bytea
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'kaplan_meier_send_wrapper';
create function kaplan_meier_combine(internal, internal) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'kaplan_meier_combine_wrapper';
create function kaplan_meier_curve(internal) returns survival_point[]
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'kaplan_meier_curve_wrapper';

create aggregate kaplan_meier(duration double precision, observed boolean) (
  sfunc = @extschema@.kaplan_meier_add,
  stype = internal,
  sspace = 1024,
  finalfunc = @extschema@.kaplan_meier_curve,
  combinefunc = @extschema@.kaplan_meier_combine,
  serialfunc = @extschema@.kaplan_meier_send,
  deserialfunc = @extschema@.aggregate_state_received,
  parallel = safe
);

create aggregate kaplan_meier(duration double precision, observed boolean, confidence double precision) (
  sfunc = @extschema@.kaplan_meier_add,
  stype = internal,
  sspace = 1024,
  finalfunc = @extschema@.kaplan_meier_curve,
  combinefunc = @extschema@.kaplan_meier_combine,
  serialfunc = @extschema@.kaplan_meier_send,
  deserialfunc = @extschema@.aggregate_state_received,
  parallel = safe
);

comment on aggregate kaplan_meier(double precision, boolean) is
  'The survival curve of subjects that were watched for a duration, until the event was observed or until they were last seen: a point for each duration, with limits of 95 % on the scale of log(-log). Rows with NULL are left out; NULL of no rows. 22023 for a duration that is negative (left censoring) or not finite.';
comment on aggregate kaplan_meier(double precision, boolean, double precision) is
  'The same with limits of another confidence, such as 0.9; 22023 where it is not between 0 and 1.';

-- state_durations

create function state_durations_add(internal, state text, occurred_at timestamptz) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'state_durations_add_wrapper';
create function state_durations_send(internal) returns bytea
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'state_durations_send_wrapper';
create function state_durations_combine(internal, internal) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'state_durations_combine_wrapper';
create function state_durations_result(internal) returns jsonb
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'state_durations_result_wrapper';

create aggregate state_durations(state text, occurred_at timestamptz) (
  sfunc = @extschema@.state_durations_add,
  stype = internal,
  sspace = 512,
  finalfunc = @extschema@.state_durations_result,
  combinefunc = @extschema@.state_durations_combine,
  serialfunc = @extschema@.state_durations_send,
  deserialfunc = @extschema@.aggregate_state_received,
  parallel = safe
);

comment on aggregate state_durations(text, timestamptz) is
  'The time that one customer spent in each state, by the events that brought it there: {"state": {"visits": how many, "seconds": altogether, "is_current": whether it is there still}}. The current visit counts until the last event. Rows with NULL are left out; NULL of no rows. 22008 for an infinite time, 54000 for more than 1000 states, or a name of more than 1000 bytes.';

-- funnel

create type funnel_step as (
  step integer,
  subjects bigint,
  waiting bigint,
  decided bigint,
  median_time interval
);

comment on type funnel_step is 'A step of a funnel.';
comment on column funnel_step.step is 'The step, from 1.';
comment on column funnel_step.subjects is 'How many came to it.';
comment on column funnel_step.waiting is 'How many of them came no further yet, and still may: their window is not over.';
comment on column funnel_step.decided is
  'How many of those who came to it last took the first step so long ago that their window is over: shares are taken of these, for who is quick would count, and who is slow would not.';
comment on column funnel_step.median_time is 'The median of the time from the step before; NULL for the first.';

create function funnel_add(
  internal,
  subject uuid,
  occurred_at timestamptz,
  stage anyenum,
  steps anyarray,
  within_window interval,
  entered_before timestamptz,
  observed_until timestamptz
)
  returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'funnel_add_wrapper';
create function funnel_send(internal) returns bytea
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'funnel_send_wrapper';
create function funnel_combine(internal, internal) returns internal
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'funnel_combine_wrapper';
create function funnel_steps(internal) returns funnel_step[]
  language c immutable parallel safe
  as 'MODULE_PATHNAME', 'funnel_steps_wrapper';

create aggregate funnel(
  subject uuid,
  occurred_at timestamptz,
  stage anyenum,
  steps anyarray,
  within_window interval,
  entered_before timestamptz,
  observed_until timestamptz
) (
  sfunc = @extschema@.funnel_add,
  stype = internal,
  sspace = 8388608,
  finalfunc = @extschema@.funnel_steps,
  combinefunc = @extschema@.funnel_combine,
  serialfunc = @extschema@.funnel_send,
  deserialfunc = @extschema@.aggregate_state_received,
  parallel = safe
);

comment on aggregate funnel(uuid, timestamptz, anyenum, anyarray, interval, timestamptz, timestamptz) is
  'The funnel of all subjects at once: for each step, how many came to it, as window_funnel counts, how many of them may still go on after observed_until, and the median time from the step before. A first step counts before entered_before only. It keeps the events in memory, without sorting or grouping the rows. Rows with NULL are left out; NULL of no rows. 22023 for a window that is negative or has months, for more than 32 steps and for a step that is there twice; 54000 for more than 33554432 events.';

comment on function aggregate_state_received(bytea, internal) is 'Part of the aggregates: what a parallel process has sent, as it came.';
comment on function window_funnel_add(internal, interval, timestamptz, variadic boolean[]) is 'Part of the aggregate window_funnel: adds an event.';
comment on function window_funnel_send(internal) is 'Part of the aggregate window_funnel: what a parallel process sends.';
comment on function window_funnel_combine(internal, internal) is 'Part of the aggregate window_funnel: adds what a parallel process has sent.';
comment on function window_funnel_level(internal) is 'Part of the aggregate window_funnel: the level.';
comment on function retention_add(bigint, variadic boolean[]) is 'Part of the aggregate retention: adds a row.';
comment on function retention_combine(bigint, bigint) is 'Part of the aggregate retention: adds what a parallel process has.';
comment on function retention_result(bigint) is 'Part of the aggregate retention: the answer.';
comment on function kaplan_meier_add(internal, double precision, boolean) is 'Part of the aggregate kaplan_meier: adds a subject.';
comment on function kaplan_meier_add(internal, double precision, boolean, double precision) is 'Part of the aggregate kaplan_meier: adds a subject.';
comment on function kaplan_meier_send(internal) is 'Part of the aggregate kaplan_meier: what a parallel process sends.';
comment on function kaplan_meier_combine(internal, internal) is 'Part of the aggregate kaplan_meier: adds what a parallel process has sent.';
comment on function kaplan_meier_curve(internal) is 'Part of the aggregate kaplan_meier: the curve.';
comment on function state_durations_add(internal, text, timestamptz) is 'Part of the aggregate state_durations: adds an event.';
comment on function state_durations_send(internal) is 'Part of the aggregate state_durations: what a parallel process sends.';
comment on function state_durations_combine(internal, internal) is 'Part of the aggregate state_durations: adds what a parallel process has sent.';
comment on function state_durations_result(internal) is 'Part of the aggregate state_durations: the times.';
comment on function funnel_add(internal, uuid, timestamptz, anyenum, anyarray, interval, timestamptz, timestamptz) is 'Part of the aggregate funnel: adds an event.';
comment on function funnel_send(internal) is 'Part of the aggregate funnel: what a parallel process sends.';
comment on function funnel_combine(internal, internal) is 'Part of the aggregate funnel: adds what a parallel process has sent.';
comment on function funnel_steps(internal) is 'Part of the aggregate funnel: the steps.';

-- The parts are for the aggregates, which run them as their owner.
do $$
declare
  part regprocedure;
begin
  for part in
    select pg_proc.oid
    from pg_proc
    where pronamespace = '@extschema@'::regnamespace
      and prokind = 'f'
      and proname ~ '^(window_funnel|retention|kaplan_meier|state_durations|funnel|aggregate_state)_'
  loop
    execute format('revoke all on function %s from public', part);
  end loop;
end
$$;

-- Functions of their arguments alone: for PUBLIC, on purpose.
grant execute on function window_funnel(interval, timestamptz, variadic boolean[]) to public;
grant execute on function retention(variadic boolean[]) to public;
grant execute on function kaplan_meier(double precision, boolean) to public;
grant execute on function kaplan_meier(double precision, boolean, double precision) to public;
grant execute on function state_durations(text, timestamptz) to public;
grant execute on function funnel(uuid, timestamptz, anyenum, anyarray, interval, timestamptz, timestamptz) to public;
