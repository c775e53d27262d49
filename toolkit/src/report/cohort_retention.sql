select
  retention.cohort::text as cohort,
  retention.period_number,
  retention.customers,
  retention.active,
  retention.rate,
  retention.is_complete
from public.cohort_retention(
  period => 'month',
  since => $1::text::timestamptz,
  until => $2::text::timestamptz,
  periods => $3,
  time_zone => 'UTC'
) as retention
order by retention.cohort, retention.period_number
