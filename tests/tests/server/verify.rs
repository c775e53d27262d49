//! `percytech verify`: silent on a schema that keeps brands apart, and on no other.

use percytech_tests::{
    APP, Ran, TABLES, TestDatabase, directory_of, edited_sql, migrate_up, policies_apply, run, sql,
};
use percytech_toolkit::verify::rules;
use postgres::error::SqlState;
use serde_json::Value;

fn verify(database: &TestDatabase) -> Value {
    let ran = run(&mut database.percytech(&["verify", "--format", "json"]));
    assert!(ran.code == 0 || ran.code == 1, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code == 1, !report["findings"].as_array().unwrap().is_empty());
    report
}

/// Rule and object of each finding.
fn findings(database: &TestDatabase) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    verify(database)["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (text(finding, "rule"), text(finding, "object")))
        .collect()
}

fn has(findings: &[(String, String)], rule: &str, object: &str) -> bool {
    findings.iter().any(|(found, on)| found == rule && on == object)
}

#[test]
fn our_own_schema_has_no_findings() {
    let ran = run(&mut TestDatabase::migrated().percytech(&["verify"])).expect(0);
    assert!(
        ran.stdout.ends_with("0 isolation findings in 14 tables and 1 view of schema public\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("not checked: schema percytech_migrations (1 table)"));
}

#[test]
fn the_original_design_is_found_to_leak() {
    let database = TestDatabase::empty();
    database.superuser().batch_execute(include_str!("../../corpus/seed/schema.sql")).unwrap();
    let findings = findings(&database);
    assert!(has(&findings, "require-brand-column", "public.messages"));
    for table in TABLES {
        let table = format!("public.{table}");
        assert!(has(&findings, "require-forced-row-security", &table), "{table}");
        assert!(has(&findings, "require-restrictive-floor", &table), "{table}");
    }
    let policy = "policy messages_conversation_access on public.messages";
    assert!(has(&findings, "require-brand-scoped-policies", policy));
    assert!(has(&findings, "require-policies-for-every-command", "public.messages"));
    assert!(has(&findings, "require-security-invoker-views", "public.customer_analytics"));
    // What it does right is not objected to.
    assert!(!has(&findings, "require-brand-column", "public.customers"));
    assert!(!has(&findings, "require-row-security", "public.customers"));
    assert!(!findings.iter().any(|(rule, on)| rule == "require-brand-scoped-policies" && on != policy));
    assert_eq!(findings.len(), 10, "{findings:?}");
}

#[test]
fn each_rule_objects_to_its_violation_and_not_to_the_mended_one() {
    for rule in rules::ALL {
        for (sql, objects) in [(rule.violation, true), (rule.clean, false)] {
            let database = TestDatabase::empty();
            let mut superuser = database.superuser();
            superuser.batch_execute("create type brand_id as enum ('gnymble', 'percymd')").unwrap();
            superuser.batch_execute(sql).unwrap();
            let found = findings(&database).iter().any(|(found, _)| found == rule.id);
            assert_eq!(found, objects, "{}: {sql}", rule.id);
        }
    }
}

#[test]
fn the_mend_that_a_finding_names_mends_it() {
    for rule in rules::ALL {
        let database = TestDatabase::empty();
        let mut superuser = database.superuser();
        superuser
            .batch_execute("create type brand_id as enum ('gnymble', 'percymd'); create extension percytech")
            .unwrap();
        superuser.batch_execute(rule.violation).unwrap();
        let report = verify(&database);
        let own: Vec<_> =
            report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == rule.id).collect();
        assert!(!own.is_empty(), "{}", rule.id);
        for finding in own {
            superuser
                .batch_execute(finding["mend"].as_str().unwrap())
                .unwrap_or_else(|error| panic!("{}: {error:?}", rule.id));
        }
        // A column cannot be moved: that mend is a comment that says so.
        let is_mended = !findings(&database).iter().any(|(found, _)| found == rule.id);
        assert_eq!(is_mended, rule.id != "require-brand-column-second", "{}", rule.id);
    }
}

/// The database that the project's SQL makes when `from` is written as `to` somewhere in it.
fn with_edit(directory: &str, from: &str, to: &str) -> TestDatabase {
    let edited = edited_sql(directory, from, to);
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    if directory == "migrations" {
        migrate_up(&mut superuser, edited.path());
        policies_apply(&mut superuser, &sql("policies"));
    } else {
        migrate_up(&mut superuser, &sql("migrations"));
        policies_apply(&mut superuser, edited.path());
    }
    database
}

#[test]
fn a_protection_that_is_taken_out_of_the_policies_is_missed() {
    let condition = "(brand_id = (select percytech.current_brand()::public.brand_id))";
    for (from, to, rule) in [
        ("alter table brand_table enable row level security;", "", "require-row-security"),
        ("alter table brand_table force row level security;", "", "require-forced-row-security"),
        ("as restrictive", "as permissive", "require-restrictive-floor"),
        ("to public", "to percytech_app", "require-restrictive-floor"),
        (&format!("  using {condition}\n"), "  using (true)\n", "require-restrictive-floor"),
        (&format!("  with check {condition};"), "  with check (true);", "require-restrictive-floor"),
        ("for all\n", "for update\n", "require-restrictive-floor"),
    ] {
        let findings = findings(&with_edit("policies", from, to));
        for table in TABLES {
            assert!(has(&findings, rule, &format!("public.{table}")), "{from} as {to}: {findings:?}");
        }
    }
}

#[test]
fn a_protection_that_is_taken_out_of_the_migrations_is_missed() {
    let view = " with (security_invoker = true)";
    let findings_of_view = findings(&with_edit("migrations", view, ""));
    assert!(has(&findings_of_view, "require-security-invoker-views", "public.customer_analytics"));
}

#[test]
fn a_table_that_loses_its_brand_is_found() {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute("alter table messages drop column brand_id cascade").unwrap();
    let findings = findings(&database);
    assert!(has(&findings, "require-brand-column", "public.messages"), "{findings:?}");
}

#[test]
fn every_protection_of_every_table_counts() {
    for table in TABLES {
        for (bend, rule) in [
            ("alter table T disable row level security", "require-row-security"),
            ("alter table T no force row level security", "require-forced-row-security"),
            ("drop policy brand_floor on T", "require-restrictive-floor"),
            ("alter policy brand_floor on T to percytech_app", "require-restrictive-floor"),
            ("alter policy brand_floor on T using (true)", "require-restrictive-floor"),
            ("alter policy brand_floor on T with check (true)", "require-restrictive-floor"),
            ("alter policy app_access on T using (true)", "require-brand-scoped-policies"),
            ("create policy oops on T for select using (true)", "require-brand-scoped-policies"),
            (
                "alter table T drop constraint T_pkey cascade; alter table T alter column brand_id drop not null",
                "require-brand-column-not-null",
            ),
        ] {
            let database = TestDatabase::migrated();
            database.superuser().batch_execute(&bend.replace(" T", &format!(" {table}"))).unwrap();
            let found = findings(&database);
            let is_found =
                found.iter().any(|(id, on)| id == rule && on.ends_with(&format!("public.{table}")));
            assert!(is_found, "{bend} for {table}");
        }
    }
}

#[test]
fn over_a_floor_an_open_policy_is_a_warning_and_under_none_an_error() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("create policy oops on customers using (true)").unwrap();
    assert_eq!(verify(&database)["findings"][0]["severity"], "warning");
    run(&mut database.percytech(&["verify"])).expect(1);
    run(&mut database.percytech(&["verify", "--fail-on", "error"])).expect(0);
    superuser.batch_execute("drop policy brand_floor on customers").unwrap();
    let report = verify(&database);
    let severities: Vec<_> = report["findings"].as_array().unwrap().iter().map(|f| &f["severity"]).collect();
    assert!(severities.iter().all(|severity| *severity == "error"), "{severities:?}");
    run(&mut database.percytech(&["verify", "--fail-on", "error"])).expect(1);
}

