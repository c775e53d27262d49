-- A row is of the brand in context, so that an INSERT need not name it. Without a context the default is NULL, and the
-- policies refuse the row.

alter table customers alter column brand_id set default percytech.current_brand()::brand_id;
alter table conversations alter column brand_id set default percytech.current_brand()::brand_id;
alter table messages alter column brand_id set default percytech.current_brand()::brand_id;

-- rollback

alter table messages alter column brand_id drop default;
alter table conversations alter column brand_id drop default;
alter table customers alter column brand_id drop default;
