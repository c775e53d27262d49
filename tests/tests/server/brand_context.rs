//! The setting `app.current_brand` and the functions over it.

use percytech_tests::{APP, BRANDS, TestDatabase, fill, refusal, value};
use percytech_toolkit::database;
use postgres::Client;
use postgres::error::SqlState;

fn current(client: &mut Client) -> Option<String> {
    value(client, "select percytech.current_brand()")
}

#[test]
fn a_context_is_set_read_and_cleared() {
    let mut app = TestDatabase::migrated().app();
    assert_eq!(current(&mut app), None);
    for brand in BRANDS {
        let set = format!("select percytech.set_brand_context('{brand}', is_local => false)");
        assert_eq!(value::<String>(&mut app, &set), brand);
        assert_eq!(current(&mut app).as_deref(), Some(brand));
        assert_eq!(value::<String>(&mut app, "show app.current_brand"), brand);
    }
    app.batch_execute("select percytech.clear_brand_context()").unwrap();
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_local_context_ends_with_its_transaction() {
    let mut app = TestDatabase::migrated().app();
    for end in ["commit", "rollback"] {
        app.batch_execute("begin; select percytech.set_brand_context('percymd')").unwrap();
        assert_eq!(current(&mut app).as_deref(), Some("percymd"));
        app.batch_execute(end).unwrap();
        assert_eq!(current(&mut app), None, "after {end}");
    }
}

#[test]
fn a_local_context_does_not_outlast_a_session_context_for_good() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    app.batch_execute("begin; select percytech.set_brand_context('percymd'); commit").unwrap();
    assert_eq!(current(&mut app).as_deref(), Some("gnymble"));
}

#[test]
fn a_savepoint_that_is_rolled_back_takes_its_context_with_it() {
    let mut app = TestDatabase::migrated().app();
    app.batch_execute(
        "begin; select percytech.set_brand_context('gnymble'); savepoint s;
         select percytech.set_brand_context('percymd'); rollback to s",
    )
    .unwrap();
    assert_eq!(current(&mut app).as_deref(), Some("gnymble"));
}

#[test]
fn clearing_leaves_nothing_of_a_local_or_a_session_context() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut app = database.app_of("gnymble");
    app.batch_execute("begin; select percytech.set_brand_context('percymd')").unwrap();
    app.batch_execute("select percytech.clear_brand_context()").unwrap();
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers"), 0);
    app.batch_execute("commit").unwrap();
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers"), 0);
}

#[test]
fn no_brand_means_no_context() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let set: Option<String> = value(&mut app, "select percytech.set_brand_context(null, false)");
    assert_eq!(set, None);
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_context_that_is_not_said_to_be_local_or_not_is_local() {
    let mut app = TestDatabase::migrated().app();
    app.batch_execute("begin; select percytech.set_brand_context('gnymble', null); commit").unwrap();
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_database_without_brands_takes_what_a_dump_of_roles_says() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    superuser.batch_execute("create extension percytech").unwrap();
    current(&mut superuser);
    let role = format!("restored_in_{}", database.name());
    superuser
        .batch_execute(&format!("create role {role}; alter role {role} set app.current_brand = 'gnymble'"))
        .unwrap();
    assert_eq!(
        refusal(&mut superuser, "set app.current_brand = 'gnymble'"),
        SqlState::INVALID_PARAMETER_VALUE
    );
}

#[test]
fn a_database_of_another_encoding_is_refused() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{encoding}", database.name()).to_lowercase();
        superuser
            .batch_execute(&format!(
                "create database {name} encoding '{encoding}' locale 'C' template template0"
            ))
            .unwrap();
        let url = database.url("postgres").replace(database.name(), &name);
        let mut client = database::connect(Some(&url), "percytech tests").unwrap();
        let error = client.batch_execute("create extension percytech").unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            error.message(),
            format!("extension percytech needs a database in UTF8, and this one is in {encoding}")
        );
        assert!(error.hint().unwrap().contains("encoding 'UTF8'"));
    }
}

