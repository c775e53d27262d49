//! Consent goes by the number: whoever has it, however it is written, and however often its message is delivered.

use percytech_tests::{refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::journey::error_of;
use crate::optout::{
    ANA, BEN, answer, changes, claim, contents, conversation, customer, events_of, queue, sendable,
    sender_of, text, with_numbers,
};

#[test]
fn a_message_that_is_delivered_again_is_answered_as_before_and_changes_nothing() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    conversation(&mut app, ANA);
    let to = sender_of("gnymble");
    for (number, from, body) in [
        (1, ANA, "hello"),
        (2, ANA, "STOP"),
        (3, ANA, "HELP"),
        (4, ANA, "YES"),
        (5, BEN, "YES"),
        (6, BEN, "HELP"),
        (7, BEN, "STOP"),
        (8, BEN, "STOP"),
        (9, BEN, "START"),
    ] {
        let call = format!("process_inbound_message('{from}', '{to}', '{body}', 'SM{number}')");
        let mut first = answer(&mut app, &call);
        assert_eq!(first["duplicate"], false, "{body}");
        first["duplicate"] = json!(true);
        let before = contents(&database);
        for again in [
            call.clone(),
            call.replace(&format!("'SM{number}'"), &format!("'SM{number}', now() - interval '1 day'")),
        ] {
            assert_eq!(answer(&mut app, &again), first, "{again}");
            assert_eq!(changes(&database, &before), [] as [String; 0], "{again}");
        }
    }
    // Also when the world has moved on.
    let before = contents(&database);
    let late = answer(&mut app, &format!("process_inbound_message('{BEN}', '{to}', 'STOP', 'SM7')"));
    assert_eq!((&late["intent"], &late["duplicate"]), (&json!("opt_out"), &json!(true)));
    assert_ne!(late["reply"], Value::Null, "what was said then");
    assert_eq!(sendable(&mut app, BEN), "allowed");
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_redelivery_changes_nothing_though_the_customer_is_known_by_now() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let call = format!("process_inbound_message('{ANA}', '{}', 'hello', 'SM1')", sender_of("gnymble"));
    let first = answer(&mut app, &call);
    assert_eq!(first["customer_id"], Value::Null);
    customer(&mut app, ANA);
    let before = contents(&database);
    let again = answer(&mut app, &call);
    assert_eq!(again["duplicate"], true);
    assert_eq!(changes(&database, &before), [] as [String; 0]);
    assert_eq!(again["message_id"], first["message_id"]);
}

#[test]
fn an_identifier_of_another_numbers_message_or_of_one_that_was_sent_keeps_no_stop_from_being_heard() {
    let mut app = with_numbers().app_of("gnymble");
    let to = sender_of("gnymble");
    let thread = conversation(&mut app, ANA);
    let message = queue(&mut app, &thread, "hello");
    claim(&mut app);
    app.batch_execute(&format!("select record_sent('{message}', 'SM1')")).unwrap();
    for from in [ANA, BEN] {
        let call = format!("process_inbound_message('{from}', '{to}', 'STOP', 'SM1')");
        let stop = answer(&mut app, &call);
        assert_eq!((&stop["intent"], &stop["duplicate"]), (&json!("opt_out"), &json!(false)), "{from}");
        assert_eq!(sendable(&mut app, from), "opted_out");
        let again = answer(&mut app, &call);
        assert_eq!(
            (&again["message_id"], &again["duplicate"]),
            (&stop["message_id"], &json!(true)),
            "{from}"
        );
    }
    let untouched: bool = value(
        &mut app,
        &format!("select content = 'hello' and status = 'sent' from messages where id = '{message}'"),
    );
    assert!(untouched);
}

