-- On Supabase, a request with a user's token runs as authenticated: what an application may do, within the brand that the
-- token names. It is named here, and not granted percytech_app, since it inherits nothing. anon, which a request without
-- a token runs as, is granted nothing.
-- if-role-exists: authenticated
-- except-tables: public.customer_stage_transitions, public.brand_phone_numbers, public.recipients, public.consent_events
-- except-tables: public.opt_out_policies, public.opt_outs, public.message_delivery_events, public.inbound_receipts

create policy authenticated_access on brand_table
  as permissive
  for all
  to authenticated
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));

grant select, insert, update, delete on brand_table to authenticated;
