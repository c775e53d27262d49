select
  step::text,
  stage::text,
  customers::text,
  undecided::text,
  coalesce(round(100 * conversion)::text || ' %', '-') as conversion,
  coalesce(date_trunc('hour', median_time)::text, '-') as "median time"
from journey_funnel()
order by step
