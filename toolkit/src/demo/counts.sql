select
  (select count(*) from customers),
  (select count(*) from conversations),
  (select count(*) from messages)
