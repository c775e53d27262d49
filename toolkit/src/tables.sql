-- The tables of the schemas ($1), but those that an extension brought along; and their partitions, children
-- and parents, in whatever schema: each shows rows of the others.
with recursive tables as (
  select pg_class.oid
  from pg_class
  join pg_namespace on pg_namespace.oid = pg_class.relnamespace
  where pg_class.relkind in ('r', 'p')
    and pg_namespace.nspname = any ($1)
    and not exists (
      select
      from pg_depend
      where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
    )
  union
  select relatives.oid
  from tables
  cross join lateral (
    select inhrelid from pg_inherits where inhparent = tables.oid
    union all
    select inhparent from pg_inherits where inhrelid = tables.oid
  ) as relatives (oid)
)
select
  pg_class.oid as oid,
  quote_ident(pg_namespace.nspname) || '.' || quote_ident(pg_class.relname) as name
from tables
join pg_class using (oid)
join pg_namespace on pg_namespace.oid = pg_class.relnamespace
where pg_class.relkind in ('r', 'p')
order by 2
