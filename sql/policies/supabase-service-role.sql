-- On Supabase, a server's own requests run as service_role. It has BYPASSRLS there, so that no policy binds it, and needs
-- the grants all the same; where it has not, it works within the brand in context like everybody else.
-- if-role-exists: service_role
-- except-tables: public.customer_stage_transitions, public.brand_phone_numbers, public.recipients, public.consent_events
-- except-tables: public.opt_out_policies, public.opt_outs, public.message_delivery_events, public.inbound_receipts

create policy service_role_access on brand_table
  as permissive
  for all
  to service_role
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));

grant select, insert, update, delete on brand_table to service_role;
