-- The brand context as PostgREST exposes it: typed, in public. Their bodies are bound to what they call when they are
-- created, whatever a caller's search path is.

create function set_brand_context(brand brand_id) returns brand_id
  language sql
  volatile
  return percytech.set_brand_context(brand::text)::brand_id;

create function current_brand() returns brand_id
  language sql
  stable
  parallel safe
  return percytech.current_brand()::brand_id;

comment on function set_brand_context(brand_id) is
  'Makes a brand the context of this transaction, and returns it; 42501 when the caller may not act as it.';
comment on function current_brand() is
  'The brand of the context, or NULL without one.';

revoke all on function set_brand_context(brand_id) from public;
revoke all on function current_brand() from public;
grant execute on function set_brand_context(brand_id) to percytech_app;
grant execute on function current_brand() to percytech_app;

-- rollback

drop function current_brand();
drop function set_brand_context(brand_id);