#[test]
fn views_are_followed_to_what_they_read() {
    let database = TestDatabase::migrated();
    database
        .superuser()
        .batch_execute(
            "create schema hidden;
             create table hidden.plain (id int);
             create view hidden.inner_view as select * from customers;
             create view outer_view with (security_invoker = true) as select * from hidden.inner_view;
             create view with_on with (security_invoker = on) as select * from customers;
             create view with_off with (security_invoker = false) as select * from customers;
             create view of_nothing as select 1 as one;
             create view of_the_catalog as select relname from pg_catalog.pg_class;
             create materialized view stored as select * from customers;
             create materialized view hidden.stored as select * from with_on;
             create function everything() returns table (email text) language sql security definer
               as 'select email::text from public.customers';
             create materialized view of_a_function as select * from everything();
             create view hidden.elsewhere as select * from hidden.plain;",
        )
        .unwrap();
    let findings = findings(&database);
    let views: Vec<_> = findings.iter().map(|(rule, object)| (rule.as_str(), object.as_str())).collect();
    assert_eq!(
        views,
        ["hidden.inner_view", "hidden.stored", "public.of_a_function", "public.stored", "public.with_off"]
            .map(|view| ("require-security-invoker-views", view))
    );
}

#[test]
fn tables_of_other_schemas_and_of_extensions_are_named_as_not_checked() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("create schema billing; create table billing.invoices (id int); create view billing.open_invoices as select * from billing.invoices; create table spatial (id int); alter extension percytech add table spatial").unwrap();
    let ran = run(&mut database.percytech(&["verify"])).expect(0);
    assert!(
        ran.stdout.contains("not checked: schema billing (1 table, 1 view), schema percytech_migrations (1 table), of extensions (1 table)"),
        "{}",
        ran.stdout
    );
}

