//! `percytech migrate`: what is applied, what is refused, and in what state the database is left.

use std::process::Stdio;

use percytech_tests::{ADMIN, Ran, TestDatabase, directory_of, refusal, run, sql, sql_and, value, values};
use postgres::error::SqlState;
use tempfile::TempDir;

const OWNER: (&str, &str) = (
    "2026-01-01-owner.sql",
    "-- as-invoker: the owner does not exist yet\ngrant usage, create on schema public to percytech_owner;\n-- rollback\n",
);

/// Migrations after one that lets the owner create tables.
pub fn migrations(files: &[(&str, &str)]) -> TempDir {
    let all: Vec<_> = [OWNER].iter().chain(files).copied().collect();
    directory_of(&all)
}

pub fn migrate(database: &TestDatabase, command: &str, directory: &TempDir) -> Ran {
    run(&mut database.percytech(&["migrate", command, "--dir", directory.path().to_str().unwrap()]))
}

pub fn tables(database: &TestDatabase) -> Vec<String> {
    values(
        &mut database.superuser(),
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1",
    )
}

pub fn history(database: &TestDatabase) -> Vec<i32> {
    values(
        &mut database.superuser(),
        "select version from percytech_migrations.refinery_schema_history order by version",
    )
}

#[test]
fn up_applies_all_and_a_second_time_nothing() {
    let database = TestDatabase::empty();
    let pending = run(&mut database.percytech(&["migrate", "status"])).expect(1);
    assert!(pending.stdout.contains("28 pending"), "{}", pending.stdout);

    let first = run(&mut database.percytech(&["migrate", "up"])).expect(0);
    assert!(first.stdout.contains("28 migrations applied"), "{}", first.stdout);
    let applied = run(&mut database.percytech(&["migrate", "status"])).expect(0);
    assert!(applied.stdout.contains("28 applied"), "{}", applied.stdout);

    let before = database.dump();
    let second = run(&mut database.percytech(&["migrate", "up"])).expect(0);
    assert!(second.stdout.contains("nothing to apply"), "{}", second.stdout);
    assert_eq!(database.dump(), before);
}

#[test]
fn status_and_up_answer_programs_in_json() {
    let database = TestDatabase::empty();
    let json = |arguments: &[&str], code| -> serde_json::Value {
        serde_json::from_str(&run(&mut database.percytech(arguments)).expect(code).stdout).unwrap()
    };
    let status = json(&["migrate", "status", "--format", "json"], 1);
    assert_eq!(status["migrations"][1]["name"], "2026-11-22-02-roles");
    assert_eq!(status["migrations"][1]["state"], "pending");
    let up = json(&["migrate", "up", "--format", "json"], 0);
    assert_eq!(up["applied"].as_array().unwrap().len(), 28);
    let status = json(&["migrate", "status", "--format", "json"], 0);
    assert_eq!(status["migrations"][0]["version"], "2026-11-22");
    assert_eq!(status["migrations"][0]["state"], "applied");
    assert!(status["migrations"][0]["applied_on"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn looking_changes_nothing() {
    let database = TestDatabase::empty();
    let before = database.dump();
    run(&mut database.percytech(&["migrate", "status"])).expect(1);
    assert_eq!(database.dump(), before);
    let kept: bool =
        value(&mut database.superuser(), "select to_regnamespace('percytech_migrations') is null");
    assert!(kept);
}

#[test]
fn a_syntax_error_is_shown_with_file_line_and_statement_and_nothing_is_run() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        ("2026-01-02-good.sql", "create table good (id int);\n-- rollback\n"),
        (
            "2026-01-03-bad.sql",
            "create table one (id int);\n\n-- the second\ncreate tabel two (\n  id int\n);\n",
        ),
    ]);
    migrate(&database, "up", &directory).expect(2).says(&[
        "2026-01-03-bad.sql:4: syntax error at or near \"tabel\"",
        "create tabel two (",
        "nothing of this file was run",
    ]);
    assert_eq!(tables(&database), [] as [&str; 0]);
    let untouched: bool =
        value(&mut database.superuser(), "select to_regnamespace('percytech_migrations') is null");
    assert!(untouched);
}

