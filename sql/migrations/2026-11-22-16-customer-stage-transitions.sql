-- Where each customer has been, when, why and by whom: written once, and never changed. Applications read it; only the
-- trigger on customers and transition_stage write.

create table customer_stage_transitions (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,
  customer_id uuid not null,
  position integer not null,

  from_stage customer_stage,
  to_stage customer_stage not null,

  reason text,
  actor text not null,
  metadata jsonb not null default '{}',

  occurred_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),
  idempotency_key text,

  constraint customer_stage_transitions_pkey primary key (brand_id, id),
  -- Two moves from one place cannot both be recorded, whatever went wrong before.
  constraint customer_stage_transitions_brand_id_customer_id_position_key unique (brand_id, customer_id, position),
  constraint customer_stage_transitions_brand_id_idempotency_key_key unique (brand_id, idempotency_key),
  constraint customer_stage_transitions_brand_id_customer_id_fkey
    foreign key (brand_id, customer_id) references customers (brand_id, id) on delete restrict on update restrict,
  constraint customer_stage_transitions_actor_check check (actor <> ''),
  constraint customer_stage_transitions_metadata_check check (jsonb_typeof(metadata) = 'object'),
  constraint customer_stage_transitions_idempotency_key_check check (length(idempotency_key) between 1 and 255),
  constraint customer_stage_transitions_position_check check (position > 0),
  constraint customer_stage_transitions_from_stage_check check ((from_stage is null) = (position = 1))
);

comment on table customer_stage_transitions is
  'The moves of customers from stage to stage, each written once; the first has no from_stage.';
comment on column customer_stage_transitions.position is 'The place of the move among the customer''s, from 1.';
comment on column customer_stage_transitions.actor is
  'Who moved the customer: as the caller said, else the token''s subject, else the login.';
comment on column customer_stage_transitions.occurred_at is 'When it happened; not before the customer''s previous move.';
comment on column customer_stage_transitions.recorded_at is 'When it was written down.';
comment on column customer_stage_transitions.idempotency_key is
  'The caller''s name for the move: said again, it is not done again.';

create function refuse_change_of_history() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      raise exception '% of % is refused: a history is written once', lower(tg_op), tg_table_name
        using errcode = '55000',
              detail = 'What was recorded stays as it is, for everybody.',
              hint = 'Record another move. To erase a customer for the law, see docs/journey.md.';
    end
  $$;

comment on function refuse_change_of_history() is 'Refuses UPDATE, DELETE and TRUNCATE of a history; 55000.';
revoke all on function refuse_change_of_history() from public;

create trigger customer_stage_transitions_written_once
  before update or delete or truncate on customer_stage_transitions
  for each statement execute function refuse_change_of_history();
alter table customer_stage_transitions enable always trigger customer_stage_transitions_written_once;

-- rollback

-- The history is lost.
drop table customer_stage_transitions;
drop function refuse_change_of_history();
