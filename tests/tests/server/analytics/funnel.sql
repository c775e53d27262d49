-- What journey_funnel says, found by trying every chain of moves.
with recursive
asked as (
  select :steps::customer_stage[] as steps, :since::timestamptz as since, :until::timestamptz as until, :window::interval as within_window
),
events as (
  select
    transitions.customer_id,
    transitions.occurred_at,
    array_position(asked.steps, transitions.to_stage) as step,
    case when :by_source then customers.source end as source
  from customer_stage_transitions as transitions
  join customers on customers.brand_id = transitions.brand_id and customers.id = transitions.customer_id
  cross join asked
  where transitions.brand_id = :brand and transitions.occurred_at >= asked.since
),
chains as (
  select events.customer_id, events.source, 1 as level, array[events.occurred_at] as times
  from events
  cross join asked
  where events.step = 1 and events.occurred_at < asked.until
  union
  select chains.customer_id, chains.source, chains.level + 1, chains.times || events.occurred_at
  from chains
  join events on events.customer_id = chains.customer_id and events.step = chains.level + 1
  cross join asked
  where events.occurred_at >= chains.times[chains.level] and events.occurred_at - chains.times[1] <= asked.within_window
),
ranked as (
  select
    chains.*,
    row_number() over (
      partition by chains.customer_id
      order by
        chains.level desc,
        (
          select array_agg(case when place = chains.level then 1 else -1 end * extract(epoch from time) order by place desc)
          from unnest(chains.times) with ordinality as times (time, place)
        )
    ) as rank
  from chains
),
best as (
  select
    ranked.*,
    exists (
      select
      from events
      cross join asked
      where events.customer_id = ranked.customer_id
        and events.step = 1
        and events.occurred_at < asked.until
        and now() - events.occurred_at <= asked.within_window
    ) as is_open
  from ranked
  where rank = 1
),
rows_wanted as (
  select listed.step, listed.stage, sources.source
  from asked
  cross join unnest(asked.steps) with ordinality as listed (stage, step)
  cross join (select distinct source from best union select null where not :by_source) as sources
)
select
  rows_wanted.step,
  rows_wanted.stage,
  rows_wanted.source,
  count(*) filter (where best.level >= rows_wanted.step),
  count(*) filter (where best.level < rows_wanted.step and best.is_open),
  count(*) filter (where best.level >= rows_wanted.step and not best.is_open)::float8
    / nullif(count(*) filter (where not best.is_open), 0),
  case when rows_wanted.step > 1 then
    count(*) filter (where best.level >= rows_wanted.step and not best.is_open)::float8
      / nullif(count(*) filter (where best.level >= rows_wanted.step - 1 and not best.is_open), 0)
  end,
  case when rows_wanted.step > 1 then (
    select floor((taken[(cardinality(taken) + 1) / 2] + taken[cardinality(taken) / 2 + 1]) * 500000) / 1000000
    from (
      select
        array_agg(
          extract(epoch from chosen.times[rows_wanted.step]) - extract(epoch from chosen.times[rows_wanted.step - 1])
          order by chosen.times[rows_wanted.step] - chosen.times[rows_wanted.step - 1]
        ) as taken
      from best as chosen
      where chosen.level >= rows_wanted.step and chosen.source is not distinct from rows_wanted.source
    ) as sorted
  ) end
from rows_wanted
left join best on best.source is not distinct from rows_wanted.source
group by rows_wanted.step, rows_wanted.stage, rows_wanted.source
order by rows_wanted.source, rows_wanted.step
