-- Search by name and e-mail address, as one types. The configuration is 'simple': 'english' drops stop words, and
-- Will, May and An are names. What joins words in an address or a name is taken for a space, in the document and in
-- percytech.prefix_query alike, so that any part of an address finds it.

alter table customers add column search_document tsvector not null generated always as (
  to_tsvector(
    'simple',
    translate(coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || email, '@.+_-/', '      ')
  )
) stored;

comment on column customers.search_document is 'What search_customers searches: the names and the e-mail address.';

-- Without fastupdate: no search has to read a list of entries that are yet to be sorted in.
create index customers_brand_id_search_document_idx
  on customers using gin (brand_id, search_document percytech.tsvector_leakproof_ops)
  with (fastupdate = off);

-- Its body is text, so that it follows a change of the table; every name and operator in it has its schema, so that it
-- means the same on every search path; and it has no SET clause, so that the planner sees into it.
create function search_customers(query text, max_rows integer default 20)
  returns setof customers
  language sql
  stable
  parallel safe
  rows 20
  as $$
    select customers.*
    from public.customers
    where customers.brand_id operator(pg_catalog.=) (select percytech.current_brand()::public.brand_id)
      and customers.search_document operator(percytech.@@) percytech.prefix_query(query)
    order by customers.created_at desc, customers.id
    limit max_rows
  $$;

comment on function search_customers(text, integer) is
  'Customers of the brand in context whose name or e-mail address has all the words of query, the last one perhaps unfinished; newest first, at most max_rows.';

revoke all on function search_customers(text, integer) from public;
grant execute on function search_customers(text, integer) to percytech_app;

-- rollback

drop function search_customers(text, integer);
drop index customers_brand_id_search_document_idx;
alter table customers drop column search_document;