#[test]
fn an_error_of_the_server_is_shown_with_file_line_and_statement_and_its_migration_leaves_nothing() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        ("2026-01-02-good.sql", "create table good (id int);\n-- rollback\n"),
        (
            "2026-01-03-bad.sql",
            "create table half (id int);\n\nalter table half\n  add column x nonsense;\n-- rollback\n",
        ),
        ("2026-01-04-later.sql", "create table later (id int);\n-- rollback\n"),
    ]);
    migrate(&database, "up", &directory).expect(2).says(&[
        "2026-01-03-bad.sql:4: type \"nonsense\" does not exist (SQLSTATE 42704)",
        "add column x nonsense;",
    ]);
    assert_eq!(tables(&database), ["good"]);
    assert_eq!(history(&database), [2_026_010_101, 2_026_010_201]);
    let status = migrate(&database, "status", &directory).expect(1);
    assert!(status.stdout.contains("2 applied, 2 pending"), "{}", status.stdout);
}

#[test]
fn an_error_without_a_position_is_shown_with_its_statement() {
    let database = TestDatabase::empty();
    let directory = migrations(&[(
        "2026-01-02-bad.sql",
        "create table t (id int primary key);\ninsert into t values (1);\ninsert into t values (1);\n",
    )]);
    migrate(&database, "up", &directory).expect(2).says(&[
        "2026-01-02-bad.sql:3: duplicate key value violates unique constraint \"t_pkey\" (SQLSTATE 23505)",
        "Key (id)=(1) already exists.",
    ]);
}

#[test]
fn a_migration_and_its_history_row_are_one_transaction() {
    let database = TestDatabase::empty();
    migrate(&database, "up", &migrations(&[])).expect(0);
    database
        .superuser()
        .batch_execute(
            "alter table percytech_migrations.refinery_schema_history add constraint no_more check (version < 2026010200)",
        )
        .unwrap();
    let directory = migrations(&[("2026-01-02-t.sql", "create table t (id int);\n-- rollback\n")]);
    migrate(&database, "up", &directory).expect(2).says(&["violates check constraint \"no_more\""]);
    assert_eq!(tables(&database), [] as [&str; 0]);
}

#[test]
fn a_history_that_somebody_else_has_made_is_not_trusted() {
    let plants = [
        "create schema percytech_migrations authorization test_app",
        "create schema percytech_migrations;
         create table percytech_migrations.refinery_schema_history (version int4, name text, applied_on text, checksum text);
         alter table percytech_migrations.refinery_schema_history owner to test_app",
        "create schema percytech_migrations;
         create table percytech_migrations.refinery_schema_history (version int4, name text, applied_on text, checksum text);
         create function public.plant() returns trigger language plpgsql as $$ begin alter role test_app superuser; return new; end $$;
         create trigger plant before insert on percytech_migrations.refinery_schema_history
           for each row execute function public.plant()",
    ];
    for plant in plants {
        let database = TestDatabase::empty();
        let mut superuser = database.superuser();
        superuser.batch_execute(plant).unwrap();
        for command in ["up", "status"] {
            run(&mut database.percytech(&["migrate", command]))
                .expect(2)
                .says(&["the history in percytech_migrations is not one that percytech keeps"]);
        }
        assert!(!value::<bool>(&mut superuser, "select rolsuper from pg_roles where rolname = 'test_app'"));
    }
}

#[test]
fn a_statement_is_one_statement_however_strings_are_read() {
    let database = TestDatabase::empty();
    let text = "set standard_conforming_strings = off;\ncreate table half (id int);\nselect 'a\\' , ' ; commit; --';\nselect 1 / 0;\n-- rollback\n";
    migrate(&database, "up", &migrations(&[("2026-01-02-t.sql", text)])).expect(2);
    assert_eq!(tables(&database), [] as [&str; 0]);
}

#[test]
fn who_a_migration_has_become_does_not_reach_the_next() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        (
            "2026-01-02-becomes.sql",
            "-- as-invoker: to become another\nset session authorization percytech_owner;\n-- rollback\n",
        ),
        ("2026-01-03-is.sql", "-- as-invoker: to see who it is\ncreate table made (id int);\n-- rollback\n"),
    ]);
    migrate(&database, "up", &directory).expect(0);
    let owner: String =
        value(&mut database.superuser(), "select tableowner::text from pg_tables where tablename = 'made'");
    assert_eq!(owner, "postgres");
}