#[test]
fn a_message_that_the_application_has_stored_itself_is_read_all_the_same_and_once() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    let stored: String = value(
        &mut app,
        &format!(
            "insert into messages (conversation_id, direction, content, external_id)
             values ('{thread}', 'inbound', 'STOP', 'SM1') returning id::text"
        ),
    );
    let call = format!("process_inbound_message('{ANA}', '{}', 'STOP', 'SM1')", sender_of("gnymble"));
    let stop = answer(&mut app, &call);
    assert_eq!((&stop["intent"], &stop["message_id"]), (&json!("opt_out"), &json!(stored)));
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    let before = contents(&database);
    assert_eq!(answer(&mut app, &call)["duplicate"], true);
    assert_eq!(changes(&database, &before), [] as [String; 0]);
    assert_eq!(value::<i32>(&mut app, "select message_count from conversations"), 1);
}

#[test]
fn messages_without_an_identifier_are_each_their_own() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let to = sender_of("gnymble");
    for id in ["null", "''", "null", "''"] {
        let answer = answer(&mut app, &format!("process_inbound_message('{ANA}', '{to}', 'hi', {id})"));
        assert_eq!(answer["duplicate"], false, "{id}");
    }
    let stored: i64 =
        value(&mut app, "select count(*) from messages where external_id is null and direction = 'inbound'");
    assert_eq!(stored, 4);
    let long = format!("select process_inbound_message('{ANA}', '{to}', 'hi', repeat('x', 256))");
    assert_eq!(refusal(&mut app, &long), SqlState::INVALID_PARAMETER_VALUE);
    app.batch_execute(&long.replace("256", "255")).unwrap();
    // The brands' identifiers are apart.
    let mut percymd = database.app_of("percymd");
    let theirs = answer(
        &mut percymd,
        &format!("process_inbound_message('{ANA}', '{}', 'hi', repeat('x', 255))", sender_of("percymd")),
    );
    assert_eq!(theirs["duplicate"], false);
}

#[test]
fn an_opt_out_by_telephone_holds_for_a_number_that_was_never_texted() {
    let mut app = with_numbers().app_of("gnymble");
    let row = app
        .query_one(
            "select phone, kind, outcome, scope, source, reason, actor, num_nonnulls(customer_id, conversation_id,
               message_id, message, rule, rule_version, reply, reply_message_id)
             from process_opt_out('(415) 555-2671', 'called us on Monday', 'phone')",
            &[],
        )
        .unwrap();
    let told: Vec<&str> = (0..7).map(|column| row.get(column)).collect();
    assert_eq!(told, [ANA, "opt_out", "applied", "brand", "phone", "called us on Monday", "test_app"]);
    assert_eq!(row.get::<_, i32>(7), 0);
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    let nothing: i64 =
        value(&mut app, "select (select count(*) from messages) + (select count(*) from conversations)");
    assert_eq!(nothing, 0, "who did not write is not written to");

    // It becomes a customer's; it is written to by plain SQL; it writes.
    let thread = conversation(&mut app, ANA);
    assert_eq!(
        error_of(&mut app, &format!("select queue_message('{thread}', 'hello')")).message(),
        "the number has opted out"
    );
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at) values ('{thread}', 'outbound', 'x', 'pending', now())"
    ))
    .unwrap();
    assert_eq!(claim(&mut app), [] as [String; 0]);
    let again: Vec<String> = values(
        &mut app,
        &format!(
            "select concat_ws(' ', outcome, customer_id is not null) from process_opt_out('{ANA}', 'again')"
        ),
    );
    assert_eq!(again, ["repeated t"]);
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'signed a form', 'in person')")).unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed");
    let forms: String = value(
        &mut app,
        "select concat_ws('/', outcome, source, reason, reply) from consent_events where kind = 'opt_in'",
    );
    assert_eq!(forms, "applied/in person/signed a form");
    assert_eq!(claim(&mut app), [] as [String; 0], "nothing is sent for it");
}