#[test]
fn an_unknown_brand_is_refused_wherever_it_comes_from() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    let name = database.name();
    let routes = [
        "select percytech.set_brand_context('acme')".to_owned(),
        "select percytech.set_brand_context('')".to_owned(),
        "select percytech.set_brand_context('Gnymble', false)".to_owned(),
        "set app.current_brand = 'acme'".to_owned(),
        "set local app.current_brand = 'acme'".to_owned(),
        "set app.current_brand = ' gnymble'".to_owned(),
        "set app.current_brand = gnymble, percymd".to_owned(),
        "select set_config('app.current_brand', 'acme', false)".to_owned(),
        "select set_config('app.current_brand', 'acme', true)".to_owned(),
        "update pg_settings set setting = 'acme' where name = 'app.current_brand'".to_owned(),
        format!("alter role {APP} set app.current_brand = 'acme'"),
        format!("alter database {name} set app.current_brand = 'acme'"),
        "create function f() returns int language sql set app.current_brand = 'acme' as 'select 1'"
            .to_owned(),
    ];
    // The library is loaded by the first call.
    assert_eq!(current(&mut superuser), None);
    for route in routes {
        superuser.batch_execute("begin; select percytech.set_brand_context('gnymble'); savepoint s").unwrap();
        assert_eq!(refusal(&mut superuser, &route), SqlState::INVALID_PARAMETER_VALUE, "{route}");
        superuser.batch_execute("rollback to s").unwrap();
        assert_eq!(current(&mut superuser).as_deref(), Some("gnymble"), "{route}");
        superuser.batch_execute("rollback").unwrap();
    }
}

#[test]
fn the_refusal_says_which_brands_there_are() {
    let mut app = TestDatabase::migrated().app();
    for route in ["select percytech.set_brand_context('acme')", "set app.current_brand = 'acme'"] {
        current(&mut app);
        let error = app.batch_execute(route).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.message(), "unknown brand \"acme\"");
        assert_eq!(error.detail(), Some("The brands are: gnymble, percymd, percytext."));
        assert_eq!(error.hint(), Some("A new brand is added with ALTER TYPE public.brand_id ADD VALUE."));
    }
}

#[test]
fn an_unknown_brand_of_a_connection_option_is_no_context() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    for (option, expected) in [("acme", None), ("percymd", Some("percymd"))] {
        let url = format!("{} options='-c app.current_brand={option}'", database.url(APP));
        let mut app = database::connect(Some(&url), "percytech tests").unwrap();
        assert_eq!(current(&mut app).as_deref(), expected);
        let rows: i64 = value(&mut app, "select count(*) from customers");
        assert_eq!(rows > 0, expected.is_some());
    }
}

#[test]
fn a_value_from_before_the_library_was_loaded_is_checked_when_it_loads() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut app = database.app();
    app.batch_execute("set app.current_brand = 'acme'").unwrap();
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers"), 0);
    assert_eq!(current(&mut app), None);
}

#[test]
fn odd_labels_are_answered_with_an_error() {
    let mut app = TestDatabase::migrated().app();
    let long = "x".repeat(1_000_000);
    for label in ["'; drop table customers; --", "\u{1f600}", "gnymble\n", "\u{0}", "%s%n", long.as_str()] {
        let outcome = app.query("select percytech.set_brand_context($1)", &[&label]);
        let error = outcome.map(drop).unwrap_err();
        let code = error.code().unwrap().clone();
        // PostgreSQL itself refuses a NUL in a text.
        let expected = if label == "\u{0}" {
            SqlState::CHARACTER_NOT_IN_REPERTOIRE
        } else {
            SqlState::INVALID_PARAMETER_VALUE
        };
        assert_eq!(code, expected, "{label:.40}");
        let error = error.as_db_error().unwrap();
        assert!(error.message().len() < 500);
        assert!(!error.detail().unwrap_or_default().contains("backtrace"), "{error:?}");
    }
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_new_brand_needs_no_more_than_its_label() {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute("alter type brand_id add value 'percypets'").unwrap();
    let mut app = database.app_of("percypets");
    app.batch_execute("insert into customers (brand_id, email) values ('percypets', 'rex@example.com')")
        .unwrap();
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers"), 1);
}

#[test]
fn without_the_migrations_there_is_no_brand_and_the_error_says_so() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    superuser.batch_execute("create extension percytech").unwrap();
    assert_eq!(current(&mut superuser), None);
    let error = superuser.batch_execute("select percytech.set_brand_context('gnymble')").unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().hint(),
        Some("Apply the migrations first: percytech migrate up.")
    );
}

#[test]
fn the_extensions_functions_run_as_their_caller_and_are_documented() {
    let mut superuser = TestDatabase::migrated().superuser();
    let odd: Vec<String> = percytech_tests::values(
        &mut superuser,
        "select pg_proc.oid::regprocedure::text
         from pg_proc
         where pronamespace = 'percytech'::regnamespace
           and (prosecdef or obj_description(pg_proc.oid, 'pg_proc') is null)",
    );
    assert_eq!(odd, [] as [String; 0]);
}