#[test]
fn a_migration_may_not_end_the_transaction_it_runs_in() {
    let database = TestDatabase::empty();
    for statement in ["begin", "commit", "rollback", "savepoint s", "start transaction", "end"] {
        let text = format!("create table t (id int);\n{statement};\n-- rollback\n");
        let directory = migrations(&[("2026-01-02-t.sql", &text)]);
        migrate(&database, "up", &directory).expect(2).says(&[
            "2026-01-02-t.sql:2: a migration may not begin or end a transaction",
            "take the statement out",
        ]);
        assert_eq!(tables(&database), [] as [&str; 0], "{statement}");
    }
}

#[test]
fn what_a_migration_sets_for_the_session_does_not_reach_the_next() {
    let database = TestDatabase::migrated();
    let directory = sql_and("migrations", &[]);
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    file(
        "2026-11-24-sets.sql",
        "select percytech.set_brand_context('gnymble', false); set statement_timeout = '7s';\n-- rollback\n",
    );
    file(
        "2026-11-25-sees.sql",
        "create table seen as select percytech.current_brand() as brand, current_setting('statement_timeout') as timeout;\n-- rollback\n",
    );
    migrate(&database, "up", &directory).expect(0);
    let row = database.superuser().query_one("select brand, timeout from seen", &[]).unwrap();
    assert_eq!((row.get::<_, Option<String>>(0), row.get::<_, String>(1)), (None, "0".to_owned()));
}

#[test]
fn a_temporary_table_that_a_migration_leaves_behind_hides_no_table_from_the_next() {
    let database = TestDatabase::migrated();
    let directory = sql_and(
        "migrations",
        &[
            (
                "2026-11-24-leaves.sql",
                "create temporary table customers (id int);\nalter table customers add column a text;\n-- rollback\n",
            ),
            ("2026-11-25-alters.sql", "alter table customers add column b text;\n-- rollback\n"),
        ],
    );
    migrate(&database, "up", &directory).expect(0);
    let columns: Vec<String> = values(
        &mut database.superuser(),
        "select attname::text from pg_attribute where attrelid = 'public.customers'::regclass and attname in ('a', 'b') order by 1",
    );
    assert_eq!(columns, ["a", "b"]);
}

