select
  durations.stage::text as stage,
  durations.entries,
  durations.still_there,
  extract(epoch from durations.median_time)::double precision as median_seconds,
  extract(epoch from durations.mean_time)::double precision as mean_seconds,
  extract(epoch from durations.p90_time)::double precision as p90_seconds
from public.stage_durations(
  since => $1::text::timestamptz,
  until => $2::text::timestamptz
) as durations
order by durations.stage
