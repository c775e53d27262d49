-- Functions of their arguments alone: for PUBLIC, on purpose.
grant execute on function classify_reply(text) to public;
grant execute on function reply_rules_version() to public;
grant execute on function reply_rules() to public;
grant execute on function normalize_phone(text, text) to public;
grant execute on function normalize_sender(text, text) to public;
grant execute on function phone_time_zones(text) to public;
grant execute on function delivery_rank(text) to public;
grant execute on function is_provider_opt_out(text) to public;
grant execute on function default_reply_texts() to public;

alter function classify_reply(text) rows 1;

comment on function classify_reply(text) is
  'What a reply asks for: one row of intent (opt_out, opt_in, help or none), the rule, the words that decided, their language.';
comment on function reply_rules_version() is
  'The version of the rules that classify_reply goes by.';
comment on function reply_rules() is
  'The rules that classify_reply goes by, each with where it comes from.';
comment on function normalize_phone(text, text) is
  'A telephone number in E.164, or NULL where the text is none.';
comment on function normalize_sender(text, text) is
  'A telephone number in E.164, or a short code, or NULL where the text is neither.';
comment on function phone_time_zones(text) is
  'The time zones in which a number in E.164 may be, by its area code; empty where nothing is known of it.';
comment on function delivery_rank(text) is
  'How much a status of a message says: it never gives way to one of a lower rank.';
comment on function is_provider_opt_out(text) is
  'Whether a provider''s error code says that the number has opted out with the provider.';
comment on function default_reply_texts() is
  'The texts that a brand answers with to begin with; {brand} stands for its name.';
