-- Whether the history is kept ($1), whether it is the owner's ($2), and whether it may be given to the owner.
select
  to_regclass($1) is not null,
  coalesce((select relowner::regrole::text = quote_ident($2) from pg_class where oid = to_regclass($1)), false),
  exists (select from pg_roles where rolname = $2 and pg_has_role(oid, 'member'))
