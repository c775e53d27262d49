-- The first of these functions ($1) that exists.
select name
from unnest($1::text[]) with ordinality as function (name, place)
where to_regprocedure(name || '()') is not null
order by place
limit 1
