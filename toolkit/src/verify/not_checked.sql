-- What is not looked at: schemas other than the system's and those that are looked at ($1), what extensions brought, and
-- functions that run as somebody else than their caller.
select words
from (
  select
    is_extension::integer as place,
    case when is_extension then 'of extensions' else 'schema ' || schema end
    || ' ('
    || concat_ws(
      ', ',
      case when tables > 0 then tables || case tables when 1 then ' table' else ' tables' end end,
      case when views > 0 then views || case views when 1 then ' view' else ' views' end end
    )
    || ')' as words
  from (
    select
      is_extension,
      case when not is_extension then schema end as schema,
      count(*) filter (where relkind in ('r', 'p', 'f')) as tables,
      count(*) filter (where relkind in ('v', 'm')) as views
    from (
      select
        nspname as schema,
        relkind,
        exists (
          select
          from pg_depend
          where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
        ) as is_extension
      from pg_class
      join pg_namespace on pg_namespace.oid = relnamespace
      where relkind in ('r', 'p', 'f', 'v', 'm')
        and nspname <> 'information_schema'
        and nspname !~ '^pg_'
    ) as relations
    where is_extension or schema <> all ($1)
    group by 1, 2
  ) as counted

  union all

  select 2, count(*) || case count(*) when 1 then ' SECURITY DEFINER function' else ' SECURITY DEFINER functions' end
  from pg_proc
  join pg_namespace on pg_namespace.oid = pronamespace
  where prosecdef and nspname <> 'information_schema' and nspname !~ '^pg_'
  having count(*) > 0
) as parts
order by place, words
