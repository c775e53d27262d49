-- The roles that say who may act as which brand, and who may look across. A brand that is added later gets its role before
-- its label: create role brand_<label>. Roles belong to the whole cluster: another database of it may have created them
-- already, and may be creating them right now.
-- as-invoker: percytech_owner may not create roles

do $$
declare
  wanted record;
  grantee text;
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
    if exists (select from pg_roles where rolname = wanted.name and rolcanlogin) then
      raise warning 'role % can log in', wanted.name
        using detail = 'It is there to be granted.',
              hint = format('Where nobody logs in by it: alter role %I nologin;', wanted.name);
    end if;
  end loop;

  -- A migration changes the rows of one brand after the other, as the owner. This lends nothing to the callers of the
  -- owner's functions: the role that counts is theirs.
  if not pg_has_role('percytech_owner', 'brand_all', needed) then
    grant brand_all to percytech_owner;
  end if;

  -- Supabase's service_role passes row level security by; with this it may say which brand it works for, too.
  if to_regrole('service_role') is not null and not pg_has_role('service_role', 'brand_all', needed) then
    begin
      grant brand_all to service_role;
    exception when insufficient_privilege then
      raise warning 'service_role may not act as any brand'
        using hint = 'A superuser lets it: grant brand_all to service_role;';
    end;
  end if;

  foreach grantee in array array['authenticated', 'service_role'] loop
    if to_regrole(grantee) is not null and not has_schema_privilege(grantee, 'public', 'usage') then
      execute format('grant usage on schema public to %I', grantee);
    end if;
  end loop;
end
$$;

-- rollback

do $$
declare
  unwanted record;
  unneeded text;
begin
  -- What another database of the cluster uses stays, with its members.
  if exists (
    select
    from pg_shdepend
    where refclassid = 'pg_authid'::regclass
      and refobjid = to_regrole('percytech_owner')
      and dbid not in (0, (select oid from pg_database where datname = current_database()))
  ) then
    raise notice 'the brands'' roles are kept'
      using detail = 'Another database of this cluster has tables of percytech_owner.';
    return;
  end if;

  foreach unneeded in array array['percytech_owner', 'service_role'] loop
    if pg_has_role(to_regrole(unneeded), 'brand_all', 'member') then
      begin
        execute format('revoke brand_all from %I', unneeded);
      exception when insufficient_privilege then
        raise notice '% stays a member of brand_all', unneeded using detail = sqlerrm;
      end;
    end if;
  end loop;

  for unwanted in
    select
      role.rolname as name,
      exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = role.oid) as is_used,
      exists (
        select from pg_auth_members where roleid = role.oid and member <> current_user::regrole
      ) as has_members
    from pg_roles as role
    where role.rolname in ('brand_all', 'percytech_analyst')
      or role.rolname in (select 'brand_' || label from unnest(enum_range(null::public.brand_id)) as label)
  loop
    if unwanted.is_used or unwanted.has_members then
      raise notice 'role % is kept', unwanted.name using detail = 'It has members, or an object uses it.';
    else
      begin
        execute format('drop role %I', unwanted.name);
      exception when insufficient_privilege then
        raise notice 'role % is kept', unwanted.name using detail = sqlerrm;
      end;
    end if;
  end loop;
end
$$;
