//! `percytech policies`: declared once, applied to every brand table, and kept so.

use percytech_tests::{
    ALL_TABLES, APP, TestDatabase, directory_of, edited_sql, fill, run, sql_and, value, values,
};

#[test]
fn apply_does_what_diff_says_and_a_second_time_nothing() {
    let database = TestDatabase::empty();
    run(&mut database.percytech(&["migrate", "up"])).expect(0);
    let before = database.dump();
    let diff = run(&mut database.percytech(&["policies", "diff"])).expect(1);
    assert!(diff.stdout.contains("102 changes to make on 14 brand tables"), "{}", diff.stdout);
    assert_eq!(database.dump(), before, "diff changes nothing");

    let apply = run(&mut database.percytech(&["policies", "apply"])).expect(0);
    assert!(apply.stdout.contains("102 changes made on 14 brand tables"), "{}", apply.stdout);
    let applied = database.dump();
    assert_ne!(applied, before);

    run(&mut database.percytech(&["policies", "diff"])).expect(0);
    let again = run(&mut database.percytech(&["policies", "apply"])).expect(0);
    assert!(again.stdout.contains("0 changes made on 14 brand tables"), "{}", again.stdout);
    assert_eq!(database.dump(), applied);
}

#[test]
fn the_sql_that_diff_prints_does_what_apply_does() {
    let (by_hand, by_apply) = (TestDatabase::empty(), TestDatabase::empty());
    for database in [&by_hand, &by_apply] {
        run(&mut database.percytech(&["migrate", "up"])).expect(0);
    }
    let diff = run(&mut by_hand.percytech(&["policies", "diff"])).expect(1).stdout;
    by_hand.superuser().batch_execute(&diff).unwrap();
    run(&mut by_apply.percytech(&["policies", "apply"])).expect(0);
    assert_eq!(by_hand.dump(), by_apply.dump());
}

#[test]
fn whatever_was_bent_is_mended() {
    let bends = [
        "alter table messages disable row level security",
        "alter table messages no force row level security",
        "drop policy brand_floor on messages",
        "drop policy app_access on customers",
        "alter policy brand_floor on customers using (true)",
        "alter policy brand_floor on customers with check (true)",
        "alter policy brand_floor on customers to percytech_app",
        "drop policy brand_floor on customers; create policy brand_floor on customers using (true)",
        "drop policy brand_floor on customers; create policy brand_floor on customers as restrictive for select using (true)",
        "grant truncate on customers to percytech_app",
        "grant select on customers to public",
        "grant select on customers to percytech_app with grant option",
        "revoke insert on conversations from percytech_app",
        "revoke all on conversations from percytech_app",
        "drop policy owner_access on messages",
        "grant update (email) on customers to public",
        "grant select (email) on customers to percytech_app with grant option",
    ];
    let database = TestDatabase::migrated();
    let intact = database.dump();
    for bend in bends {
        database.superuser().batch_execute(bend).unwrap();
        assert_ne!(database.dump(), intact, "{bend}");
        run(&mut database.percytech(&["policies", "diff"])).expect(1);
        run(&mut database.percytech(&["policies", "apply"])).expect(0);
        run(&mut database.percytech(&["policies", "diff"])).expect(0);
        let diff = run(&mut database.percytech(&["verify"])).expect(0);
        assert!(diff.stdout.contains("0 isolation findings"));
        assert_eq!(database.dump(), intact, "{bend}");
    }
}

#[test]
fn what_is_not_declared_is_reported_and_goes_only_when_pruned() {
    let database = TestDatabase::migrated();
    let intact = database.dump();
    let role = format!("reporting_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!(
            "create role {role}; create policy extra on customers for select using (true); grant select on customers to {role}"
        ))
        .unwrap();
    let kept = run(&mut database.percytech(&["policies", "apply"])).expect(0);
    assert!(kept.stdout.contains(
        "not declared, and left as it is; --prune would run: drop policy extra on public.customers"
    ));
    assert!(
        kept.stdout.contains(&format!("revoke SELECT on public.customers from {role}")),
        "{}",
        kept.stdout
    );
    let policies: i64 =
        value(&mut database.superuser(), "select count(*) from pg_policy where polname = 'extra'");
    assert_eq!(policies, 1);

    run(&mut database.percytech(&["policies", "diff"])).expect(0);
    run(&mut database.percytech(&["policies", "diff", "--prune"])).expect(1);
    run(&mut database.percytech(&["policies", "apply", "--prune"])).expect(0);
    assert_eq!(database.dump(), intact);
}

