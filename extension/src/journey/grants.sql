-- Functions of their arguments, and of who asks: for PUBLIC, on purpose.
grant execute on function default_stage_transitions() to public;
grant execute on function current_actor() to public;

comment on function default_stage_transitions() is
  'The moves between stages that a brand allows to begin with.';
comment on function current_actor() is
  'Who acts: the subject of the token of a trusted login, else the login.';
