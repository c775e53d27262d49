-- What each brand decides about opting out: what a reply ends, when its customers are not to be disturbed, and the words
-- that it answers with.

create table opt_out_policies (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  effective_from timestamptz not null,
  scope text not null default 'brand',
  source text not null,

  created_at timestamptz not null default now(),

  constraint opt_out_policies_pkey primary key (brand_id, id),
  constraint opt_out_policies_brand_id_effective_from_key unique (brand_id, effective_from),
  constraint opt_out_policies_scope_check check (scope in ('brand', 'campaign'))
);

comment on table opt_out_policies is
  'What a reply such as STOP ends, since when: everything of the brand, or the campaign that it answers. Kept by the DBA.';
comment on column opt_out_policies.source is 'Why: the rule of law, or who decided it.';

insert into opt_out_policies (brand_id, effective_from, scope, source)
select
  brand,
  '-infinity',
  'brand',
  '47 CFR 64.1200(a)(10): a reply revokes consent to all that the sender sends; waived until 2027-01-31, kept here'
from unnest(enum_range(null::brand_id)) as brand;

-- Asked of each list of time zones that is written down: a name that the server does not know would fail when it is used,
-- which is at night.
create function are_time_zones(names text[]) returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      name text;
    begin
      if array_ndims(names) > 1 then
        return false;
      end if;
      foreach name in array names loop
        perform now() at time zone name;
      end loop;
      return cardinality(names) > 0 and array_position(names, null) is null;
    exception when invalid_parameter_value then
      return false;
    end
  $$;

comment on function are_time_zones(text[]) is 'Whether the server knows each of these time zones.';
revoke all on function are_time_zones(text[]) from public;
grant execute on function are_time_zones(text[]) to percytech_app;

create table quiet_hours (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  quiet_from time not null default '21:00',
  quiet_until time not null default '08:00',
  fallback_time_zones text[] not null default
    '{America/New_York,America/Chicago,America/Denver,America/Phoenix,America/Los_Angeles,America/Anchorage,Pacific/Honolulu}',

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint quiet_hours_pkey primary key (brand_id, id),
  constraint quiet_hours_brand_id_key unique (brand_id),
  constraint quiet_hours_quiet_from_check check (quiet_until < quiet_from),
  constraint quiet_hours_fallback_time_zones_check
    check (are_time_zones(fallback_time_zones))
);

comment on table quiet_hours is
  'When a brand does not write, by the clock of each number: from quiet_from, over midnight, until quiet_until.';
comment on column quiet_hours.fallback_time_zones is
  'For a number whose time zone is not known: it has to be outside the quiet hours in all of these.';

create trigger quiet_hours_updated_at
  before update on quiet_hours
  for each row execute function moddatetime(updated_at);

-- The law's: 47 CFR 64.1200(c)(1), before 8 a.m. or after 9 p.m. at the called party's location.
insert into quiet_hours (brand_id) select unnest(enum_range(null::brand_id));

create table reply_texts (
  id uuid not null default gen_random_uuid(),
  brand_id brand_id not null default percytech.current_brand()::brand_id,

  kind text not null,
  language text not null,
  content text not null,

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint reply_texts_pkey primary key (brand_id, id),
  constraint reply_texts_brand_id_kind_language_key unique (brand_id, kind, language),
  constraint reply_texts_kind_check check (kind in ('opt_out', 'opt_in', 'help')),
  constraint reply_texts_language_check check (language ~ '^[a-z]{2}$'),
  constraint reply_texts_content_check check (content ~ '\S' and length(content) <= 1600)
);

comment on column reply_texts.content is 'At most 1,600 characters, as many as a provider takes.';
comment on table reply_texts is
  'What a brand answers to who opts out, opts in or asks for help, in the language of the reply; else in English.';

create trigger reply_texts_updated_at
  before update on reply_texts
  for each row execute function moddatetime(updated_at);

insert into reply_texts (brand_id, kind, language, content)
select brand, texts.kind, texts.language, replace(texts.content, '{brand}', brand::text)
from unnest(enum_range(null::brand_id)) as brand
cross join percytech.default_reply_texts() as texts;

do $$
declare
  grantee text;
begin
  foreach grantee in array array['authenticated', 'service_role'] loop
    if to_regrole(grantee) is not null then
      execute format('grant execute on function are_time_zones(text[]) to %I', grantee);
    end if;
  end loop;
end
$$;

-- rollback

drop table reply_texts;
drop table quiet_hours;
drop function are_time_zones(text[]);
drop table opt_out_policies;
