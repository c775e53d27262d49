-- The tables of the schemas ($1), partitions among them, but those that an extension brought along.
select
  pg_class.oid as oid,
  quote_ident(pg_namespace.nspname) || '.' || quote_ident(pg_class.relname) as name
from pg_class
join pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_class.relkind in ('r', 'p')
  and pg_namespace.nspname = any ($1)
  and not exists (
    select
    from pg_depend
    where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
  )
order by 2
