-- percytech brings the brand context; btree_gin lets a text search index lead with brand_id; moddatetime keeps
-- updated_at. The contrib ones go where Supabase has them, so that their functions are no RPC endpoints of public.
-- as-invoker: only a superuser may create percytech and moddatetime

do $$
begin
  if exists (
    select
    from pg_namespace
    join pg_roles on pg_roles.oid = pg_namespace.nspowner
    where nspname = 'percytech' and not rolsuper
  ) then
    raise exception 'schema percytech belongs to a role that is no superuser'
      using errcode = '42501',
            detail = 'Its owner could replace the functions that every policy asks.',
            hint = 'Look at what is in it, then drop it or give it to a superuser: alter schema percytech owner to postgres;';
  end if;
end
$$;

create extension if not exists percytech;

do $$
begin
  if to_regnamespace('extensions') is null then
    create schema extensions;
    comment on schema extensions is 'What extensions of PostgreSQL bring along; no API exposes it.';
    grant usage on schema extensions to public;
  end if;
end
$$;

create extension if not exists btree_gin with schema extensions;
create extension if not exists moddatetime with schema extensions;

-- rollback

drop extension percytech;
drop schema percytech;

-- What others have come to use stays.
do $$
declare
  unwanted text;
begin
  foreach unwanted in array array['extension moddatetime', 'extension btree_gin', 'schema extensions'] loop
    begin
      execute 'drop ' || unwanted;
    exception when dependent_objects_still_exist then
      raise notice '% is kept: other objects use it', unwanted;
    end;
  end loop;
end
$$;