#[test]
fn an_opt_out_by_telephone_ends_the_conversations_and_what_is_queued() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    queue(&mut app, &thread, "hello");
    app.batch_execute(&format!("select process_opt_out('{ANA}', null, 'email')")).unwrap();
    let followed: bool = value(
        &mut app,
        "select conversations.status = 'archived' and conversations.opted_out_at = opt_outs.opted_out_at
           and conversations.opt_out_reason = 'email' and messages.status = 'failed' and messages.cancelled_at is not null
           and messages.cancel_reason = 'opted_out' and opt_outs.confirmation_message_id is null
         from conversations, messages, opt_outs",
    );
    assert!(followed);
    assert_eq!(claim(&mut app), [] as [String; 0], "and no confirmation");
}

#[test]
fn what_this_database_did_not_read_is_no_reply() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    conversation(&mut app, ANA);
    let before = contents(&database);
    for call in ["process_opt_out", "process_opt_in"] {
        for source in ["'reply'", "' Reply '", "''", "null", "repeat('x', 64)"] {
            let error = error_of(&mut app, &format!("select {call}('{ANA}', 'r', {source})"));
            assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{call} {source}");
            assert!(error.hint().is_some());
        }
        let long = format!("select {call}('{ANA}', repeat('x', 1000000))");
        assert_eq!(refusal(&mut app, &long), SqlState::INVALID_PARAMETER_VALUE);
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn an_opt_out_stays_with_the_number_when_it_changes_hands() {
    let mut app = with_numbers().app_of("gnymble");
    let ana = customer(&mut app, ANA);
    text(&mut app, ANA, "STOP");
    app.batch_execute(&format!("update customers set phone = '{BEN}' where id = '{ana}'")).unwrap();
    assert_eq!(sendable(&mut app, BEN), "allowed", "her new number has not opted out");
    assert_eq!(sendable(&mut app, ANA), "opted_out", "the old one has");
    let carla = customer(&mut app, ANA);
    assert_eq!(sendable(&mut app, ANA), "opted_out", "whoever has it now");
    let thread: String = value(
        &mut app,
        &format!(
            "insert into conversations (customer_id, customer_phone, brand_phone) values ('{ana}', '{BEN}', '{}') returning id::text",
            sender_of("gnymble")
        ),
    );
    queue(&mut app, &thread, "hello Ana");
    assert_eq!(
        claim(&mut app).len(),
        2,
        "the confirmation to the old number, and the message to the new one"
    );
    let event: String = value(
        &mut app,
        &format!("select customer_id::text from process_opt_in('{ANA}', 'asked for it', 'web')"),
    );
    assert_eq!(event, carla, "who has it now");
    assert_eq!(sendable(&mut app, ANA), "allowed");
}

#[test]
fn an_opt_out_of_one_of_a_customers_two_numbers_leaves_the_other() {
    let mut app = with_numbers().app_of("gnymble");
    let first = conversation(&mut app, ANA);
    let second: String = value(
        &mut app,
        &format!(
            "insert into conversations (customer_id, customer_phone, brand_phone)
             select customer_id, '{BEN}', brand_phone from conversations returning id::text"
        ),
    );
    queue(&mut app, &second, "to the other number");
    assert_eq!(text(&mut app, ANA, "STOP")["conversation_id"], json!(first));
    assert_eq!((sendable(&mut app, ANA), sendable(&mut app, BEN)), ("opted_out".into(), "allowed".into()));
    let statuses: Vec<String> =
        values(&mut app, "select status::text from conversations order by customer_phone desc");
    assert_eq!(statuses, ["archived", "active"]);
    let claimed = claim(&mut app);
    assert_eq!((claimed.len(), &claimed[1]), (2, &format!("{BEN} to the other number")));
}

#[test]
fn an_opt_out_of_a_number_that_two_customers_share_archives_both_their_conversations() {
    let mut app = with_numbers().app_of("gnymble");
    let (one, two) = (conversation(&mut app, ANA), conversation(&mut app, "(415) 555-2671"));
    assert_ne!(one, two);
    for thread in [&one, &two] {
        queue(&mut app, thread, "hello");
    }
    text(&mut app, ANA, "STOP");
    let archived: i64 = value(
        &mut app,
        "select count(*) from conversations where status = 'archived' and opted_out_at is not null",
    );
    assert_eq!(archived, 2);
    assert_eq!(value::<i64>(&mut app, "select count(*) from opt_outs"), 1);
    assert_eq!(claim(&mut app).len(), 1, "the confirmation only");
    let latest: bool = value(
        &mut app,
        &format!(
            "select customer_id = (select id from customers order by created_at desc limit 1)
             from process_opt_out('{ANA}', 'again')"
        ),
    );
    assert!(latest, "who came last has it now");
    text(&mut app, ANA, "START");
    let active: i64 = value(
        &mut app,
        "select count(*) from conversations where status = 'active' and opted_out_at is null",
    );
    assert_eq!(active, 2);
}

#[test]
fn an_opt_out_holds_for_every_number_that_the_brand_sends_from_and_for_later_conversations() {
    let database = with_numbers();
    database
        .superuser()
        .batch_execute("insert into brand_phone_numbers (brand_id, phone) values ('gnymble', '72645')")
        .unwrap();
    let mut app = database.app_of("gnymble");
    text(&mut app, ANA, "STOP");
    let call = format!("process_inbound_message('{ANA}', '72645', 'hello', 'e')");
    let other = answer(&mut app, &call);
    let follows: bool = value(
        &mut app,
        &format!(
            "select status = 'archived' and opted_out_at = (select opted_out_at from opt_outs)
               and opt_out_reason = (select reason from opt_outs)
             from conversations where id = '{}'",
            other["conversation_id"].as_str().unwrap()
        ),
    );
    assert!(follows);
}

#[test]
fn a_number_is_the_same_however_it_is_written() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, "1 (415) 555-2671");
    for (from, to) in [
        (ANA, "+12125550101"),
        ("4155552671", "(212) 555-0101"),
        (" 1-415-555-2671 ", "12125550101"),
        ("tel:+1-415-555-2671", "212.555.0101"),
        ("\u{202a}+14155552671\u{202c}", "+1 212 555 0101"),
    ] {
        let call = format!("process_inbound_message('{from}', '{to}', 'hi', null)");
        assert_eq!(answer(&mut app, &call)["conversation_id"], json!(thread), "{from} {to}");
    }
    app.batch_execute("select process_opt_out('415.555.2671', 'r')").unwrap();
    for written in [ANA, "4155552671", "(415) 555-2671", "+1 415 555 2671"] {
        assert_eq!(sendable(&mut app, written), "opted_out", "{written}");
        let known: String =
            value(&mut app, &format!("select phone || outcome from process_opt_out('{written}', 'r')"));
        assert_eq!(known, format!("{ANA}repeated"));
    }
    assert_eq!(events_of(&mut app, ANA).len(), 5);
    assert_eq!(value::<i64>(&mut app, "select count(*) from recipients"), 1);
    app.batch_execute("select process_opt_in('tel:+14155552671', 'r')").unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed");
}

