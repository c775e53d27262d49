//! A sealed context: it cannot change until its transaction ends, and then it is gone.

use percytech_tests::{TestDatabase, fill, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

fn filled() -> TestDatabase {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    database
}

const SEAL: &str = "select percytech.set_brand_context('gnymble', seal => true)";

fn current(client: &mut Client) -> Option<String> {
    value(client, "select percytech.current_brand()")
}

fn is_sealed(client: &mut Client) -> bool {
    value(client, "select (percytech.brand_context() ->> 'sealed')::boolean")
}

#[track_caller]
fn still_gnymbles(client: &mut Client, attempt: &str) {
    assert_eq!(current(client).as_deref(), Some("gnymble"), "{attempt}");
    assert!(is_sealed(client), "{attempt}");
    let brands: Vec<String> = values(client, "select distinct brand_id::text from customers");
    assert_eq!(brands, ["gnymble"], "{attempt}");
}

/// What the application, which may act as every brand, is refused while its context is sealed.
const REFUSED: [&str; 22] = [
    "set app.current_brand = 'percymd'",
    "set local app.current_brand = 'percymd'",
    "set app.current_brand = ''",
    "set local app.current_brand = ''",
    // The same brand, but for the session: it would outlast the transaction.
    "set app.current_brand = 'gnymble'",
    "select percytech.set_brand_context('gnymble', is_local => false)",
    "select set_config('app.current_brand', 'percymd', true)",
    "select set_config('app.current_brand', 'percymd', false)",
    "update pg_settings set setting = 'percymd' where name = 'app.current_brand'",
    "select percytech.set_brand_context('percymd')",
    "select percytech.set_brand_context('percymd', seal => true)",
    "select percytech.set_brand_context(null)",
    "select percytech.clear_brand_context()",
    "select public.set_brand_context('percymd')",
    "set percytech.seal = ''",
    "set local percytech.seal = 'sealed:percymd'",
    "set percytech.seal to default",
    "reset percytech.seal",
    "select set_config('percytech.seal', '', true)",
    "alter role test_app set app.current_brand = 'percymd'",
    "create function pg_temp.f() returns text language sql set percytech.seal = '' as 'select percytech.current_brand()'",
    "create function pg_temp.f() returns text language sql set app.current_brand = 'percymd' as 'select percytech.current_brand()'",
];

/// What is not refused, and changes nothing.
const FUTILE: [&str; 14] = [
    "reset app.current_brand",
    "reset all",
    "select percytech.set_brand_context('gnymble')",
    "select percytech.set_brand_context('gnymble', seal => true)",
    "savepoint a; rollback to a; release a",
    "savepoint a; reset all; release a",
    "do $$ begin perform percytech.set_brand_context('percymd'); exception when others then null; end $$",
    "do $$ begin reset all; raise 'x'; exception when others then null; end $$",
    "do $$ begin begin reset app.current_brand; end; end $$",
    "set local request.jwt.claims = '{\"app_metadata\": {\"brand_id\": \"percymd\"}}'",
    "set local request.headers = '{\"x-brand-id\": \"percymd\"}'",
    "discard plans; discard sequences",
    "set local role percytech_app; reset role",
    "set session characteristics as transaction read only",
];

#[test]
fn a_sealed_context_survives_every_attempt_within_its_transaction() {
    let database = filled();
    let mut app = database.app();
    for attempt in REFUSED {
        app.batch_execute("begin").unwrap();
        app.batch_execute(SEAL).unwrap();
        app.batch_execute("savepoint s").unwrap();
        assert_eq!(refusal(&mut app, attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        app.batch_execute("rollback to s").unwrap();
        still_gnymbles(&mut app, attempt);
        app.batch_execute("commit").unwrap();
        assert_eq!(current(&mut app), None, "{attempt}");
    }
    for attempt in FUTILE {
        app.batch_execute("begin").unwrap();
        app.batch_execute(SEAL).unwrap();
        app.batch_execute(attempt).unwrap_or_else(|error| panic!("{attempt}: {error:?}"));
        still_gnymbles(&mut app, attempt);
        app.batch_execute("rollback").unwrap();
        assert_eq!(current(&mut app), None, "{attempt}");
    }
}

#[test]
fn one_attempt_after_the_other_does_not_wear_it_out() {
    let database = filled();
    let mut app = database.app();
    app.batch_execute("begin").unwrap();
    app.batch_execute(SEAL).unwrap();
    for attempt in REFUSED {
        app.batch_execute("savepoint s").unwrap();
        refusal(&mut app, attempt);
        app.batch_execute("rollback to s; release s").unwrap();
        still_gnymbles(&mut app, attempt);
    }
    for attempt in FUTILE {
        app.batch_execute(attempt).unwrap();
        still_gnymbles(&mut app, attempt);
    }
    app.batch_execute("commit").unwrap();
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_function_that_was_made_before_changes_a_sealed_context_as_little() {
    let database = filled();
    database
        .superuser()
        .batch_execute(
            "create function count_percymd() returns bigint language sql set app.current_brand = 'percymd' as
               'select count(*) from public.customers';
             create function choose_percymd() returns text language sql security definer as
               $$ select percytech.set_brand_context('percymd') $$",
        )
        .unwrap();
    let mut app = database.app();
    for call in ["select count_percymd()", "select choose_percymd()"] {
        app.batch_execute("begin").unwrap();
        app.batch_execute(SEAL).unwrap();
        app.batch_execute("savepoint s").unwrap();
        assert_eq!(refusal(&mut app, call), SqlState::INSUFFICIENT_PRIVILEGE, "{call}");
        app.batch_execute("rollback to s").unwrap();
        still_gnymbles(&mut app, call);
        app.batch_execute("rollback").unwrap();
    }
}

#[test]
fn a_seal_is_gone_after_its_transaction_however_that_ends() {
    let database = filled();
    let id = database.name();
    for end in [
        "commit".to_owned(),
        "rollback".to_owned(),
        "commit and chain".to_owned(),
        "rollback and chain".to_owned(),
        format!("prepare transaction '{id}'"),
        "savepoint s; do $$ begin raise 'x'; exception when others then null; end $$; release s; commit"
            .to_owned(),
    ] {
        let mut app = database.app();
        app.batch_execute("begin").unwrap();
        app.batch_execute(SEAL).unwrap();
        app.batch_execute(&end).unwrap();
        assert!(!is_sealed(&mut app), "{end}");
        assert_eq!(current(&mut app), None, "{end}");
        app.batch_execute("select percytech.set_brand_context('percymd', false)").unwrap();
        assert_eq!(current(&mut app).as_deref(), Some("percymd"), "{end}");
    }
    database.superuser().batch_execute(&format!("rollback prepared '{id}'")).unwrap();

    let mut app = database.app();
    app.batch_execute("begin").unwrap();
    app.batch_execute(SEAL).unwrap();
    refusal(&mut app, "select 1 / 0");
    app.batch_execute("rollback").unwrap();
    assert!(!is_sealed(&mut app), "after an error");
    assert_eq!(current(&mut app), None, "after an error");

    app.batch_execute(SEAL).unwrap();
    assert!(!is_sealed(&mut app), "after a statement that was its own transaction");
    assert_eq!(current(&mut app), None);
}

#[test]
fn an_error_in_a_subtransaction_does_not_break_the_seal() {
    let database = filled();
    let mut app = database.app();
    app.batch_execute("begin").unwrap();
    app.batch_execute(SEAL).unwrap();
    for _ in 0..3 {
        app.batch_execute("savepoint outer_one; savepoint inner_one").unwrap();
        refusal(&mut app, "select 1 / 0");
        app.batch_execute("rollback to inner_one; rollback to outer_one").unwrap();
        still_gnymbles(&mut app, "an error, twice rolled back");
    }
    app.batch_execute("commit").unwrap();
    assert_eq!(current(&mut app), None);
}

#[test]
fn a_seal_that_is_set_in_a_subtransaction_lasts_when_that_is_released() {
    let database = filled();
    let mut app = database.app();
    app.batch_execute("begin; savepoint s").unwrap();
    app.batch_execute(SEAL).unwrap();
    app.batch_execute("release s").unwrap();
    still_gnymbles(&mut app, "release");
    app.batch_execute("commit").unwrap();
    assert!(!is_sealed(&mut app));
}

#[test]
fn a_seal_is_taken_back_with_all_that_was_done_since_a_savepoint_before_it() {
    let database = filled();
    let mut app = database.app();
    app.batch_execute("begin; savepoint s").unwrap();
    app.batch_execute(SEAL).unwrap();
    app.batch_execute("rollback to s").unwrap();
    assert!(!is_sealed(&mut app));
    assert_eq!(current(&mut app), None, "and so is the context");
}

#[test]
fn a_seal_that_is_set_in_a_function_lasts_until_the_transaction_ends() {
    let database = filled();
    database
        .superuser()
        .batch_execute(&format!(
            "create function before_request() returns void language plpgsql set search_path = '' as
             $$ begin perform {}; end $$",
            SEAL.trim_start_matches("select ")
        ))
        .unwrap();
    let mut app = database.app();
    app.batch_execute("begin; select before_request()").unwrap();
    still_gnymbles(&mut app, "after the function");
    app.batch_execute("commit").unwrap();
    assert!(!is_sealed(&mut app));
}

#[test]
fn a_context_may_be_sealed_without_a_brand() {
    let database = filled();
    let mut app = database.app();
    app.batch_execute("begin; select percytech.set_brand_context(null, seal => true); savepoint s").unwrap();
    let choose = "select percytech.set_brand_context('gnymble')";
    assert_eq!(refusal(&mut app, choose), SqlState::INSUFFICIENT_PRIVILEGE);
    app.batch_execute("rollback to s").unwrap();
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers"), 0);
    app.batch_execute("commit").unwrap();
    app.batch_execute(choose).unwrap();
}

#[test]
fn a_context_of_the_session_cannot_be_sealed_since_it_would_outlast_the_seal() {
    let mut app = TestDatabase::migrated().app();
    let error = app
        .batch_execute("select percytech.set_brand_context('gnymble', is_local => false, seal => true)")
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "a context that is sealed is local to its transaction");
    assert_eq!(current(&mut app), None);
}

#[test]
fn the_refusal_says_what_it_is_sealed_to() {
    let mut app = TestDatabase::migrated().app();
    app.batch_execute("begin").unwrap();
    app.batch_execute(SEAL).unwrap();
    let error = app.batch_execute("set app.current_brand = 'percymd'").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "the brand context is sealed");
    assert_eq!(error.detail(), Some("It is \"gnymble\" until this transaction ends."));
    assert_eq!(error.hint(), Some("Choose another brand in another transaction."));
}

#[test]
fn a_superuser_is_not_bound_by_a_seal() {
    let mut superuser = filled().superuser();
    superuser.batch_execute("begin").unwrap();
    superuser.batch_execute(SEAL).unwrap();
    superuser.batch_execute("set local app.current_brand = 'percymd'").unwrap();
    assert_eq!(current(&mut superuser).as_deref(), Some("percymd"));
    // Who becomes somebody else is bound as that one.
    superuser.batch_execute("set local role test_app").unwrap();
    still_gnymbles(&mut superuser, "set role");
    assert_eq!(
        refusal(&mut superuser, "set local app.current_brand = 'percymd'"),
        SqlState::INSUFFICIENT_PRIVILEGE
    );
}
