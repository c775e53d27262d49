-- Histories, and what a DBA keeps, are read by applications; the functions that keep them write, as their owner.
-- only-tables: public.customer_stage_transitions, public.brand_phone_numbers, public.recipients, public.consent_events
-- only-tables: public.opt_out_policies, public.opt_outs, public.message_delivery_events, public.inbound_receipts

create policy app_access on brand_table
  as permissive
  for select
  to percytech_app
  using (brand_id = (select percytech.current_brand()::public.brand_id));

grant select on brand_table to percytech_app;
