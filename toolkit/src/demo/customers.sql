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
    -- Of a hundred, so many head for each stage.
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
insert into customers (brand_id, email, phone, first_name, last_name, source, metadata, created_at)
select
  percytech.current_brand()::brand_id,
  lower(first_name || '.' || last_name || number || '@example.com'),
  '+1555' || lpad(number::text, 7, '0'),
  first_name,
  last_name,
  (enum_range(null::customer_source))[1 + number % 8],
  jsonb_build_object('heads_for', stage, 'takes', took),
  created_at
from people
