-- Who may do what with the rows of the brand in context. The policies repeat the floor's condition: it costs nothing,
-- since PostgreSQL evaluates equal conditions once, and either would hold alone.
--
-- TRUNCATE, REFERENCES and TRIGGER are granted to nobody: row level security does not bind them.

create policy app_access on brand_table
  as permissive
  for all
  to percytech_app
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));

grant select, insert, update, delete on brand_table to percytech_app;

-- Row level security is forced, so the owner needs a policy too: migrations change rows as the owner, and so do the
-- functions that keep what applications may only read.
create policy owner_access on brand_table
  as permissive
  for all
  to percytech_owner
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));