#[test]
fn what_is_no_number_is_refused_or_may_not_be_written_to() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let before = contents(&database);
    for (written, shown) in
        [("'STOP'", "\"STOP\""), ("''", "\"\""), ("'72645'", "\"72645\""), ("null", "NULL")]
    {
        for call in [
            format!("process_inbound_message({written}, '{}', 'STOP', 'e')", sender_of("gnymble")),
            format!("process_opt_out({written}, 'r')"),
            format!("process_opt_in({written}, 'r')"),
        ] {
            let error = error_of(&mut app, &format!("select {call}"));
            assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{call}");
            assert_eq!(error.message(), format!("{shown} is no telephone number"), "{call}");
            assert_eq!(error.hint(), Some("Write it with its country code, as in +14155552671."));
        }
        let said: String = value(
            &mut app,
            &format!("select concat_ws(' ', allowed, reason, until) from can_send({written})"),
        );
        assert_eq!(said, "f invalid_number");
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

/// What is answered to Ana, who writes to the brand.
fn said(app: &mut Client, body: &str, id: &str) -> Value {
    let to = sender_of("gnymble");
    answer(app, &format!("process_inbound_message('{ANA}', '{to}', '{body}', '{id}')"))
}

#[test]
fn a_redelivered_start_is_known_again_whichever_spelling_of_the_number_was_written_to_last() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let to = sender_of("gnymble");
    app.batch_execute(&format!(
        "insert into conversations (customer_phone, brand_phone, created_at, last_outbound_at) values
           ('{ANA}', '{to}', now() - interval '2 days', now() - interval '1 hour'),
           ('(415) 555-2671', '{to}', now() - interval '1 day', null);
         select process_opt_out('{ANA}', 'called')"
    ))
    .unwrap();
    assert_eq!(said(&mut app, "START", "SM1")["intent"], "opt_in");
    app.batch_execute("update conversations set last_outbound_at = now() where customer_phone like '(%'")
        .unwrap();
    assert_eq!(said(&mut app, "STOP", "SM2")["intent"], "opt_out");
    assert_eq!(said(&mut app, "START", "SM1")["duplicate"], true);
    assert_eq!(sendable(&mut app, ANA), "opted_out");
}

