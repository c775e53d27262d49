-- The floor under every brand table: whatever else is granted, now or later, nobody reads or writes a row of another
-- brand, and without a brand in context nobody reads or writes any. It is RESTRICTIVE, so that no other policy can open
-- what it closes, for PUBLIC, so that no role is left out, and forced, so that it binds the owner too.
--
-- `brand_table` stands for each brand table in turn; names have their schema, since only PostgreSQL's own are looked up.
-- The context is asked in a sub-select: once per query, not per row.

alter table brand_table enable row level security;
alter table brand_table force row level security;

create policy brand_floor on brand_table
  as restrictive
  for all
  to public
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));
