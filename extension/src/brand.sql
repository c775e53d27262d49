-- Anybody may ask for the context, since the policies ask on everybody's behalf. Setting it is no more than SET can do:
-- the setting itself refuses what must not be. So these are for PUBLIC, and what is not is granted to nobody here.
grant usage on schema @extschema@ to public;

revoke all on function set_brand_context(text, boolean) from public;
revoke all on function current_brand() from public;
revoke all on function clear_brand_context() from public;
grant execute on function set_brand_context(text, boolean) to public;
grant execute on function current_brand() to public;
grant execute on function clear_brand_context() to public;

comment on function set_brand_context(text, boolean) is
  'Makes a brand the context of this transaction (is_local) or session; NULL clears it; 22023 when it is unknown.';
comment on function current_brand() is
  'The brand of the context, or NULL without one; never raises.';
comment on function clear_brand_context() is
  'Clears the brand context: no row of a brand table is visible afterwards.';
