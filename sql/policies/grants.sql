-- Who may do what with the rows of the brand in context. The policies repeat the floor's condition: it costs nothing,
-- since PostgreSQL evaluates equal conditions once, and either would hold alone.
--
-- TRUNCATE, REFERENCES and TRIGGER are granted to nobody: row level security does not bind them.
-- except-tables: public.customer_stage_transitions, public.brand_phone_numbers, public.recipients, public.consent_events
-- except-tables: public.opt_out_policies, public.opt_outs, public.message_delivery_events, public.inbound_receipts

create policy app_access on brand_table
  as permissive
  for all
  to percytech_app
  using (brand_id = (select percytech.current_brand()::public.brand_id))
  with check (brand_id = (select percytech.current_brand()::public.brand_id));

grant select, insert, update, delete on brand_table to percytech_app;
