select
  polrelid as table_oid,
  quote_ident(polname) as name,
  polpermissive as permissive,
  polcmd::text as command,
  0 = any (polroles) as for_everybody,
  pg_get_expr(polqual, polrelid) as using_expression,
  pg_get_expr(polwithcheck, polrelid) as check_expression
from pg_policy
where polrelid = any ($1)
order by polname
