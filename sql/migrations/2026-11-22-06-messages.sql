-- The messages of a conversation. They carry the brand themselves: a policy that looked it up in conversations would
-- read all of a brand's conversations to show one thread.

create table messages (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null,
  conversation_id uuid not null,

  direction message_direction not null,
  content text not null,
  media_urls text[],

  status message_status,
  external_id varchar(255),

  sent_at timestamptz not null default now(),
  delivered_at timestamptz,

  metadata jsonb,

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint messages_pkey primary key (brand_id, id),
  constraint messages_brand_id_conversation_id_fkey
    foreign key (brand_id, conversation_id) references conversations (brand_id, id)
);

comment on table messages is 'One SMS of a conversation, inbound or outbound.';
comment on column messages.external_id is 'The provider''s identifier of the message.';

create trigger messages_updated_at
  before update on messages
  for each row execute function moddatetime(updated_at);

-- rollback

drop table messages;
