-- Schemas with tables that are neither the system's nor among those that are looked at ($1).
select nspname::text, count(*)
from pg_class
join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'p')
  and nspname <> all ($1)
  and nspname <> 'information_schema'
  and nspname !~ '^pg_'
group by nspname
order by nspname