fn with_config(database: &TestDatabase, config: &str, arguments: &[&str]) -> Ran {
    let directory = directory_of(&[("percytech.toml", config)]);
    let file = directory.path().join("percytech.toml");
    let arguments: Vec<_> = arguments.iter().copied().chain(["--config", file.to_str().unwrap()]).collect();
    run(&mut database.percytech(&arguments))
}

#[test]
fn an_exception_needs_a_reason_is_shown_and_is_missed_when_it_is_not_needed() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("create view everyone as select * from customers").unwrap();
    let excepted = |reason: &str| {
        format!(
            "[[exceptions]]\nrule = \"require-security-invoker-views\"\nobject = \"public.everyone\"\nreason = \"{reason}\"\n"
        )
    };
    run(&mut database.percytech(&["verify"])).expect(1);
    let ran = with_config(&database, &excepted("read by the founder alone"), &["verify"]).expect(0);
    assert!(
        ran.stdout.contains(
            "excepted: public.everyone [require-security-invoker-views]: read by the founder alone"
        )
    );
    with_config(&database, &excepted(""), &["verify"]).expect(2).says(&["has no reason"]);
    superuser.batch_execute("drop view everyone").unwrap();
    let ran = with_config(&database, &excepted("read by the founder alone"), &["verify"]).expect(0);
    assert!(ran.stdout.contains("exception without a finding, to be removed"), "{}", ran.stdout);
}

#[test]
fn a_database_of_another_design_is_verified_without_the_extension() {
    let database = TestDatabase::empty();
    database
        .superuser()
        .batch_execute(
            "create schema crm;
             create table crm.accounts (id uuid primary key, tenant_id uuid not null);
             alter table crm.accounts enable row level security;
             alter table crm.accounts force row level security;
             create policy floor on crm.accounts as restrictive
               using (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid));
             create table crm.leads (id uuid primary key, tenant_id text)",
        )
        .unwrap();
    let config = "schemas = [\"crm\"]\n[brand]\ncolumn = \"tenant_id\"\ntype = \"uuid\"\nsetting = \"app.tenant\"\nfunctions = []\n";
    let ran = with_config(&database, config, &["verify", "--format", "json"]).expect(1);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let objects: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|f| f["object"].as_str().unwrap()).collect();
    assert!(objects.iter().all(|object| *object == "crm.leads"), "{objects:?}");
    assert_eq!(objects.len(), 6);
}

#[test]
fn verifying_needs_no_more_than_a_login_and_writes_nothing() {
    let database = TestDatabase::migrated();
    let before = database.dump();
    let ran = run(&mut database.percytech_as(APP, &["verify"])).expect(0);
    assert!(ran.stdout.contains("0 isolation findings in 14 tables and 1 view"));
    assert_eq!(database.dump(), before);
}

#[test]
fn an_empty_database_is_not_passed_in_silence() {
    let database = TestDatabase::empty();
    run(&mut database.percytech(&["verify"])).expect(2).says(&["there is no type public.brand_id"]);
    database.superuser().batch_execute("create type brand_id as enum ('gnymble')").unwrap();
    run(&mut database.percytech(&["verify"]))
        .expect(2)
        .says(&["there is no table in schema public", database.name()]);
}

#[test]
fn a_schema_that_does_not_exist_is_not_passed_in_silence() {
    let database = TestDatabase::migrated();
    with_config(&database, "schemas = [\"public\", \"pubic\"]", &["verify"])
        .expect(2)
        .says(&["there is no schema pubic"]);
}

