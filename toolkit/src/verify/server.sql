select
  current_setting('server_version_num')::integer,
  current_setting('server_version'),
  current_database()::text,
  to_regtype($1) is not null
