-- The roles that say who may act as which brand, and who may look across. A brand that is added later gets its role with
-- it: create role brand_<label>. Roles belong to the whole cluster: another database of it may have created them already,
-- and may be creating them right now.
-- as-invoker: percytech_owner may not create roles

do $$
declare
  wanted record;
  -- Since PostgreSQL 16, to be a member is not yet to be allowed to act as the role.
  needed constant text := case when current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end;
begin
  for wanted in
    select 'brand_all' as name, 'Its members may act as every brand; no login.' as purpose
    union all
    select 'percytech_analyst', 'Its members may call the aggregates across brands; no login.'
    union all
    select 'brand_' || label, format('Its members may act as the brand %s; no login.', label)
    from unnest(enum_range(null::public.brand_id)) as label
  loop
    if not exists (select from pg_roles where rolname = wanted.name) then
      begin
        execute format('create role %I nologin', wanted.name);
        execute format('comment on role %I is %L', wanted.name, wanted.purpose);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
    if exists (select from pg_roles where rolname = wanted.name and (rolsuper or rolbypassrls)) then
      raise exception 'role % would see every brand', wanted.name
        using errcode = '42501',
              detail = 'It is a superuser, or has BYPASSRLS, so that row level security does not bind it.',
              hint = format('Run as a superuser: alter role %I nosuperuser nobypassrls;', wanted.name);
    end if;
  end loop;

  -- A migration changes the rows of one brand after the other, as the owner. This lends nothing to the callers of the
  -- owner's functions: the role that counts is theirs.
  if not pg_has_role('percytech_owner', 'brand_all', needed) then
    grant brand_all to percytech_owner;
  end if;

  -- Supabase's service_role passes row level security by; with this it may say which brand it works for, too.
  if to_regrole('service_role') is not null and not pg_has_role('service_role', 'brand_all', needed) then
    grant brand_all to service_role;
  end if;
end
$$;

-- rollback

do $$
declare
  unwanted record;
begin
  -- The owner keeps what another database of the cluster still needs it to have.
  if not exists (
    select
    from pg_shdepend
    where refclassid = 'pg_authid'::regclass
      and refobjid = 'percytech_owner'::regrole
      and dbid not in (0, (select oid from pg_database where datname = current_database()))
  ) then
    revoke brand_all from percytech_owner;
    if to_regrole('service_role') is not null then
      revoke brand_all from service_role;
    end if;
  end if;

  for unwanted in
    select
      role.rolname as name,
      exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = role.oid) as is_used,
      exists (
        select from pg_auth_members where roleid = role.oid and member <> current_user::regrole
      ) as has_members,
      -- Where all brands are acted as, somebody acts as each.
      exists (
        select
        from pg_auth_members
        where roleid = to_regrole('brand_all') and member <> current_user::regrole
      ) as is_of_another_database
    from pg_roles as role
    where role.rolname in ('brand_all', 'percytech_analyst')
      or role.rolname in (select 'brand_' || label from unnest(enum_range(null::public.brand_id)) as label)
    order by role.rolname <> 'brand_all' desc
  loop
    if unwanted.is_used or unwanted.has_members or unwanted.is_of_another_database then
      raise notice 'role % is kept', unwanted.name
        using detail = 'It has members, or an object or another database of this cluster uses it.';
    else
      execute format('drop role %I', unwanted.name);
    end if;
  end loop;
end
$$;
