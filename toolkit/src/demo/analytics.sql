select
  stage::text as stage,
  sum(count)::text as customers,
  sum(count_30d)::text as "last 30 days",
  coalesce(round(sum(avg_days_to_subscription * count) / sum(count), 1)::text, '-') as "days to subscription"
from customer_analytics
group by customer_analytics.stage
order by customer_analytics.stage
