-- Without security_invoker a view reads as its owner, and would show every brand to whoever may select from it.

create view customer_analytics with (security_invoker = true) as
select
  brand_id,
  stage,
  source,
  count(*) as count,
  count(*) filter (where created_at >= now() - interval '30 days') as count_30d,
  avg(extract(epoch from (subscribed_at - created_at)) / 86400)
    filter (where subscribed_at is not null) as avg_days_to_subscription
from customers
where is_active
group by brand_id, stage, source;

comment on view customer_analytics is
  'Active customers of the brand by stage and source: how many, how many of the last 30 days, average days to subscribe.';

grant select on customer_analytics to percytech_app;

-- rollback

drop view customer_analytics;
