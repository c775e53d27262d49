-- Labels and claims are UTF-8 in here; in a database of another encoding the same bytes would be another text.
do $$
begin
  if getdatabaseencoding() <> 'UTF8' then
    raise exception 'extension percytech needs a database in UTF8, and this one is in %', getdatabaseencoding()
      using errcode = 'feature_not_supported',
            hint = 'Create the database anew: create database ... encoding ''UTF8'' template template0;';
  end if;
end
$$;
