//! Whose message it is: the brand's whose number it came to, among those that the caller may act as.

use percytech_tests::{APP, BRANDS, TestDatabase, login_of, value, values};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::json;

use crate::journey::error_of;
use crate::optout::{
    ANA, answer, changes, contents, conversation, prepared, sendable, sender_of, with_numbers, words,
};

fn context(client: &mut Client) -> Option<String> {
    value(client, "select percytech.current_brand()")
}

fn to(brand: &str, body: &str) -> String {
    format!("process_inbound_message('{ANA}', '{}', '{body}', gen_random_uuid()::text)", sender_of(brand))
}

/// The brands that have a message.
fn brands_of_messages(database: &TestDatabase) -> Vec<String> {
    values(&mut database.superuser(), "select distinct brand_id::text from messages order by 1")
}

#[test]
fn a_message_is_of_the_brand_that_has_its_number_whatever_the_context() {
    for brand in BRANDS {
        let none = None::<&str>;
        for before in [none].into_iter().chain(BRANDS.map(Some)) {
            let database = with_numbers();
            let mut app = database.app();
            if let Some(other) = before {
                app.query("select percytech.set_brand_context($1, is_local => false)", &[&other]).unwrap();
            }
            let reply = answer(&mut app, &to(brand, "STOP"))["reply"].clone();
            assert_eq!(context(&mut app).as_deref(), before, "{brand}: the context is as it was");
            assert_eq!(reply, json!(words(&mut database.app_of(brand), "opt_out", "en")), "of the brand");
            assert_eq!(brands_of_messages(&database), [brand]);
            for other in BRANDS {
                let expected = if other == brand { "opted_out" } else { "allowed" };
                assert_eq!(sendable(&mut database.app_of(other), ANA), expected, "{brand} {other}");
            }
        }
    }
}

#[test]
fn the_context_is_as_it_was_also_within_a_transaction_and_after_a_refusal() {
    let database = with_numbers();
    let mut app = database.app_of("percymd");
    app.batch_execute("begin; select percytech.set_brand_context('percytext')").unwrap();
    answer(&mut app, &to("gnymble", "STOP"));
    assert_eq!(context(&mut app).as_deref(), Some("percytext"));
    app.batch_execute("savepoint s").unwrap();
    app.batch_execute(&format!("select process_inbound_message('{ANA}', '+12125550109', 'STOP', 'e')"))
        .unwrap_err();
    app.batch_execute("rollback to s").unwrap();
    assert_eq!(context(&mut app).as_deref(), Some("percytext"));
    app.batch_execute("commit").unwrap();
    assert_eq!(context(&mut app).as_deref(), Some("percymd"));

    let mut app = database.app();
    app.batch_execute("begin").unwrap();
    answer(&mut app, &to("gnymble", "STOP"));
    assert_eq!(context(&mut app), None, "none there was");
    let seen: i64 = value(&mut app, "select count(*) from messages");
    assert_eq!(seen, 0);
    app.batch_execute("commit").unwrap();
}

#[test]
fn a_redelivery_leaves_the_context_as_it_was_too() {
    let database = with_numbers();
    let mut app = database.app_of("percymd");
    let call = to("gnymble", "STOP").replace("gen_random_uuid()::text", "'SM1'");
    assert_eq!(answer(&mut app, &call)["duplicate"], false);
    assert_eq!(answer(&mut app, &call)["duplicate"], true);
    assert_eq!(context(&mut app).as_deref(), Some("percymd"));
}

#[test]
fn a_sealed_context_is_not_left_for_the_brand_of_a_number() {
    let database = with_numbers();
    let mut app = database.app();
    let before = contents(&database);
    app.batch_execute("begin; select percytech.set_brand_context('percymd', true, true); savepoint s")
        .unwrap();
    let error = error_of(&mut app, &format!("select {}", to("gnymble", "STOP")));
    assert_eq!(error.code().code(), "PT404");
    assert_eq!(
        error.message(),
        format!("no brand that you may act as has the number \"{}\"", sender_of("gnymble"))
    );
    app.batch_execute("rollback to s").unwrap();
    assert_eq!(changes(&database, &before), [] as [String; 0]);
    assert_eq!(answer(&mut app, &to("percymd", "STOP"))["intent"], "opt_out", "its own");
    assert_eq!(context(&mut app).as_deref(), Some("percymd"));
    app.batch_execute("commit").unwrap();
    assert_eq!(brands_of_messages(&database), ["percymd"]);
}

