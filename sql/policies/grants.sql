-- What an application may do with the rows of the brand in context. The policy repeats the floor's condition: it costs
-- nothing, since PostgreSQL evaluates equal conditions once, and either would hold alone.
--
-- TRUNCATE, REFERENCES and TRIGGER are not granted: row level security does not bind them.

create policy app_access on brand_table
  as permissive
  for all
  to percytech_app
  using (brand_id = (select percytech.current_brand()::brand_id))
  with check (brand_id = (select percytech.current_brand()::brand_id));

grant select, insert, update, delete on brand_table to percytech_app;
