-- What a report needs that this database lacks, its brands, and who asks. Nothing of ours is called yet: it may be missing.
select
  current_database()::text as database,
  quote_ident(current_user) as role,
  quote_ident('brand_' || $1::text) as brand_role,
  to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as read_at,
  array(
    select needed.name
    from unnest(array[
      'percytech.set_brand_context',
      'public.journey_funnel',
      'public.stage_durations',
      'public.cohort_retention',
      'public.time_to_subscription',
      'public.source_performance'
    ]) with ordinality as needed (name, place)
    where not exists (
      select
      from pg_proc
      join pg_namespace on pg_namespace.oid = pg_proc.pronamespace
      where pg_namespace.nspname || '.' || pg_proc.proname = needed.name
    )
    order by needed.place
  ) as missing,
  array(
    select enumlabel::text
    from pg_enum
    where enumtypid = to_regtype('public.brand_id')
    order by enumsortorder
  ) as brands
