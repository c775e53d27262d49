-- What histories.sql says, for Supabase's service_role.
-- if-role-exists: service_role
-- only-tables: public.customer_stage_transitions, public.brand_phone_numbers, public.recipients, public.consent_events
-- only-tables: public.opt_out_policies, public.opt_outs, public.message_delivery_events, public.inbound_receipts

create policy service_role_access on brand_table
  as permissive
  for select
  to service_role
  using (brand_id = (select percytech.current_brand()::public.brand_id));

grant select on brand_table to service_role;
