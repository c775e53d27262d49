-- Under row level security the planner lets a caller's condition become an index condition only when its function is
-- LEAKPROOF, and PostgreSQL's own @@ is not marked so: a search would read every row of the brand. This operator is the
-- same function, marked. The claim holds: whether ts_match_vq raises (stack depth) depends on the tsquery, which is
-- the caller's, and never on the tsvector, which is the row's. (Unqualified, @@ would mean PostgreSQL's own.)
create function tsvector_matches(document tsvector, query tsquery)
  returns boolean
  language internal
  immutable strict parallel safe leakproof
  as 'ts_match_vq';

comment on function tsvector_matches(tsvector, tsquery) is
  'Whether a document matches a query: PostgreSQL''s @@, marked LEAKPROOF so that it may use an index under row level security.';

create operator @extschema@.@@ (
  leftarg = tsvector,
  rightarg = tsquery,
  function = @extschema@.tsvector_matches,
  restrict = tsmatchsel,
  join = tsmatchjoinsel
);

comment on operator @extschema@.@@ (tsvector, tsquery) is 'PostgreSQL''s @@, marked LEAKPROOF';

create operator class tsvector_leakproof_ops
  for type tsvector using gin as
  operator 1 @extschema@.@@ (tsvector, tsquery),
  function 1 gin_cmp_tslexeme(text, text),
  function 2 gin_extract_tsvector(tsvector, internal, internal),
  function 3 gin_extract_tsquery(tsvector, internal, smallint, internal, internal, internal, internal),
  function 4 gin_tsquery_consistent(internal, smallint, tsvector, integer, internal, internal, internal, internal),
  function 5 gin_cmp_prefix(text, text, smallint, internal),
  function 6 gin_tsquery_triconsistent(internal, smallint, tsvector, integer, internal, internal, internal),
  storage text;

create function prefix_query(query text)
  returns tsquery
  language sql
  immutable strict parallel safe
  -- Nobody types more than 200 characters; a tsquery of very many words exceeds the stack.
  return case
    when numnode(plainto_tsquery('simple', translate(left(query, 200), '@.+_-/', '      '))) > 0
    then (plainto_tsquery('simple', translate(left(query, 200), '@.+_-/', '      '))::text || ':*')::tsquery
  end;

comment on function prefix_query(text) is
  'Documents with all the words of query, of which the last may be unfinished; what joins words in an e-mail address separates them. NULL without a word.';