#[test]
fn a_message_is_known_again_whatever_was_done_to_its_row() {
    for change in [
        "update messages set conversation_id = (
           select id from conversations where customer_phone <> '{ANA}' limit 1
         )",
        "update messages set external_id = 'SM2'",
        "update messages set id = gen_random_uuid()",
        "update messages set content = 'START'",
        "delete from messages",
    ] {
        let database = with_numbers();
        let mut app = database.app_of("gnymble");
        conversation(&mut app, "+12125550177");
        let first = said(&mut app, "See you", "SM1");
        app.batch_execute(&change.replace("{ANA}", ANA)).unwrap();
        let again = said(&mut app, "See you", "SM1");
        assert_eq!(
            (&again["duplicate"], &again["message_id"]),
            (&json!(true), &first["message_id"]),
            "{change}"
        );
        let messages: i64 = value(&mut app, "select count(*) from messages");
        assert_eq!(messages, i64::from(!change.starts_with("delete")), "{change}");
    }
}

#[test]
fn a_start_that_was_moved_to_another_conversation_does_not_end_a_later_stop() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let other = conversation(&mut app, "+12125550177");
    assert_eq!(said(&mut app, "START", "SM1")["intent"], "opt_in");
    app.batch_execute(&format!("update messages set conversation_id = '{other}' where external_id = 'SM1'"))
        .unwrap();
    assert_eq!(said(&mut app, "STOP", "SM2")["intent"], "opt_out");
    assert_eq!(said(&mut app, "START", "SM1")["duplicate"], true);
    assert_eq!(sendable(&mut app, ANA), "opted_out");
}

#[test]
fn an_identifier_that_comes_with_a_stop_the_second_time_is_heeded_once() {
    for change in ["select", "delete from messages"] {
        let database = with_numbers();
        let mut app = database.app_of("gnymble");
        assert_eq!(said(&mut app, "Thanks", "SM1")["duplicate"], false);
        app.batch_execute(change).unwrap();
        assert_eq!(said(&mut app, "STOP", "SM1")["intent"], "opt_out");
        assert_eq!(sendable(&mut app, ANA), "opted_out");
        assert_eq!(said(&mut app, "STOP", "SM1")["duplicate"], true);
        let count: i64 = value(&mut app, "select message_count::bigint from conversations");
        assert_eq!(count, 1, "{change}");
    }
}

