-- Which numbers are whose. Consent goes by the number, in E.164, however a table writes it; so customers and conversations
-- have it in that form beside the one that they were given.

create table brand_phone_numbers (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  phone text not null,
  note text,

  created_at timestamptz not null default now(),

  constraint brand_phone_numbers_pkey primary key (brand_id, id),
  -- A number is one brand's: else a message to it would be two brands'. Applications may not write here, and so cannot
  -- learn from this key what another brand has.
  constraint brand_phone_numbers_phone_key unique (phone),
  constraint brand_phone_numbers_phone_check check (phone is not distinct from percytech.normalize_sender(phone))
);

create index brand_phone_numbers_brand_id_phone_idx on brand_phone_numbers (brand_id, phone);

comment on table brand_phone_numbers is
  'The numbers that a brand sends from: a message to one of them is the brand''s. Kept by the DBA.';
comment on column brand_phone_numbers.phone is 'In E.164, or a short code of three to six digits.';

alter table customers
  add column phone_e164 text generated always as (percytech.normalize_phone(phone, 'US')) stored;

alter table conversations
  add column customer_phone_e164 text generated always as (percytech.normalize_phone(customer_phone, 'US')) stored,
  add column brand_sender text generated always as (percytech.normalize_sender(brand_phone, 'US')) stored,
  -- Who is not known yet may write.
  alter column customer_id drop not null;

comment on column customers.phone_e164 is 'The phone in E.164; NULL where it is no number.';
comment on column conversations.customer_id is 'The customer; NULL while nobody knows whose number it is.';
comment on column conversations.customer_phone_e164 is 'The customer''s phone in E.164; NULL where it is no number.';
comment on column conversations.brand_sender is 'The brand''s phone in E.164, or its short code; NULL where it is neither.';

-- The planner's statistics are of all brands, and EXPLAIN would tell by them whether some brand knows a number.
alter table customers alter column phone set statistics 0, alter column phone_e164 set statistics 0;
alter table conversations
  alter column customer_phone set statistics 0,
  alter column customer_phone_e164 set statistics 0,
  alter column brand_phone set statistics 0,
  alter column brand_sender set statistics 0;
alter table brand_phone_numbers alter column phone set statistics 0;

-- Whose number it is; a number's conversations.
create index customers_brand_id_phone_e164_idx on customers (brand_id, phone_e164);
create index conversations_brand_id_customer_phone_e164_idx
  on conversations (brand_id, customer_phone_e164, brand_sender);

-- rollback

-- This fails while there are conversations of nobody's: give them customers first.
comment on column conversations.customer_id is null;
alter table customers alter column phone set statistics -1;
alter table conversations alter column customer_phone set statistics -1, alter column brand_phone set statistics -1;
alter table conversations
  alter column customer_id set not null,
  drop column brand_sender,
  drop column customer_phone_e164;
alter table customers drop column phone_e164;
drop table brand_phone_numbers;
