-- What time_to_subscription says, by the definition: the product, over all days so far, of the share that does not subscribe.
with subjects as (
  select
    case when :by_source then customers.source end as source,
    floor(extract(epoch from coalesce(subscribed.at, now()) - came.occurred_at) / 86400)::integer as days,
    subscribed.at is not null as is_subscribed
  from customers
  join customer_stage_transitions as came
    on came.brand_id = customers.brand_id and came.customer_id = customers.id and came.position = 1
  cross join lateral (
    select min(occurred_at) as at
    from customer_stage_transitions as moves
    where moves.brand_id = customers.brand_id and moves.customer_id = customers.id and moves.to_stage = 'active'
  ) as subscribed
  where customers.brand_id = :brand
    and came.to_stage::text not in ('active')
    and came.occurred_at >= :since::timestamptz
    and came.occurred_at < :until::timestamptz
),
days as (
  select
    points.source,
    points.days,
    (select count(*) from subjects where subjects.source is not distinct from points.source and subjects.days >= points.days) as at_risk,
    count(*) filter (where is_subscribed) as subscribed,
    count(*) filter (where not is_subscribed) as censored
  from subjects as points
  group by points.source, points.days
),
curve as (
  select
    days.*,
    coalesce(
      (
        select exp(sum(ln(1 - earlier.subscribed::float8 / earlier.at_risk)))
        from days as earlier
        where earlier.source is not distinct from days.source
          and earlier.days <= days.days
          and earlier.subscribed between 1 and earlier.at_risk - 1
      ),
      1
    ) as product,
    exists (
      select
      from days as earlier
      where earlier.source is not distinct from days.source
        and earlier.days <= days.days
        and earlier.subscribed = earlier.at_risk
    ) as is_over,
    (
      select sum(earlier.subscribed::float8 / (earlier.at_risk * (earlier.at_risk - earlier.subscribed)))
      from days as earlier
      where earlier.source is not distinct from days.source
        and earlier.days <= days.days
        and earlier.subscribed between 1 and earlier.at_risk - 1
    ) as variance
  from days
)
select
  source,
  days,
  at_risk,
  subscribed,
  censored,
  case when is_over then 0 else product end,
  case when not is_over and variance > 0 then product ^ exp(-:z * sqrt(variance) / ln(product)) end,
  case when not is_over and variance > 0 then product ^ exp(:z * sqrt(variance) / ln(product)) end
from curve
order by source, days
