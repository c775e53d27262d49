-- The schema of the original database design, in its own words, as a database to verify. It did not run as written;
-- what had to change for that, and nothing else, is marked with "mended":
--   * the types come before the tables, message_direction exists, and brand_id is created first
--   * customers has the column is_active, which the view reads
--   * keys default to gen_random_uuid(), so that uuid-ossp need not be installed

create type brand_id as enum ('gnymble', 'percymd', 'percytext');

create type customer_stage as enum ('lead', 'marketing', 'trial', 'active', 'churned', 'dormant');

create type customer_source as enum (
  'website', 'sms_campaign', 'email_campaign',
  'referral', 'organic', 'paid_ads', 'social', 'other'
);

create type conversation_status as enum ('active', 'paused', 'completed', 'archived');

create type message_status as enum ('pending', 'sent', 'delivered', 'failed', 'undelivered');

create type message_direction as enum ('inbound', 'outbound'); -- mended

CREATE TABLE customers (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), -- mended
  brand_id brand_id NOT NULL,

  -- Identity
  email VARCHAR(255) NOT NULL,
  phone VARCHAR(20),
  first_name VARCHAR(100),
  last_name VARCHAR(100),

  -- Journey tracking
  stage customer_stage NOT NULL DEFAULT 'lead',
  source customer_source NOT NULL DEFAULT 'website',
  is_active BOOLEAN NOT NULL DEFAULT TRUE, -- mended
  marketing_qualified_at TIMESTAMPTZ,
  trial_started_at TIMESTAMPTZ,
  subscribed_at TIMESTAMPTZ,
  churned_at TIMESTAMPTZ,

  -- Metadata
  metadata JSONB,
  tags TEXT[],

  -- Audit
  created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),

  -- Brand isolation constraints
  CONSTRAINT customers_brand_email_unique UNIQUE (brand_id, email),
  CONSTRAINT customers_brand_phone_unique UNIQUE (brand_id, phone)
);

CREATE TABLE conversations (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), -- mended
  brand_id brand_id NOT NULL,
  customer_id UUID NOT NULL REFERENCES customers(id),

  -- Phone numbers
  customer_phone VARCHAR(20) NOT NULL,
  brand_phone VARCHAR(20) NOT NULL,

  -- Conversation state
  status conversation_status NOT NULL DEFAULT 'active',
  campaign_id UUID,
  campaign_name VARCHAR(255),

  -- Message tracking
  message_count INTEGER NOT NULL DEFAULT 0,
  last_message_at TIMESTAMPTZ,
  last_inbound_at TIMESTAMPTZ,
  last_outbound_at TIMESTAMPTZ,

  -- Opt-out compliance
  opted_out_at TIMESTAMPTZ,
  opt_out_reason TEXT,

  -- Metadata
  metadata JSONB,
  tags TEXT[],

  -- Audit
  created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),

  -- Brand isolation
  CONSTRAINT conversations_brand_phones_unique
    UNIQUE (brand_id, customer_phone, brand_phone)
);

CREATE TABLE messages (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), -- mended
  conversation_id UUID NOT NULL REFERENCES conversations(id),

  -- Message content
  direction message_direction NOT NULL,
  content TEXT NOT NULL,
  media_urls TEXT[],

  -- Status tracking
  status message_status,
  external_id VARCHAR(255), -- Provider message ID

  -- Timing
  sent_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
  delivered_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),

  -- Metadata
  metadata JSONB
);

-- Enable RLS on all tables
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;

-- Brand isolation for customers
CREATE POLICY customers_brand_isolation ON customers
  FOR ALL
  USING (brand_id = current_setting('app.current_brand')::brand_id);

-- Brand isolation for conversations
CREATE POLICY conversations_brand_isolation ON conversations
  FOR ALL
  USING (brand_id = current_setting('app.current_brand')::brand_id);

-- Messages inherit brand isolation through conversations
CREATE POLICY messages_conversation_access ON messages
  FOR ALL
  USING (
    conversation_id IN (
      SELECT id FROM conversations
      WHERE brand_id = current_setting('app.current_brand')::brand_id
    )
  );

-- Customer indexes for common queries
CREATE INDEX idx_customers_brand_id ON customers(brand_id);
CREATE INDEX idx_customers_email ON customers(email);
CREATE INDEX idx_customers_stage ON customers(brand_id, stage);
CREATE INDEX idx_customers_source ON customers(brand_id, source);
CREATE INDEX idx_customers_created_at ON customers(created_at);

-- Conversation indexes for SMS operations
CREATE INDEX idx_conversations_brand_id ON conversations(brand_id);
CREATE INDEX idx_conversations_customer_id ON conversations(customer_id);
CREATE INDEX idx_conversations_phones ON conversations(customer_phone, brand_phone);
CREATE INDEX idx_conversations_last_message ON conversations(last_message_at DESC NULLS LAST);
CREATE INDEX idx_conversations_status ON conversations(brand_id, status);

-- Message indexes for threading
CREATE INDEX idx_messages_conversation_id ON messages(conversation_id);
CREATE INDEX idx_messages_sent_at ON messages(sent_at DESC);
CREATE INDEX idx_messages_direction ON messages(direction);

-- Search indexes
CREATE INDEX idx_customers_search ON customers USING GIN(
  to_tsvector('english', COALESCE(first_name, '') || ' ' || COALESCE(last_name, '') || ' ' || email)
);

CREATE VIEW customer_analytics AS
SELECT
  brand_id,
  stage,
  source,
  COUNT(*) as count,
  COUNT(*) FILTER (WHERE created_at >= NOW() - INTERVAL '30 days') as count_30d,
  AVG(EXTRACT(EPOCH FROM (subscribed_at - created_at))/86400)
    FILTER (WHERE subscribed_at IS NOT NULL) as avg_days_to_subscription
FROM customers
WHERE is_active = TRUE
GROUP BY brand_id, stage, source;
