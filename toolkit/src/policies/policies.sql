select
  polrelid as table_oid,
  quote_ident(polname) as name,
  polpermissive as permissive,
  case polcmd
    when '*' then 'all'
    when 'r' then 'select'
    when 'a' then 'insert'
    when 'w' then 'update'
    when 'd' then 'delete'
  end as command,
  (
    select string_agg(case when role = 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', ' order by role)
    from unnest(polroles) as role
  ) as roles,
  pg_get_expr(polqual, polrelid) as using_expression,
  pg_get_expr(polwithcheck, polrelid) as check_expression
from pg_policy
where polrelid = any ($1)
