-- What histories.sql says, for Supabase's authenticated.
-- if-role-exists: authenticated
-- only-tables: public.customer_stage_transitions

create policy authenticated_access on brand_table
  as permissive
  for select
  to authenticated
  using (brand_id = (select percytech.current_brand()::public.brand_id));

grant select on brand_table to authenticated;