#[test]
fn an_exception_for_one_policy_is_not_one_for_the_next() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("create policy known on customers using (true)").unwrap();
    let config = "[[exceptions]]\nrule = \"require-brand-scoped-policies\"\nobject = \"policy known on public.customers\"\nreason = \"over a floor\"\n";
    with_config(&database, config, &["verify"]).expect(0);
    superuser.batch_execute("create policy unknown on customers using (true)").unwrap();
    with_config(&database, config, &["verify"]).expect(1);
}

#[test]
fn a_temporary_view_of_another_session_is_no_finding() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("create temporary view mine as select * from customers").unwrap();
    run(&mut database.percytech(&["verify"])).expect(0);
}

#[test]
fn a_cast_that_makes_brands_equal_is_found() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "create function same(brand_id) returns text language sql immutable as $$ select 'all' $$;
             create cast (brand_id as text) with function same(brand_id) as implicit",
        )
        .unwrap();
    assert!(has(&findings(&database), "require-restrictive-floor", "public.customers"));
}

#[test]
fn a_collation_that_makes_brands_equal_is_found() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    let collation =
        "create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    match superuser.batch_execute(collation) {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            eprintln!("skipped: this PostgreSQL is built without ICU");
            return;
        }
        made => made.unwrap(),
    }
    superuser
        .batch_execute("create table notes (id uuid primary key, brand_id text collate any_case not null)")
        .unwrap();
    let ran = with_config(&database, "[brand]\ntype = \"text\"\n", &["verify"]).expect(1);
    assert!(ran.stdout.contains("has a collation that takes different brands for equal"), "{}", ran.stdout);
}

#[test]
fn an_inout_cast_is_no_false_alarm() {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute("create cast (varchar as brand_id) with inout as implicit").unwrap();
    run(&mut database.percytech(&["verify"])).expect(0);
}

#[test]
fn functions_that_run_as_somebody_else_are_named_as_not_checked() {
    let database = TestDatabase::migrated();
    database
        .superuser()
        .batch_execute("create function f() returns int language sql security definer as 'select 1'")
        .unwrap();
    let ran = run(&mut database.percytech(&["verify"])).expect(0);
    assert!(ran.stdout.contains("(1 table), 15 SECURITY DEFINER functions\n"), "{}", ran.stdout);
}

#[test]
fn a_context_function_in_a_closed_schema_can_be_named() {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute("create schema closed; create function closed.brand() returns text language sql as 'select null::text'").unwrap();
    let directory = directory_of(&[(
        "percytech.toml",
        "[brand]\nfunctions = [\"closed.brand\", \"percytech.current_brand\"]\n",
    )]);
    let file = directory.path().join("percytech.toml");
    run(&mut database.percytech_as(APP, &["verify", "--config", file.to_str().unwrap()])).expect(0);
}

#[test]
fn a_foreign_table_is_found() {
    let database = TestDatabase::migrated();
    database
        .superuser()
        .batch_execute(
            "create foreign data wrapper nowhere; create server elsewhere foreign data wrapper nowhere;
             create foreign table remote (id uuid, brand_id brand_id not null) server elsewhere",
        )
        .unwrap();
    assert!(has(&findings(&database), "require-row-security", "public.remote"));
}

#[test]
fn a_floor_may_be_of_several_policies() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    let condition = "(brand_id = (select percytech.current_brand()::public.brand_id))";
    superuser
        .batch_execute(&format!(
            "drop policy brand_floor on customers;
             create policy reads on customers as restrictive for select using {condition};
             create policy inserts on customers as restrictive for insert with check {condition};
             create policy updates on customers as restrictive for update using {condition}"
        ))
        .unwrap();
    assert!(has(&findings(&database), "require-restrictive-floor", "public.customers"));
    superuser
        .batch_execute(&format!(
            "create policy deletes on customers as restrictive for delete using {condition}"
        ))
        .unwrap();
    assert_eq!(findings(&database), []);
}

#[test]
fn rules_are_explained() {
    let all = run(&mut percytech_tests::percytech(&["verify", "--explain"])).expect(0);
    for rule in rules::ALL {
        assert!(all.stdout.contains(rule.id), "{}", rule.id);
        let one = run(&mut percytech_tests::percytech(&["verify", "--explain", rule.id])).expect(0);
        assert!(one.stdout.contains(rule.summary) && one.stdout.contains("It objects to:"));
    }
    run(&mut percytech_tests::percytech(&["verify", "--explain", "no-such-rule"]))
        .expect(2)
        .says(&["there is no rule no-such-rule", "the rules are: require-brand-column"]);
}
