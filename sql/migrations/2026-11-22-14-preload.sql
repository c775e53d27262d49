-- Has every new session of this database load the extension before its first statement, so that a brand is checked when
-- it is set. Without that it is loaded by the first query of a brand table, and what was set before is checked then.
-- A setting of the database hides the server's, and a setting of a role hides both (Supabase's authenticator has one): so
-- what they load already is said again.
-- as-invoker: it takes a superuser, or who owns the database and may SET session_preload_libraries

do $$
declare
  target record;
  libraries text;
begin
  for target in
    with settings as (
      select setdatabase, setrole, substr(setting, length('session_preload_libraries=') + 1) as libraries
      from pg_db_role_setting
      cross join unnest(setconfig) as setting
      where setting like 'session\_preload\_libraries=%'
    ),
    here as (
      select oid, format('alter database %I', datname) as command, format('in database %I', datname) as place
      from pg_database
      where datname = current_database()
    )
    select
      here.command,
      coalesce(
        (select settings.libraries from settings where setdatabase = here.oid and setrole = 0),
        (
          select setting
          from pg_settings
          where name = 'session_preload_libraries' and source in ('default', 'configuration file', 'command line')
        )
      ) as known
    from here
    union all
    (
      select distinct on (setrole) format('alter role %I %s', rolname, here.place), settings.libraries
      from settings
      cross join here
      join pg_roles on pg_roles.oid = setrole
      where setdatabase in (0, here.oid)
      order by setrole, setdatabase desc
    )
  loop
    if target.known ~ '(^|[,/"])\s*percytech\s*($|[,"])' then
      continue;
    end if;
    libraries := concat_ws(', ', coalesce(nullif(target.known, ''), case when target.known is null then '...' end), 'percytech');
    begin
      -- Who may set it need not be able to read it.
      if target.known is null then
        raise insufficient_privilege;
      end if;
      -- As text it is a list already; SET in ALTER would take it for one name.
      perform set_config('session_preload_libraries', libraries, true);
      execute target.command || ' set session_preload_libraries from current';
    exception when insufficient_privilege then
      raise warning 'session_preload_libraries stays as it is'
        using detail = 'Brands are kept apart all the same; a brand that may not be set is dropped at the first query.',
              hint = format('A superuser runs: %s set session_preload_libraries = %s;', target.command, libraries);
    end;
  end loop;
end
$$;

-- rollback

do $$
declare
  target record;
begin
  for target in
    with settings as (
      select setdatabase, setrole, substr(setting, length('session_preload_libraries=') + 1) as libraries
      from pg_db_role_setting
      cross join unnest(setconfig) as setting
      where setting like 'session\_preload\_libraries=%'
    )
    select
      case setrole
        when 0 then format('alter database %I', current_database())
        else format('alter role %I in database %I', pg_get_userbyid(setrole), current_database())
      end as command,
      settings.libraries as known,
      regexp_replace(
        regexp_replace(settings.libraries, '(^|,)\s*"?percytech"?\s*(?=,|$)', ''), '^,\s*', ''
      ) as others,
      -- What holds where this is not said.
      case setrole
        when 0 then (
          select setting
          from pg_settings
          where name = 'session_preload_libraries' and source in ('default', 'configuration file', 'command line')
        )
        else (select of_role.libraries from settings as of_role where setdatabase = 0 and of_role.setrole = settings.setrole)
      end as otherwise
    from settings
    where setdatabase = (select oid from pg_database where datname = current_database())
  loop
    if target.others = target.known then
      continue;
    end if;
    begin
      if target.others = '' or target.others = target.otherwise then
        execute target.command || ' reset session_preload_libraries';
      else
        perform set_config('session_preload_libraries', target.others, true);
        execute target.command || ' set session_preload_libraries from current';
      end if;
    exception when insufficient_privilege then
      raise warning 'session_preload_libraries stays as it is'
        using detail = 'While it names percytech, nobody can connect once the library has gone from the server.',
              hint = format('A superuser runs: %s reset session_preload_libraries;', target.command);
    end;
  end loop;
end
$$;
