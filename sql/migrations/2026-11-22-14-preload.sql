-- Has every new session of this database load the extension before its first statement, so that a brand is checked when
-- it is set. Without that it is loaded by the first query of a brand table, and what was set before is checked then. A
-- setting of the database hides the server's, so what the server loads is said again.
-- as-invoker: it takes a superuser, or who owns the database and may SET session_preload_libraries

do $$
declare
  known text;
  its_source text;
begin
  select substr(setting, length('session_preload_libraries=') + 1), 'database'
  into known, its_source
  from pg_db_role_setting, unnest(setconfig) as setting
  where setdatabase = (select oid from pg_database where datname = current_database())
    and setrole = 0
    and setting like 'session\_preload\_libraries=%';

  if known is null then
    select setting, source into known, its_source from pg_settings where name = 'session_preload_libraries';
  end if;

  -- Who may set it need not be able to read it.
  if (
    has_parameter_privilege('session_preload_libraries', 'set')
    and pg_has_role((select datdba from pg_database where datname = current_database()), 'usage')
    and its_source in ('database', 'default', 'configuration file', 'command line')
  ) is not true then
    raise warning 'session_preload_libraries stays as it is'
      using detail = 'Brands are kept apart all the same; a brand that may not be set is dropped at the first query.',
            hint = format('A superuser adds percytech to it: alter database %I set session_preload_libraries = ...;',
              current_database());
    return;
  end if;

  if known !~ '(^|[,/"])\s*percytech\s*($|[,"])' then
    -- As text it is a list already; ALTER DATABASE ... SET would take it for one name.
    perform set_config('session_preload_libraries', concat_ws(', ', nullif(known, ''), 'percytech'), true);
    execute format('alter database %I set session_preload_libraries from current', current_database());
  end if;
end
$$;

-- rollback

do $$
declare
  known text;
  others text;
begin
  select substr(setting, length('session_preload_libraries=') + 1)
  into known
  from pg_db_role_setting, unnest(setconfig) as setting
  where setdatabase = (select oid from pg_database where datname = current_database())
    and setrole = 0
    and setting like 'session\_preload\_libraries=%';

  others := regexp_replace(regexp_replace(known, '(^|,)\s*"?percytech"?\s*(?=,|$)', ''), '^,\s*', '');
  if known is null or others = known then
    return;
  end if;
  if others = '' or others = (
    select setting
    from pg_settings
    where name = 'session_preload_libraries' and source in ('configuration file', 'command line')
  ) then
    execute format('alter database %I reset session_preload_libraries', current_database());
  else
    perform set_config('session_preload_libraries', others, true);
    execute format('alter database %I set session_preload_libraries from current', current_database());
  end if;
end
$$;
