-- Histories are read by applications, and written by the functions that keep them, as their owner.
-- only-tables: public.customer_stage_transitions

create policy app_access on brand_table
  as permissive
  for select
  to percytech_app
  using (brand_id = (select percytech.current_brand()::public.brand_id));

grant select on brand_table to percytech_app;
