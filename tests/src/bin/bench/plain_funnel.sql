select
  count(*) filter (where level >= 1),
  count(*) filter (where level >= 2),
  count(*) filter (where level >= 3),
  count(*) filter (where level >= 4)
from (
  select
    leads.customer_id,
    max(
      case
        when actives.customer_id is not null then 4
        when trials.customer_id is not null then 3
        when marketing.customer_id is not null then 2
        else 1
      end
    ) as level
  from customer_stage_transitions as leads
  left join customer_stage_transitions as marketing
    on marketing.customer_id = leads.customer_id
    and marketing.to_stage = 'marketing'
    and marketing.occurred_at between leads.occurred_at and leads.occurred_at + interval '30 days'
  left join customer_stage_transitions as trials
    on trials.customer_id = leads.customer_id
    and trials.to_stage = 'trial'
    and trials.occurred_at between marketing.occurred_at and leads.occurred_at + interval '30 days'
  left join customer_stage_transitions as actives
    on actives.customer_id = leads.customer_id
    and actives.to_stage = 'active'
    and actives.occurred_at between trials.occurred_at and leads.occurred_at + interval '30 days'
  where leads.to_stage = 'lead'
  group by leads.customer_id
) as levels
