-- Whether the history ($1) is kept, whether it is the owner's ($2), whether it may be given to the owner, and whether it
-- or its schema ($3) was made by somebody else: who plants a history decides what counts as applied, and a trigger on it
-- runs as whoever migrates.
with trusted as (
  select oid
  from pg_roles
  where rolsuper or rolname in (current_user, session_user) or rolname = $2
)
select
  to_regclass($1) is not null as is_kept,
  coalesce((select relowner::regrole::text = quote_ident($2) from pg_class where oid = to_regclass($1)), false)
    as is_owners,
  exists (select from pg_roles where rolname = $2 and pg_has_role(oid, 'member')) as can_be_given,
  exists (
    select
    from pg_namespace
    where nspname = $3 and nspowner not in (select oid from trusted)
  )
  or exists (
    select
    from pg_class
    where pg_class.oid = to_regclass($1)
      and (
        relkind <> 'r'
        or relrowsecurity
        or relhasrules
        or relowner not in (select oid from trusted)
        or exists (select from pg_trigger where tgrelid = pg_class.oid)
        or exists (select from pg_inherits where pg_class.oid in (inhrelid, inhparent))
      )
  ) as is_foreign
