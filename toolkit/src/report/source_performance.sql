select
  sources.source::text as source,
  sources.leads,
  sources.subscribed,
  sources.undecided,
  sources.sample_size,
  sources.conversion,
  sources.lower_limit,
  sources.upper_limit,
  sources.median_days
from public.source_performance(
  since => $1::text::timestamptz,
  until => $2::text::timestamptz,
  within_window => make_interval(days => $3)
) as sources
order by sources.source
