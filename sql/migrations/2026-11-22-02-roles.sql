-- The two roles that everything else is granted to. Roles belong to the whole cluster: another database of it may have
-- created them already, and may be creating them right now.
-- as-invoker: percytech_owner does not exist yet, and may not create roles

do $$
declare
  wanted record;
  -- Since PostgreSQL 16, to be a member is not yet to be allowed to act as the role.
  needed constant text := case when current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end;
begin
  for wanted in
    select *
    from (
      values
        ('percytech_owner', 'Owns what PercyTech has in its databases; no login, and bound by row level security.'),
        ('percytech_app', 'What an application may do; no login: grant it to the application''s own role.')
    ) as roles (name, purpose)
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

  if not pg_has_role(current_user, 'percytech_owner', needed) then
    execute format('grant percytech_owner to %I', current_user);
  end if;
end
$$;

grant usage, create on schema public to percytech_owner;
grant usage on schema public to percytech_app;

-- rollback

revoke usage on schema public from percytech_app;
revoke usage, create on schema public from percytech_owner;

do $$
declare
  unwanted record;
begin
  for unwanted in
    select
      role.rolname as name,
      exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = role.oid) as is_used,
      exists (
        select from pg_auth_members where roleid = role.oid and member <> current_user::regrole
      ) as has_members
    from pg_roles as role
    where role.rolname in ('percytech_owner', 'percytech_app')
  loop
    if unwanted.is_used or unwanted.has_members then
      raise notice 'role % is kept', unwanted.name
        using detail = 'It has members, or an object or another database of this cluster uses it.';
    else
      execute format('drop role %I', unwanted.name);
    end if;
  end loop;
end
$$;
