-- What others than the owner may do with a table as a whole, or with a column of it.
select
  privileges.table_oid,
  case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee,
  acl.privilege_type || coalesce(' (' || quote_ident(privileges.column_name) || ')', '') as privilege,
  bool_or(acl.is_grantable) as grantable,
  case when acl.grantor <> privileges.owner then quote_ident(pg_get_userbyid(acl.grantor)) end as grantor
from (
  select oid as table_oid, relowner as owner, null as column_name, relacl as acl
  from pg_class
  union all
  select pg_class.oid, relowner, attname, attacl
  from pg_class
  join pg_attribute on attrelid = pg_class.oid and not attisdropped
) as privileges
cross join lateral aclexplode(privileges.acl) as acl
where privileges.table_oid = any ($1)
  and acl.grantee <> privileges.owner
group by privileges.table_oid, privileges.owner, acl.grantee, acl.grantor, 3
