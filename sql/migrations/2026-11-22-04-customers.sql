-- One record for each customer of a brand, from the first contact on.

create table customers (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null,

  email varchar(255) not null,
  phone varchar(20),
  first_name varchar(100),
  last_name varchar(100),

  stage customer_stage not null default 'lead',
  source customer_source not null default 'website',
  is_active boolean not null generated always as (stage not in ('churned', 'dormant')) stored,
  marketing_qualified_at timestamptz,
  trial_started_at timestamptz,
  subscribed_at timestamptz,
  churned_at timestamptz,

  metadata jsonb,
  tags text[],

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  -- Keys lead with the brand, since they are checked past row level security: with a key on id alone, one brand could
  -- learn whether an id is taken in another, and a child could refer to another brand's customer.
  constraint customers_pkey primary key (brand_id, id),
  constraint customers_brand_id_email_key unique (brand_id, email),
  constraint customers_brand_id_phone_key unique (brand_id, phone)
);

comment on table customers is 'A customer of one brand, with where they stand in the journey.';
comment on column customers.is_active is 'Whether the stage is neither churned nor dormant.';

create trigger customers_updated_at
  before update on customers
  for each row execute function moddatetime(updated_at);

-- rollback

drop table customers;