#[test]
fn the_migration_of_the_readme_changes_the_rows_of_its_brand() {
    let database = TestDatabase::migrated();
    percytech_tests::fill(&mut database.superuser());
    let readme = std::fs::read_to_string(percytech_tests::root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sql\n").skip(1).filter_map(|part| part.split("```").next());
    let example = blocks.find(|block| block.contains("\n-- rollback\n")).unwrap();
    let directory = sql_and("migrations", &[]);
    std::fs::write(directory.path().join("2026-11-24-segments.sql"), example).unwrap();
    migrate(&database, "up", &directory).expect(0);
    let changed: Vec<String> =
        values(&mut database.superuser(), "select brand_id::text from customers where segment = 'founder'");
    assert_eq!(changed, ["gnymble", "gnymble"]);
}

#[test]
fn what_cannot_run_in_a_migration_is_told_with_what_to_do() {
    let cases = [
        (
            "copy t to stdout",
            "a migration has no standard input or output to copy",
            "take out what only shows",
        ),
        ("copy t from stdin", "a migration has no standard input or output to copy", "INSERT"),
        (
            "create index concurrently on t (id)",
            "cannot run inside a transaction block",
            "take CONCURRENTLY out",
        ),
        ("select 1 / 0", "division by zero (SQLSTATE 22012)", "nothing of this file is left in the database"),
        ("create table pg_catalog.x (id int)", "permission denied", "grant what is missing"),
    ];
    for (statement, words, advice) in cases {
        let text = format!("create table t (id int);\n{statement};\n-- rollback\n");
        migrate(&TestDatabase::empty(), "up", &migrations(&[("2026-01-02-t.sql", &text)])).expect(2).says(&[
            "2026-01-02-t.sql:2:",
            words,
            advice,
        ]);
    }
}

#[test]
fn a_statement_that_is_nested_deeply_is_run() {
    let database = TestDatabase::empty();
    let text = format!("create table t as select {} as long;\n-- rollback\n", vec!["'a'"; 300].join(" || "));
    migrate(&database, "up", &migrations(&[("2026-01-02-t.sql", &text)])).expect(0);
    assert_eq!(value::<i32>(&mut database.superuser(), "select length(long) from t"), 300);
}

#[test]
fn migrations_run_as_the_owner_but_those_that_say_otherwise() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        ("2026-01-02-owners.sql", "create table owners (id int);\n-- rollback\n"),
        (
            "2026-01-03-invokers.sql",
            "-- as-invoker: to see who it is\ncreate table invokers (id int);\n-- rollback\n",
        ),
    ]);
    migrate(&database, "up", &directory).expect(0);
    let owners: Vec<String> = values(
        &mut database.superuser(),
        "select tableowner::text from pg_tables where schemaname = 'public' order by tablename",
    );
    assert_eq!(owners, ["postgres", "percytech_owner"]);
}

#[test]
fn a_role_that_may_not_create_the_extension_is_told_so_and_nothing_changes() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "grant create on database {} to {ADMIN}; grant create on schema public to {ADMIN}",
            database.name()
        ))
        .unwrap();
    let before = database.dump();
    run(&mut database.percytech_as(ADMIN, &["migrate", "up"])).expect(2).says(&[
        "2026-11-22-extensions.sql:",
        "permission denied to create extension \"percytech\" (SQLSTATE 42501)",
        "let a superuser run this statement",
    ]);
    assert_eq!(database.dump(), before);
    let untouched: bool = value(&mut superuser, "select to_regnamespace('percytech_migrations') is null");
    assert!(untouched);
}

#[test]
fn a_role_that_is_no_superuser_migrates_where_the_extensions_exist() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create extension percytech; create schema extensions; grant usage on schema extensions to public;
             create extension btree_gin with schema extensions; create extension moddatetime with schema extensions;
             alter database {} owner to {ADMIN}; grant percytech_owner to {ADMIN}",
            database.name()
        ))
        .unwrap();
    run(&mut database.percytech_as(ADMIN, &["migrate", "up"])).expect(0);
    run(&mut database.percytech_as(ADMIN, &["policies", "apply"])).expect(0);
    run(&mut database.percytech_as(ADMIN, &["verify"])).expect(0);
    let others: i64 = value(
        &mut superuser,
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relowner <> 'percytech_owner'::regrole",
    );
    assert_eq!(others, 0);
}

#[test]
fn a_bare_login_migrates_a_database_of_its_own_after_what_the_readme_has_a_superuser_do() {
    let database = TestDatabase::empty();
    let user = format!("bare_of_{}", database.name());
    let readme = std::fs::read_to_string(percytech_tests::root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sql\n").skip(1).filter_map(|part| part.split("```").next());
    let block = blocks.find(|block| block.contains("create extension percytech;")).unwrap();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create role {user} login; alter database {} owner to {user}",
            database.name()
        ))
        .unwrap();
    for statement in block.replace("<user>", &user).split(';') {
        // The roles are the server's, and there already.
        if !statement.contains("create role") {
            superuser.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }
    run(&mut database.percytech_as(&user, &["migrate", "up"])).expect(0);
    run(&mut database.percytech_as(&user, &["policies", "apply"])).expect(0);
    run(&mut database.percytech_as(&user, &["verify"])).expect(0);
}

#[test]
fn a_role_that_may_not_act_as_the_owner_is_told_so() {
    let database = TestDatabase::migrated();
    let directory = sql_and("migrations", &[]);
    std::fs::write(
        directory.path().join("2026-11-24-more.sql"),
        "create table more (id int);\n-- rollback\n",
    )
    .unwrap();
    let outsider = format!("outsider_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!(
            "create role {outsider} login; grant usage on schema percytech_migrations to {outsider};
             grant select on percytech_migrations.refinery_schema_history to {outsider}"
        ))
        .unwrap();
    let arguments = ["migrate", "up", "--dir", directory.path().to_str().unwrap()];
    run(&mut database.percytech_as(&outsider, &arguments)).expect(2).says(&[
        "2026-11-24-more.sql as percytech_owner is not possible: permission denied to set role",
        "grant percytech_owner to",
    ]);
}