#[test]
fn a_new_brand_table_gets_the_policies_and_another_table_does_not() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "set role percytech_owner;
             create table \"Odd.Name\" (id uuid primary key, brand_id brand_id not null);
             create table parts (id uuid, brand_id brand_id not null) partition by list (brand_id);
             create table parts_of_gnymble partition of parts for values in ('gnymble');
             create table plain (id uuid primary key)",
        )
        .unwrap();
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    let protected: Vec<String> = values(
        &mut superuser,
        "select polrelid::regclass::text from pg_policy where polname = 'brand_floor' order by polrelid::regclass::text collate \"C\"",
    );
    let mut expected = vec!["\"Odd.Name\"", "parts", "parts_of_gnymble"];
    expected.extend(ALL_TABLES);
    expected.sort_unstable();
    assert_eq!(protected, expected);
}

#[test]
fn a_policy_that_names_the_table_in_a_sub_select_settles_too() {
    let declared = sql_and("policies", &[]);
    std::fs::write(
        declared.path().join("more.sql"),
        "create policy more on brand_table as restrictive for delete to public
         using (exists (select from pg_roles where rolname = current_user and brand_table.id is not null))",
    )
    .unwrap();
    let database = TestDatabase::migrated();
    let directory = declared.path().to_str().unwrap();
    run(&mut database.percytech(&["policies", "apply", "--dir", directory])).expect(0);
    run(&mut database.percytech(&["policies", "diff", "--dir", directory])).expect(0);
    fill(&mut database.superuser());
    assert_eq!(percytech_tests::changed(&mut database.app_of("gnymble"), "delete from messages"), 4);
}

#[test]
fn a_grant_that_another_role_passed_on_is_taken_back() {
    let database = TestDatabase::migrated();
    let role = format!("middleman_of_{}", database.name());
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create role {role}; grant usage on schema public to {role};
             grant select on customers to {role} with grant option;
             set role {role}; grant select on customers to public; reset role"
        ))
        .unwrap();
    let everybody = "select exists (select from pg_class, aclexplode(relacl) where oid = 'customers'::regclass and grantee = 0)";
    assert!(value::<bool>(&mut superuser, everybody));
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    assert!(!value::<bool>(&mut superuser, everybody));
    run(&mut database.percytech(&["policies", "diff"])).expect(0);
}

#[test]
fn partitions_in_other_schemas_get_the_policies_too() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "create schema parts authorization percytech_owner; set role percytech_owner;
             create table events (id uuid, brand_id brand_id not null) partition by list (brand_id);
             create table parts.gnymble partition of events for values in ('gnymble');
             create table parts.child () inherits (public.customers);
             create table parts.parent (like public.messages); alter table public.messages inherit parts.parent;
             reset role",
        )
        .unwrap();
    let found = run(&mut database.percytech(&["verify"])).expect(1);
    for table in ["parts.gnymble", "parts.child", "parts.parent", "public.events"] {
        assert!(found.stdout.contains(&format!("{table}\n")), "{table}: {}", found.stdout);
    }
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    run(&mut database.percytech(&["verify"])).expect(0);
}

#[test]
fn an_operator_that_somebody_has_planted_is_not_taken_for_postgresqls_own() {
    let database = TestDatabase::migrated();
    let intact = database.dump();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "create function public.always(brand_id, brand_id) returns bool language sql immutable as 'select true';
             create operator public.= (leftarg = brand_id, rightarg = brand_id, function = public.always)",
        )
        .unwrap();
    run(&mut database.percytech(&["policies", "diff"])).expect(0);
    superuser
        .batch_execute("drop policy brand_floor on customers; drop policy app_access on customers")
        .unwrap();
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    superuser
        .batch_execute("drop operator public.= (brand_id, brand_id); drop function public.always")
        .unwrap();
    assert_eq!(database.dump(), intact);
}

#[test]
fn grants_on_columns_and_grant_options_settle_whatever_was_done_with_them() {
    let database = TestDatabase::migrated();
    let (reader, middleman) =
        (format!("reader_of_{}", database.name()), format!("middleman_of_{}", database.name()));
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create role {reader}; create role {middleman}; grant usage on schema public to {reader}, {middleman}"
        ))
        .unwrap();
    let declared = format!(
        "grant select (id) on brand_table to {reader}; grant select on brand_table to {middleman} with grant option;"
    );
    let declared = sql_and("policies", &[("more.sql", &declared)]);
    let directory = declared.path().to_str().unwrap();
    run(&mut database.percytech(&["policies", "apply", "--dir", directory])).expect(0);
    let settled = database.dump();
    superuser
        .batch_execute(&format!(
            "grant select on customers to {reader}; set role {middleman}; grant select on customers to public; reset role"
        ))
        .unwrap();
    run(&mut database.percytech(&["policies", "apply", "--dir", directory])).expect(0);
    run(&mut database.percytech(&["policies", "diff", "--dir", directory])).expect(0);
    let sorted = |dump: &str| {
        let mut lines: Vec<_> = dump.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&database.dump()), sorted(&settled));
}

