-- What source_performance says; Wilson's limits as what they are, the shares x for which (p - x)² = z² x (1 - x) / n.
with leads as (
  select
    customers.source,
    came.occurred_at as came_at,
    exists (
      select
      from customer_stage_transitions as moves
      where moves.brand_id = customers.brand_id
        and moves.customer_id = customers.id
        and moves.to_stage = 'active'
        and moves.occurred_at - came.occurred_at <= :window::interval
    ) as is_subscribed,
    (
      select extract(epoch from moves.occurred_at - came.occurred_at) / 86400
      from customer_stage_transitions as moves
      where moves.brand_id = customers.brand_id and moves.customer_id = customers.id and moves.to_stage = 'active'
      order by moves.position
      limit 1
    ) as days
  from customers
  join customer_stage_transitions as came
    on came.brand_id = customers.brand_id and came.customer_id = customers.id and came.position = 1
  where customers.brand_id = :brand
    and came.to_stage::text not in ('active')
    and came.occurred_at >= :since::timestamptz
    and came.occurred_at < :until::timestamptz
),
counts as (
  select
    source,
    count(*) as leads,
    count(*) filter (where is_subscribed) as subscribed,
    count(*) filter (where not is_subscribed and now() - came_at <= :window::interval) as undecided,
    count(*) filter (where now() - came_at > :window::interval)::float8 as n,
    count(*) filter (where is_subscribed and now() - came_at > :window::interval) as converted,
    array_agg(days order by days) filter (where is_subscribed and now() - came_at > :window::interval) as days
  from leads
  group by source
),
terms as (
  select
    *,
    1.959963984540054 ^ 2 / nullif(n, 0) as z2_by_n,
    converted / nullif(n, 0) as p
  from counts
)
select
  source,
  leads,
  subscribed,
  undecided,
  n,
  p,
  (2 * p + z2_by_n - sqrt((2 * p + z2_by_n) ^ 2 - 4 * (1 + z2_by_n) * p ^ 2)) / (2 * (1 + z2_by_n)),
  (2 * p + z2_by_n + sqrt((2 * p + z2_by_n) ^ 2 - 4 * (1 + z2_by_n) * p ^ 2)) / (2 * (1 + z2_by_n)),
  (days[(cardinality(days) + 1) / 2] + days[cardinality(days) / 2 + 1]) / 2
from terms
order by source
