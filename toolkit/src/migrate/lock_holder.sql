-- Who holds the lock of this key: a bigint key is kept as its two halves.
select
  format(
    'process %s of user %s, since %s',
    locks.pid,
    coalesce(activity.usename, '(unknown)'),
    coalesce(to_char(activity.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), '(unknown)')
  )
from pg_locks as locks
left join pg_stat_activity as activity using (pid)
where locks.locktype = 'advisory'
  and locks.granted
  and locks.objsubid = 1
  and locks.database = (select oid from pg_database where datname = current_database())
  and (locks.classid::bigint << 32 | locks.objid::bigint) = $1
limit 1
