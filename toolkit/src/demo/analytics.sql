select
  brand_id::text,
  stage::text,
  sum(count)::text,
  sum(count_30d)::text,
  coalesce(round(sum(avg_days_to_subscription * count) / sum(count), 1)::text, '-')
from customer_analytics
group by brand_id, stage
order by stage
