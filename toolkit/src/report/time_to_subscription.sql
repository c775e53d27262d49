select
  curve.days,
  curve.at_risk,
  curve.subscribed,
  curve.censored,
  curve.waiting,
  curve.lower_limit,
  curve.upper_limit
from public.time_to_subscription(
  since => $1::text::timestamptz,
  until => $2::text::timestamptz,
  confidence => $3
) as curve
order by curve.days
