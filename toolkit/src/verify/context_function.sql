-- The first of these functions ($1) that exists. Looked up by name, so that it takes no right on its schema.
select name
from unnest($1::text[]) with ordinality as functions (name, place)
where exists (
  select
  from pg_proc
  join pg_namespace on pg_namespace.oid = pronamespace
  where nspname || '.' || proname = functions.name and pronargs = 0
)
order by place
limit 1
