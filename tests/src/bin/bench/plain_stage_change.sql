with moved as (
  update plain_customers
  set
    stage = case stage when 'lead' then 'marketing' else 'lead' end::customer_stage,
    marketing_qualified_at = coalesce(marketing_qualified_at, case stage when 'lead' then now() end)
  where brand_id = 'percymd' and email = :number || '@example.com'
  returning id, brand_id, stage
)
insert into plain_transitions (brand_id, customer_id, position, from_stage, to_stage, actor, occurred_at)
select
  moved.brand_id, moved.id, last.position + 1, last.to_stage, moved.stage, session_user, now()
from moved
cross join lateral (
  select position, to_stage
  from plain_transitions
  where plain_transitions.brand_id = moved.brand_id and plain_transitions.customer_id = moved.id
  order by position desc
  limit 1
) as last;
