-- Who there is, where a customer stands, and what a conversation and a message can be.

create type brand_id as enum ('gnymble', 'percymd', 'percytext');

create type customer_stage as enum (
  'lead',      -- first contact
  'marketing', -- in the marketing funnel
  'trial',     -- tries the platform
  'active',    -- pays
  'churned',   -- has cancelled
  'dormant'    -- inactive, but has not cancelled
);

create type customer_source as enum (
  'website', 'sms_campaign', 'email_campaign', 'referral', 'organic', 'paid_ads', 'social', 'other'
);

create type conversation_status as enum (
  'active',    -- messages may be sent
  'paused',    -- stopped for now
  'completed', -- the campaign is over
  'archived'   -- opted out, or inactive
);

create type message_direction as enum ('inbound', 'outbound');

create type message_status as enum ('pending', 'sent', 'delivered', 'failed', 'undelivered');

comment on type brand_id is 'The brands of this database; a new one is added with ALTER TYPE ... ADD VALUE.';
comment on type customer_stage is 'Where a customer stands in the journey.';
comment on type customer_source is 'How a customer first came to the brand.';
comment on type conversation_status is 'Whether messages of a conversation may be sent.';
comment on type message_direction is 'Inbound: from the customer; outbound: from the brand.';
comment on type message_status is 'How far a message has come, by the provider''s word.';

-- rollback

drop type message_status;
drop type message_direction;
drop type conversation_status;
drop type customer_source;
drop type customer_stage;
drop type brand_id;
