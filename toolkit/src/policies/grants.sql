-- What others than the owner may do with a table as a whole.
select
  pg_class.oid as table_oid,
  case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee,
  acl.privilege_type as privilege,
  bool_or(acl.is_grantable) as grantable
from pg_class
cross join lateral aclexplode(pg_class.relacl) as acl
where pg_class.oid = any ($1)
  and acl.grantee <> pg_class.relowner
group by pg_class.oid, acl.grantee, acl.privilege_type
