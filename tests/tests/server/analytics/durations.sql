-- What stage_durations says, each visit's end looked up by itself and each quantile between two neighbours.
with visits as (
  select
    transitions.to_stage as stage,
    (
      select extract(epoch from following.occurred_at)
      from customer_stage_transitions as following
      where following.brand_id = :brand
        and following.customer_id = transitions.customer_id
        and following.position = transitions.position + 1
    ) - extract(epoch from transitions.occurred_at) as seconds
  from customer_stage_transitions as transitions
  where transitions.brand_id = :brand
    and transitions.occurred_at >= :since::timestamptz
    and transitions.occurred_at < :until::timestamptz
),
stages as (
  select
    stage,
    count(*) as entries,
    count(*) - count(seconds) as still_there,
    array_agg(seconds order by seconds) filter (where seconds is not null) as times
  from visits
  group by stage
),
places as (
  select *, 0.5 * (cardinality(times) - 1) as median_place, 0.9 * (cardinality(times) - 1) as p90_place from stages
)
select
  stage,
  entries,
  still_there,
  times[floor(median_place)::integer + 1]
    + (median_place - floor(median_place)) * (times[ceil(median_place)::integer + 1] - times[floor(median_place)::integer + 1]),
  (select sum(seconds) / count(*) from unnest(times) as seconds),
  times[floor(p90_place)::integer + 1]
    + (p90_place - floor(p90_place)) * (times[ceil(p90_place)::integer + 1] - times[floor(p90_place)::integer + 1])
from places
order by stage
