select
  pg_class.oid as table_oid,
  quote_ident(pg_namespace.nspname) || '.' || quote_ident(pg_class.relname) as name,
  quote_ident(pg_class.relname) as relation,
  pg_class.relrowsecurity as row_security,
  pg_class.relforcerowsecurity as forced
from pg_class
join pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_class.oid = any ($1)
order by array_position($1, pg_class.oid)
