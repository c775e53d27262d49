-- What cohort_retention says, each cohort looked at in each of its periods, from one moment to another.
with asked as (
  select
    :period::text as period,
    :zone::text as zone,
    case :period when 'quarter' then interval '3 months' else ('1 ' || :period)::interval end as length
),
visits as (
  select
    transitions.customer_id,
    transitions.occurred_at as entered_at,
    (
      select following.occurred_at
      from customer_stage_transitions as following
      where following.brand_id = :brand
        and following.customer_id = transitions.customer_id
        and following.position = transitions.position + 1
    ) as left_at
  from customer_stage_transitions as transitions
  where transitions.brand_id = :brand and transitions.to_stage = 'active'
),
members as (
  select visits.customer_id, date_trunc(asked.period, min(visits.entered_at) at time zone asked.zone) as cohort
  from visits
  cross join asked
  group by visits.customer_id, asked.period, asked.zone
  having min(visits.entered_at) >= :since::timestamptz and min(visits.entered_at) < :until::timestamptz
),
periods as (
  select
    cohorts.cohort,
    number,
    (cohorts.cohort + number * asked.length) at time zone asked.zone as begins_at,
    (cohorts.cohort + (number + 1) * asked.length) at time zone asked.zone as ends_at
  from (select distinct cohort from members) as cohorts
  cross join asked
  cross join generate_series(0, :periods) as number
)
select
  periods.cohort::date,
  periods.number,
  count(*),
  count(*) filter (where is_active),
  avg(is_active::integer)::float8,
  periods.ends_at <= now()
from periods
join members using (cohort)
cross join lateral (
  select exists (
    select
    from visits
    where visits.customer_id = members.customer_id
      and visits.entered_at < periods.ends_at
      and (visits.entered_at >= periods.begins_at or visits.left_at > periods.begins_at or visits.left_at is null)
  ) as is_active
) as looked_at
where periods.begins_at <= now()
group by periods.cohort, periods.number, periods.ends_at
order by periods.cohort, periods.number