#[test]
fn the_owner_that_does_not_exist_is_named() {
    let database = TestDatabase::empty();
    let directory = directory_of(&[("2026-01-02-t.sql", "create table t (id int);\n-- rollback\n")]);
    let config = directory.path().join("percytech.toml");
    std::fs::write(&config, "owner = \"nobody_here\"\n").unwrap();
    let arguments =
        ["migrate", "up", "--dir", directory.path().to_str().unwrap(), "--config", config.to_str().unwrap()];
    run(&mut database.percytech(&arguments)).expect(2).says(&[
        "2026-01-02-t.sql as nobody_here is not possible: role \"nobody_here\" does not exist",
        "-- as-invoker",
    ]);
    assert_eq!(tables(&database), [] as [&str; 0]);
}

#[test]
fn runs_that_start_at_once_apply_each_migration_once() {
    let database = TestDatabase::empty();
    let slow = "select pg_sleep(0.2);\ncreate table slow (id int);\n-- rollback\n";
    let directory = migrations(&[
        ("2026-01-02-slow.sql", slow),
        ("2026-01-03-t.sql", "create table t (id int);\n-- rollback\n"),
    ]);
    let arguments = ["migrate", "up", "--format", "json", "--dir", directory.path().to_str().unwrap()];
    let runners: Vec<_> = (0..6)
        .map(|_| {
            database.percytech(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut applied = 0;
    for runner in runners {
        let output = runner.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        applied += answer["applied"].as_array().unwrap().len();
    }
    assert_eq!(applied, 3);
    assert_eq!(history(&database).len(), 3);
}

#[test]
fn a_run_that_finds_another_one_at_work_waits_and_then_says_who_it_is() {
    let database = TestDatabase::empty();
    let directory = migrations(&[("2026-01-02-slow.sql", "select pg_sleep(5);\n-- rollback\n")]);
    let directory = directory.path().to_str().unwrap().to_owned();
    let mut at_work =
        database.percytech(&["migrate", "up", "--dir", &directory]).stdout(Stdio::null()).spawn().unwrap();
    let mut superuser = database.superuser();
    let is_locked = "select exists (select from pg_locks where locktype = 'advisory')";
    while !value::<bool>(&mut superuser, is_locked) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let shown: String = value(
        &mut superuser,
        "select application_name from pg_stat_activity where query like '%pg_sleep(5)%' and pid <> pg_backend_pid() union all select 'percytech migrate' limit 1",
    );
    assert_eq!(shown, "percytech migrate");
    run(&mut database.percytech(&["migrate", "up", "--lock-wait", "1", "--dir", &directory])).expect(2).says(
        &["another migration is running in this database: process", "of user postgres, since", "waited 1 s"],
    );
    at_work.kill().unwrap();
    at_work.wait().unwrap();
}

#[test]
fn a_run_that_is_killed_leaves_its_migration_undone_and_the_next_run_does_it() {
    let database = TestDatabase::empty();
    let directory = migrations(&[
        ("2026-01-02-first.sql", "create table first (id int);\n-- rollback\n"),
        ("2026-01-03-second.sql", "create table second (id int);\nselect pg_sleep(2);\n-- rollback\n"),
    ]);
    let arguments = ["migrate", "up", "--dir", directory.path().to_str().unwrap()];
    let mut killed = database.percytech(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut superuser = database.superuser();
    let sleeps = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')";
    while !value::<bool>(&mut superuser, sleeps) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(tables(&database), ["first"]);
    run(&mut database.percytech(&arguments)).expect(0);
    assert_eq!(tables(&database), ["first", "second"]);
    assert_eq!(history(&database).len(), 3);
}

#[test]
fn an_extension_that_is_not_installed_is_told_how_to_get() {
    let directory = migrations(&[(
        "2026-01-02-x.sql",
        "-- as-invoker: it is an extension\ncreate extension no_such_thing;\n",
    )]);
    migrate(&TestDatabase::empty(), "up", &directory).expect(2).says(&[
        "2026-01-02-x.sql:2: extension \"no_such_thing\" is not available",
        "install it on the server's machine",
    ]);
}

#[test]
fn a_new_table_is_closed_until_the_policies_are_applied() {
    let database = TestDatabase::empty();
    percytech_tests::migrate_up(&mut database.superuser(), &sql("migrations"));
    assert_eq!(refusal(&mut database.app(), "select from customers"), SqlState::INSUFFICIENT_PRIVILEGE);
}
