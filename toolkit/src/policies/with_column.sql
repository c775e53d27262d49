-- Those of the tables ($1) that have the brand column ($2), in the same order.
select attrelid
from pg_attribute
where attrelid = any ($1) and attname = $2 and attnum > 0 and not attisdropped
order by array_position($1, attrelid)