#[test]
fn without_a_brand_table_or_a_declaration_nothing_is_done_and_it_says_so() {
    let database = TestDatabase::empty();
    let empty = directory_of(&[]);
    run(&mut database.percytech(&["policies", "apply", "--dir", empty.path().to_str().unwrap()]))
        .expect(2)
        .says(&["there is no .sql file in"]);
    run(&mut database.percytech(&["policies", "apply", "--dir", "/nowhere"]))
        .expect(2)
        .says(&["cannot read the policies in /nowhere"]);
    database
        .superuser()
        .batch_execute("create type brand_id as enum ('gnymble'); create extension percytech; grant create on schema public to percytech_owner; grant usage on schema percytech to percytech_owner")
        .unwrap();
    run(&mut database.percytech(&["policies", "apply"]))
        .expect(2)
        .says(&["no table of public has the column brand_id", "percytech migrate up"]);
}

#[test]
fn a_slip_in_a_declaration_is_shown_with_file_and_line_and_changes_nothing() {
    let database = TestDatabase::migrated();
    let intact = database.dump();
    for (from, to, words) in [
        ("as restrictive", "as restrictiv", "floor.sql:11: unrecognized row security option \"restrictiv\""),
        (
            "percytech.current_brand()",
            "percytech.curent_brand()",
            "function percytech.curent_brand() does not exist",
        ),
        ("to percytech_app\n", "to nobody_here\n", "role \"nobody_here\" does not exist"),
    ] {
        let declared = edited_sql("policies", from, to);
        run(&mut database.percytech(&["policies", "apply", "--dir", declared.path().to_str().unwrap()]))
            .expect(2)
            .says(&[words]);
        assert_eq!(database.dump(), intact);
    }
}

#[test]
fn a_declaration_says_nothing_but_what_can_be_given_to_every_table() {
    let database = TestDatabase::migrated();
    let intact = database.dump();
    for statement in [
        "commit",
        "drop policy brand_floor on customers",
        "create index on brand_table (id)",
        "alter table brand_table add column x int",
        "alter table customers disable row level security",
        "alter table brand_table disable row level security",
        "grant select on customers to public",
        "grant all on all tables in schema public to public",
        "create policy p on public.brand_table using (true)",
        "create policy p on customers using (true)",
        "do $$ begin end $$",
        "select 1",
    ] {
        let declared = sql_and("policies", &[]);
        std::fs::write(declared.path().join("a.sql"), format!("-- odd\n{statement};\n")).unwrap();
        for command in ["diff", "apply"] {
            run(&mut database.percytech(&["policies", command, "--dir", declared.path().to_str().unwrap()]))
                .expect(2)
                .says(&["a.sql:2: a declaration may not say this", "about brand_table"]);
        }
        assert_eq!(database.dump(), intact, "{statement}");
    }
}

#[test]
fn privileges_on_columns_are_kept_as_declared_too() {
    let declared = sql_and("policies", &[]);
    std::fs::write(
        declared.path().join("columns.sql"),
        "grant references (id) on brand_table to percytech_app;\n",
    )
    .unwrap();
    let database = TestDatabase::migrated();
    let directory = declared.path().to_str().unwrap();
    let apply = run(&mut database.percytech(&["policies", "apply", "--dir", directory])).expect(0);
    assert!(
        apply.stdout.contains("grant REFERENCES (id) on public.customers to percytech_app"),
        "{}",
        apply.stdout
    );
    run(&mut database.percytech(&["policies", "diff", "--dir", directory])).expect(0);
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    run(&mut database.percytech(&["policies", "diff"])).expect(0);
}

#[test]
fn who_may_not_act_as_the_owner_or_make_a_temporary_table_is_told_so() {
    let database = TestDatabase::migrated();
    run(&mut database.percytech_as(APP, &["policies", "apply"])).expect(2).says(&[
        "reading and changing policies as percytech_owner is not possible",
        "grant percytech_owner to <user>",
    ]);
    database
        .superuser()
        .batch_execute(&format!("revoke temporary on database {} from public", database.name()))
        .unwrap();
    run(&mut database.percytech(&["policies", "diff"]))
        .expect(2)
        .says(&["need a temporary table", "grant temporary on database"]);
}

#[test]
fn who_may_not_change_a_table_is_told_and_changes_none() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("alter table messages owner to postgres; alter table messages no force row level security; alter table customers no force row level security").unwrap();
    let before = database.dump();
    run(&mut database.percytech(&["policies", "apply"])).expect(2).says(&[
        "public.messages: must be owner of table messages",
        "nothing was changed",
        "force row level security",
    ]);
    assert_eq!(database.dump(), before);
}
