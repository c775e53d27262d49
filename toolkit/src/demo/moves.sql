-- The moves of the customers of the brand in context, as far as they have come by now.
select count(*)
from transition_stages(
  (
    select
      jsonb_agg(
        jsonb_build_object('customer_id', customers.id, 'to_stage', moves.to_stage, 'occurred_at', moves.occurred_at)
        order by moves.occurred_at
      )
    from customers
    cross join lateral (
      select listed.to_stage, customers.created_at + (customers.metadata ->> 'takes')::interval * listed.after as occurred_at
      from (
        values
          ('marketing', 0.25, '{marketing,trial,active,churned,dormant}'::text[]),
          ('trial', 0.5, '{trial,active,churned}'),
          ('active', 1, '{active,churned}'),
          ('churned', 3, '{churned}'),
          ('dormant', 2, '{dormant}')
      ) as listed (to_stage, after, of_who_heads_for)
      where customers.metadata ->> 'heads_for' = any (listed.of_who_heads_for)
    ) as moves
    where moves.occurred_at <= now()
  )
) as moved
where moved.outcome = 'moved'
