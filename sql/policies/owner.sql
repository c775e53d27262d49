-- Row level security is forced, so the owner needs a policy too: migrations change rows as the owner, and so do the
-- functions that keep what applications may only read.
create policy owner_access on brand_table
  as permissive
  for all
  to percytech_owner
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));
