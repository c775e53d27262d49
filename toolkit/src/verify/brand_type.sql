-- The brand column's type ($1) as the server writes it, and whether somebody has defined casts of it: those of the
-- system are below the first oid that is given to others.
select
  format_type(to_regtype($1), null) as name,
  exists (
    select
    from pg_cast
    where oid >= 16384 and castmethod = 'f' and (castsource = to_regtype($1) or casttarget = to_regtype($1))
  ) as has_casts
