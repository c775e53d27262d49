-- Customers of the brand in context, $1 of them. Everything follows from brand and number, so that a demo is like the
-- next.
with brand as (
  select array_position(enum_range(null::brand_id), percytech.current_brand()::brand_id) as place
),
people as (
  select
    number,
    (array['Ada', 'Grace', 'Alan', 'Katherine', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Tony', 'Frances'])
      [1 + number % 10] as first_name,
    (array['Hopper', 'Lovelace', 'Turing', 'Johnson', 'Dijkstra', 'Liskov', 'Knuth', 'Perlman', 'Hoare', 'Allen', 'Wilkes'])
      [1 + (number + 4 * place) % 11] as last_name,
    -- Of a hundred, so many are in each stage.
    (case
      when number % 100 < 34 then 'lead'
      when number % 100 < 52 then 'marketing'
      when number % 100 < 63 then 'trial'
      when number % 100 < 85 then 'active'
      when number % 100 < 95 then 'churned'
      else 'dormant'
    end)::customer_stage as stage,
    now() - (number * 7919 % 400) * interval '1 day' - (number * 104729 % 86400) * interval '1 second' as created_at,
    (2 + number % 40) * interval '1 day' as took
  from brand, generate_series(1, $1::integer) as number
)
insert into customers (
  brand_id, email, phone, first_name, last_name, stage, source,
  marketing_qualified_at, trial_started_at, subscribed_at, churned_at, created_at
)
select
  percytech.current_brand()::brand_id,
  lower(first_name || '.' || last_name || number || '@example.com'),
  '+1555' || lpad(number::text, 7, '0'),
  first_name,
  last_name,
  stage,
  (enum_range(null::customer_source))[1 + number % 8],
  case when stage <> 'lead' then created_at + took / 4 end,
  case when stage in ('trial', 'active', 'churned') then created_at + took / 2 end,
  case when stage in ('active', 'churned') then created_at + took end,
  case when stage = 'churned' then created_at + took * 3 end,
  created_at
from people
