-- The first of these schemas ($1) that does not exist.
select name
from unnest($1::text[]) as name
where to_regnamespace(quote_ident(name)) is null
limit 1
