select
  funnel.step,
  funnel.stage::text as stage,
  funnel.source::text as source,
  funnel.customers,
  funnel.undecided,
  funnel.conversion,
  funnel.step_conversion,
  extract(epoch from funnel.median_time)::double precision as median_seconds
from public.journey_funnel(
  since => $1::text::timestamptz,
  until => $2::text::timestamptz,
  within_window => make_interval(days => $3),
  by_source => $4
) as funnel
order by funnel.source, funnel.step
