-- Supabase's roles, where they exist: authenticated and service_role may do what an application may. They are granted it
-- directly, since they inherit nothing. anon is granted nothing.

do $$
declare
  grantee text;
begin
  foreach grantee in array array['authenticated', 'service_role'] loop
    if to_regrole(grantee) is null then
      continue;
    end if;
    execute format('grant select on customer_analytics to %I', grantee);
    execute format('grant execute on function search_customers(text, integer) to %I', grantee);
    execute format('grant execute on function set_brand_context(brand_id) to %I', grantee);
    execute format('grant execute on function current_brand() to %I', grantee);
  end loop;
end
$$;

-- rollback

do $$
declare
  grantee text;
begin
  foreach grantee in array array['authenticated', 'service_role'] loop
    if to_regrole(grantee) is null then
      continue;
    end if;
    execute format('revoke execute on function current_brand() from %I', grantee);
    execute format('revoke execute on function set_brand_context(brand_id) from %I', grantee);
    execute format('revoke execute on function search_customers(text, integer) from %I', grantee);
    execute format('revoke select on customer_analytics from %I', grantee);
  end loop;
end
$$;