#[test]
fn a_number_of_no_brand_that_the_caller_may_act_as_is_not_found() {
    let database = with_numbers();
    let before = contents(&database);
    let of_one = login_of("gnymble");
    let percymds = sender_of("percymd");
    for (login, number) in [
        (of_one.as_str(), format!("'{percymds}'")),
        (&of_one, "'+12125550109'".to_owned()),
        (APP, "'+12125550109'".to_owned()),
        (APP, "'72645'".to_owned()),
        (APP, "'nonsense'".to_owned()),
        (APP, "''".to_owned()),
        (APP, "null".to_owned()),
    ] {
        let call = format!("select process_inbound_message('{ANA}', {number}, 'STOP', 'e')");
        let error = error_of(&mut database.connect(login), &call);
        let shown = if number == "null" { "NULL".to_owned() } else { number.replace('\'', "\"") };
        assert_eq!(error.code().code(), "PT404", "{number}");
        assert_eq!(error.message(), format!("no brand that you may act as has the number {shown}"));
        assert_eq!(error.hint(), Some("Look it up in brand_phone_numbers; a DBA registers it there."));
        assert_eq!(error.detail(), None);
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_brand_may_be_written_to_at_a_short_code() {
    let database = with_numbers();
    database
        .superuser()
        .batch_execute("insert into brand_phone_numbers (brand_id, phone) values ('percymd', '72645'), ('gnymble', '262966')")
        .unwrap();
    let mut app = database.app();
    for (code, brand) in [("72645", "percymd"), ("262966", "gnymble")] {
        let stop = answer(&mut app, &format!("process_inbound_message('{ANA}', '{code}', 'STOP', 'e')"));
        let mut of_brand = database.app_of(brand);
        assert_eq!(stop["reply"], json!(words(&mut of_brand, "opt_out", "en")));
        let from: String = value(&mut of_brand, "select from_phone from claim_outbound()");
        assert_eq!(from, code, "the answer comes from where it was written to");
    }
}

#[test]
fn a_brands_number_is_one_and_one_brands_only() {
    let database = with_numbers();
    let mut superuser = database.superuser();
    for (number, code) in [
        ("(212) 555-0104", SqlState::CHECK_VIOLATION),
        ("12", SqlState::CHECK_VIOLATION),
        ("1234567", SqlState::CHECK_VIOLATION),
        ("", SqlState::CHECK_VIOLATION),
        (sender_of("gnymble"), SqlState::UNIQUE_VIOLATION),
    ] {
        let insert =
            format!("insert into brand_phone_numbers (brand_id, phone) values ('percymd', '{number}')");
        assert_eq!(error_of(&mut superuser, &insert).code(), &code, "{number}");
    }
}

#[test]
fn without_a_brand_in_context_nothing_is_said_or_done() {
    let database = with_numbers();
    conversation(&mut database.app_of("gnymble"), ANA);
    let before = contents(&database);
    let mut app = database.app();
    for call in [
        format!("process_opt_out('{ANA}', 'r')"),
        format!("process_opt_in('{ANA}', 'r')"),
        format!("can_send('{ANA}')"),
        "can_send('nonsense')".to_owned(),
        "queue_message(gen_random_uuid(), 'x')".to_owned(),
        "claim_outbound(10)".to_owned(),
        "record_sent(gen_random_uuid(), 'SM1')".to_owned(),
    ] {
        let error = error_of(&mut app, &format!("select * from {call}"));
        assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{call}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{call}: {error:?}");
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_brand_that_the_caller_may_not_act_as_is_not_theirs_by_saying_so() {
    let database = with_numbers();
    let mut login = database.connect(&login_of("gnymble"));
    let error = error_of(&mut login, "select percytech.set_brand_context('percymd', false)");
    assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(answer(&mut login, &to("gnymble", "STOP"))["intent"], "opt_out", "without any context");
    assert_eq!(context(&mut login), None);
}

#[test]
fn who_passes_row_level_security_by_works_for_one_brand_at_a_time() {
    let database = prepared(TestDatabase::supabase());
    let mut postgrest = database.connect("authenticator");
    postgrest
        .batch_execute("begin; set local role service_role; select percytech.apply_request_context()")
        .unwrap();
    for brand in BRANDS {
        assert_eq!(answer(&mut postgrest, &to(brand, "STOP"))["intent"], "opt_out", "{brand}");
        assert_eq!(context(&mut postgrest), None);
    }
    let others =
        "update quiet_hours set quiet_until = '12:00', quiet_from = '12:00:01' where brand_id <> 'gnymble'";
    postgrest.batch_execute(others).unwrap();
    postgrest.batch_execute("select percytech.set_brand_context('gnymble')").unwrap();
    assert_eq!(sendable(&mut postgrest, ANA), "opted_out");
    let started: String = value(&mut postgrest, &format!("select outcome from process_opt_in('{ANA}', 'r')"));
    assert_eq!(started, "applied");
    assert_eq!(sendable(&mut postgrest, ANA), "allowed");
    let claimed: i64 = value(&mut postgrest, "select count(*) from claim_outbound()");
    assert_eq!(claimed, 0, "the others' confirmations are the others'");
    postgrest.batch_execute("commit").unwrap();
    let out: Vec<String> =
        values(&mut database.superuser(), "select brand_id::text from opt_outs order by brand_id");
    assert_eq!(out, ["percymd", "percytext"]);
}

#[test]
fn a_users_token_says_for_which_brand_a_message_is_taken_in() {
    let database = prepared(TestDatabase::supabase());
    let mut postgrest = database.connect("authenticator");
    let request = |postgrest: &mut Client| {
        postgrest
            .batch_execute(
                r#"begin; set local role authenticated;
                   set local request.jwt.claims = '{"role": "authenticated", "sub": "7d3b", "app_metadata": {"brand_id": "percymd"}}';
                   select percytech.apply_request_context()"#,
            )
            .unwrap();
    };
    request(&mut postgrest);
    assert!(answer(&mut postgrest, &to("percymd", "STOP"))["reply"].is_string());
    let actor: String = value(&mut postgrest, "select actor from consent_events");
    assert_eq!(actor, "7d3b");
    postgrest.batch_execute("commit").unwrap();
    request(&mut postgrest);
    let error = error_of(&mut postgrest, &format!("select {}", to("gnymble", "STOP")));
    assert_eq!(error.code().code(), "PT404");
    postgrest.batch_execute("rollback").unwrap();
    assert_eq!(brands_of_messages(&database), ["percymd"]);
}
