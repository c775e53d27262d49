-- One thread for each pair of a customer's number and a brand's number.

create table conversations (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null,
  customer_id uuid not null,

  customer_phone varchar(20) not null,
  brand_phone varchar(20) not null,

  status conversation_status not null default 'active',
  campaign_id uuid,
  campaign_name varchar(255),

  message_count integer not null default 0,
  last_message_at timestamptz,
  last_inbound_at timestamptz,
  last_outbound_at timestamptz,

  opted_out_at timestamptz,
  opt_out_reason text,

  metadata jsonb,
  tags text[],

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint conversations_pkey primary key (brand_id, id),
  constraint conversations_brand_id_customer_phone_brand_phone_key unique (brand_id, customer_phone, brand_phone),
  constraint conversations_brand_id_customer_id_fkey
    foreign key (brand_id, customer_id) references customers (brand_id, id),
  constraint conversations_message_count_check check (message_count >= 0)
);

comment on table conversations is 'An SMS thread between a customer''s number and a brand''s number.';

create trigger conversations_updated_at
  before update on conversations
  for each row execute function moddatetime(updated_at);

-- rollback

drop table conversations;
