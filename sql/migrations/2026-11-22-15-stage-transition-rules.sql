-- Which stages a customer may go to from which: the graph is data, and each brand's own.

create table stage_transition_rules (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  from_stage customer_stage not null,
  to_stage customer_stage not null,

  created_at timestamptz not null default now(),

  constraint stage_transition_rules_pkey primary key (brand_id, id),
  constraint stage_transition_rules_brand_id_from_stage_to_stage_key unique (brand_id, from_stage, to_stage),
  constraint stage_transition_rules_from_stage_check check (from_stage <> to_stage)
);

comment on table stage_transition_rules is
  'A move from one stage to another that a brand allows; what is not here is refused.';

insert into stage_transition_rules (brand_id, from_stage, to_stage)
select brand, from_stage::customer_stage, to_stage::customer_stage
from unnest(enum_range(null::brand_id)) as brand
cross join percytech.default_stage_transitions();

-- rollback

drop table stage_transition_rules;