#[test]
fn a_stop_that_an_application_has_written_before_is_heeded() {
    for status in ["null", "'pending'", "'sent'", "'delivered'", "'failed'"] {
        let database = with_numbers();
        let mut app = database.app_of("gnymble");
        let thread = conversation(&mut app, ANA);
        app.batch_execute(&format!(
            "insert into messages (conversation_id, direction, content, status, external_id)
             values ('{thread}', 'inbound', 'STOP', {status}, 'SM1')"
        ))
        .unwrap();
        let first = said(&mut app, "STOP", "SM1");
        assert_eq!(first["intent"], "opt_out");
        assert_eq!(sendable(&mut app, ANA), "opted_out");
        let again = said(&mut app, "STOP", "SM1");
        assert_eq!((&again["duplicate"], &again["message_id"]), (&json!(true), &first["message_id"]));
        let counts: (i64, i64) = {
            let row = app
                .query_one("select message_count::bigint, (select count(*) from messages where direction = 'inbound') from conversations", &[])
                .unwrap();
            (row.get(0), row.get(1))
        };
        assert_eq!(counts, (1, 1), "{status}");
    }
}

#[test]
fn a_stop_under_the_identifier_of_another_request_is_heeded_and_answered_as_itself() {
    for first in ["HELP", "START"] {
        let database = with_numbers();
        let mut app = database.app_of("gnymble");
        said(&mut app, first, "SM1");
        assert_eq!(said(&mut app, "STOP", "SM1")["intent"], "opt_out", "{first}");
        assert_eq!(sendable(&mut app, ANA), "opted_out");
        let again = said(&mut app, "STOP", "SM1");
        assert_eq!((&again["duplicate"], &again["intent"]), (&json!(true), &json!("opt_out")), "{first}");
    }
}

#[test]
fn a_message_that_is_delivered_again_opens_no_conversation() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let first = said(&mut app, "See you", "SM1");
    app.batch_execute("delete from messages; delete from conversations").unwrap();
    let again = said(&mut app, "See you", "SM1");
    assert_eq!((&again["duplicate"], &again["message_id"]), (&json!(true), &first["message_id"]));
    assert_eq!(again["conversation_id"], Value::Null);
    let conversations: i64 = value(&mut app, "select count(*) from conversations");
    assert_eq!(conversations, 0);
}

#[test]
fn an_identifier_that_was_given_to_another_message_is_taken_from_it() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let help = said(&mut app, "HELP", "SM1");
    app.batch_execute("update messages set external_id = 'SM2' where external_id = 'SM1'").unwrap();
    let stop = said(&mut app, "STOP", "SM2");
    assert_eq!(stop["intent"], "opt_out");
    assert_ne!(stop["message_id"], help["message_id"]);
    assert_eq!(said(&mut app, "STOP", "SM2")["intent"], "opt_out");
    assert_eq!(said(&mut app, "HELP", "SM1")["intent"], "help");
    let events: Vec<String> = values(&mut app, "select kind from consent_events order by recorded_at");
    assert_eq!(events, ["help", "opt_out"]);
}

#[test]
fn a_message_that_was_written_before_keeps_its_time_and_so_does_its_conversation() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, external_id, sent_at)
         values ('{thread}', 'inbound', 'STOP', 'delivered', 'SM1', '2020-01-01')"
    ))
    .unwrap();
    assert_eq!(said(&mut app, "STOP", "SM1")["intent"], "opt_out");
    let same: bool = value(
        &mut app,
        "select last_inbound_at = '2020-01-01' and last_message_at = (select max(sent_at) from messages where status <> 'pending')
         from conversations",
    );
    assert!(same);
}

#[test]
fn a_message_that_was_written_before_and_is_being_deleted_is_taken_in_anew() {
    let database = with_numbers();
    let (mut app, mut other) = (database.app_of("gnymble"), database.app_of("gnymble"));
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, external_id)
         values ('{thread}', 'inbound', 'STOP', 'delivered', 'SM1');
         begin; delete from messages where external_id = 'SM1'"
    ))
    .unwrap();
    let stop = std::thread::spawn(move || said(&mut other, "STOP", "SM1"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    app.batch_execute("commit").unwrap();
    assert_eq!(stop.join().unwrap()["intent"], "opt_out");
    let messages: i64 = value(&mut app, "select count(*) from messages where external_id = 'SM1'");
    assert_eq!((messages, sendable(&mut app, ANA)), (1, "opted_out".to_owned()));
}
