-- All brands side by side, for those who may look across them and act as none: numbers of customers, in groups so large that
-- nobody stands out. The function works as percytech_owner, whom the floor binds to the brand in context, and is lent one
-- brand after the other (percytech.lend_brand), for as long as it runs; its caller's context stays as it is.

create type brand_overview_group as (
  brand_id brand_id,
  dimension text,
  value text,
  customers bigint,
  share double precision,
  median_days_to_subscription double precision
);

comment on type brand_overview_group is 'A row of brand_overview: the customers of a brand who are alike in one respect.';
comment on column brand_overview_group.brand_id is 'Whose customers these are.';
comment on column brand_overview_group.dimension is 'In which respect they are alike: stage or source.';
comment on column brand_overview_group.value is
  'The stage where they stand, or the source they came from; other where groups were put together that are small by themselves.';
comment on column brand_overview_group.customers is
  'How many these are; never fewer than percytech.smallest_group. NULL where the whole brand has fewer.';
comment on column brand_overview_group.share is 'Their share of the brand''s customers.';
comment on column brand_overview_group.median_days_to_subscription is
  'The median of the days from when they came until they first became active, to one decimal, of those who did and were not so when they came; NULL where these are fewer than percytech.smallest_group.';

-- The groups of one brand. A group too small to be shown goes to the others, the smallest first; and so do larger ones, as
-- long as the others are too few themselves. Source other, where it has to do with such groups, is one of them.
create function count_brand_overview(brand brand_id, smallest integer) returns setof brand_overview_group
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  as $$
    begin
      if (select count(*) from public.customers where customers.brand_id = brand) < smallest then
        return query select brand, 'stage', 'other', null::bigint, null::double precision, null::double precision;
        return;
      end if;
      return query
        with subscribers as (
          select transitions.customer_id, min(transitions.occurred_at) as subscribed_at
          from public.customer_stage_transitions as transitions
          where transitions.brand_id = brand and transitions.to_stage = 'active'
          group by transitions.customer_id
        ),
        members as (
          select
            described.dimension,
            described.value,
            date_part('epoch', subscribers.subscribed_at - arrivals.occurred_at) / 86400 as days
          from public.customers
          left join public.customer_stage_transitions as arrivals
            on arrivals.brand_id = brand
            and arrivals.customer_id = customers.id
            and arrivals.position = 1
            -- Who came as a subscriber had subscribed before, nobody knows how soon.
            and arrivals.to_stage <> 'active'
          left join subscribers on subscribers.customer_id = customers.id
          cross join lateral (
            values ('stage', customers.stage::text), ('source', customers.source::text)
          ) as described (dimension, value)
          where customers.brand_id = brand
        ),
        groups as (
          select
            members.dimension,
            members.value,
            count(*) as customers,
            min(count(*)) over (partition by members.dimension) < smallest as has_small,
            coalesce(
              sum(count(*)) over (
                partition by members.dimension
                order by members.value <> 'other', count(*), members.value
                rows between unbounded preceding and 1 preceding
              ),
              0
            ) as smaller
          from members
          group by members.dimension, members.value
        ),
        shown as (
          select
            groups.dimension,
            groups.value,
            case when groups.has_small and (groups.customers < smallest or groups.smaller < smallest) then 'other' else groups.value end
              as shown_as
          from groups
        )
        select
          brand,
          members.dimension,
          shown.shown_as,
          count(*),
          count(*) / sum(count(*)) over (partition by members.dimension)::double precision,
          case
            when count(members.days) >= smallest
              then round((percentile_cont(0.5) within group (order by members.days))::numeric, 1)::double precision
          end
        from members
        join shown using (dimension, value)
        group by members.dimension, shown.shown_as
        order by
          members.dimension desc,
          shown.shown_as = 'other',
          array_position(
            enum_range(null::public.customer_stage)::text[] || enum_range(null::public.customer_source)::text[], shown.shown_as
          );
    end
  $$;

create function brand_overview() returns setof brand_overview_group
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  as $$
    declare
      brand public.brand_id;
    begin
      foreach brand in array enum_range(null::public.brand_id) loop
        -- This refuses whoever is no analyst, also where EXECUTE was granted more widely.
        perform percytech.lend_brand(brand::text);
        return query
          select groups.*
          from public.count_brand_overview(brand, greatest(current_setting('percytech.smallest_group')::integer, 1)) as groups;
      end loop;
      perform percytech.lend_brand(null);
    end
  $$;

comment on function count_brand_overview(brand_id, integer) is
  'The customers of a brand by stage and by source, in groups of at least smallest.';
comment on function brand_overview() is
  'How many customers has each brand, by stage and by source, and how soon do they subscribe? For members of percytech_analyst; no group is smaller than percytech.smallest_group.';

revoke all on function count_brand_overview(brand_id, integer) from public;
revoke all on function brand_overview() from public;
grant execute on function brand_overview() to percytech_analyst;

do $$
begin
  if not has_schema_privilege('percytech_analyst', 'public', 'usage') then
    raise warning 'percytech_analyst may not use the schema public'
      using detail = 'Its members cannot call brand_overview.',
            hint = 'The owner of the schema runs: grant usage on schema public to percytech_analyst;';
  end if;
end
$$;

-- rollback

drop function brand_overview();
drop function count_brand_overview(brand_id, integer);
drop type brand_overview_group;
