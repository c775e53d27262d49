-- How many views and how many tables of extensions are in the schemas ($1).
select
  count(*) filter (where relkind in ('v', 'm') and not is_extension) as views,
  count(*) filter (where relkind in ('r', 'p') and is_extension) as extension_tables
from (
  select
    relkind,
    exists (
      select
      from pg_depend
      where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
    ) as is_extension
  from pg_class
  join pg_namespace on pg_namespace.oid = relnamespace
  where nspname = any ($1)
) as relations
