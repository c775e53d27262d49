-- Anybody may ask for the context, since the policies ask on everybody's behalf. Choosing it is no more than SET can do:
-- the setting itself refuses what must not be. So these are for PUBLIC, on purpose.
grant usage on schema @extschema@ to public;

grant execute on function set_brand_context(text, boolean, boolean) to public;
grant execute on function current_brand() to public;
grant execute on function require_brand() to public;
grant execute on function clear_brand_context() to public;
grant execute on function allowed_brands() to public;
grant execute on function brand_context() to public;
grant execute on function apply_request_context() to public;
grant execute on function lend_brand(text) to public;

comment on function set_brand_context(text, boolean, boolean) is
  'Makes a brand the context of this transaction (is_local) or session, and seals it until the transaction ends (seal); NULL clears it; 42501 when it is not allowed, 22023 when it is unknown.';
comment on function current_brand() is
  'The brand of the context, or NULL without one; never raises.';
comment on function require_brand() is
  'The brand of the context; 42501 without one, saying why.';
comment on function clear_brand_context() is
  'Clears the brand context of the session and the transaction; 42501 when it is sealed.';
comment on function allowed_brands() is
  'The brands that this session may act as.';
comment on function brand_context() is
  'The context as {brand, source, sealed, allowed}; source is setting, jwt or none.';
comment on function apply_request_context() is
  'Makes the brand of the request''s token, chosen by the header x-brand-id where it names several, the context, and seals it: for PostgREST''s db-pre-request; 42501 beyond the token.';
comment on function lend_brand(text) is
  'Lends the SECURITY DEFINER function that calls it a brand until that ends, where members of percytech_analyst call a function of who may act as every brand; 42501 otherwise.';
