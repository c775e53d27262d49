-- The customers and their history once more, without triggers and policies: what a stage change costs by itself.
create table plain_customers (like customers including all excluding statistics);
insert into plain_customers (
  id, brand_id, email, phone, first_name, last_name, stage, source, marketing_qualified_at, trial_started_at, subscribed_at,
  churned_at, metadata, tags, created_at, updated_at
)
select
  id, brand_id, email, phone, first_name, last_name, stage, source, marketing_qualified_at, trial_started_at, subscribed_at,
  churned_at, metadata, tags, created_at, updated_at
from customers;
create trigger plain_customers_updated_at
  before update on plain_customers
  for each row execute function extensions.moddatetime(updated_at);

create table plain_transitions (like customer_stage_transitions including all excluding statistics);
insert into plain_transitions select * from customer_stage_transitions;
alter table plain_transitions
  add foreign key (brand_id, customer_id) references plain_customers (brand_id, id);
