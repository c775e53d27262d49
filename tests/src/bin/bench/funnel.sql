-- 1.5 million moves of 500,000 customers, in the order of time, as a history is written.

set session_replication_role = replica;

insert into customers (id, brand_id, email, stage, created_at)
select
  md5(number::text)::uuid,
  'gnymble',
  number || '@example.com',
  (enum_range(null::customer_stage))[1 + number % 5],
  '2025-01-01'::timestamptz + number % 997 * interval '10 hours'
from generate_series(1, 500000) as number;

select setseed(0.5);

insert into customer_stage_transitions (brand_id, customer_id, position, from_stage, to_stage, actor, occurred_at)
select
  'gnymble',
  md5(number::text)::uuid,
  position,
  case when position > 1 then (enum_range(null::customer_stage))[position - 1] end,
  (enum_range(null::customer_stage))[position],
  'bench',
  '2025-01-01'::timestamptz + number % 997 * interval '10 hours' + (position - 1 + random() * 0.9) * interval '8 days'
from generate_series(1, 500000) as number, generate_series(1, 1 + number % 5) as position
order by 7;

reset session_replication_role;
