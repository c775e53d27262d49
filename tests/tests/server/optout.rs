//! Opting out by a reply: what is understood is done, answered and recorded.

use percytech_tests::{ALL_TABLES, BRANDS, TestDatabase, value, values};
use postgres::Client;
use serde_json::{Value, json};

/// A number in Los Angeles, and one in Chicago.
pub const ANA: &str = "+14155552671";
pub const BEN: &str = "+13125552672";

/// The number that a brand sends from.
pub fn sender_of(brand: &str) -> &'static str {
    match brand {
        "gnymble" => "+12125550101",
        "percymd" => "+12125550102",
        _ => "+12125550103",
    }
}

/// A database whose brands have a number each, and may write at any hour.
pub fn with_numbers() -> TestDatabase {
    prepared(TestDatabase::migrated())
}

/// The same for any database.
pub fn prepared(database: TestDatabase) -> TestDatabase {
    let mut superuser = database.superuser();
    for brand in BRANDS {
        let insert = format!(
            "insert into brand_phone_numbers (brand_id, phone) values ('{brand}', '{}')",
            sender_of(brand)
        );
        superuser.batch_execute(&insert).unwrap();
    }
    superuser.batch_execute("update quiet_hours set quiet_until = '00:00', quiet_from = '24:00'").unwrap();
    database
}

/// What a function that returns jsonb answers.
pub fn answer(client: &mut Client, call: &str) -> Value {
    serde_json::from_str(&value::<String>(client, &format!("select {call}::text"))).unwrap()
}

/// What is said to a message that gnymble gets now.
pub fn text(client: &mut Client, from: &str, body: &str) -> Value {
    text_at(client, from, body, "now()")
}

/// The same for a message that is received at this expression's time.
pub fn text_at(client: &mut Client, from: &str, body: &str, at: &str) -> Value {
    let to = sender_of("gnymble");
    answer(
        client,
        &format!("process_inbound_message('{from}', '{to}', '{body}', gen_random_uuid()::text, {at})"),
    )
}

/// A new customer of the brand in context, with this number.
pub fn customer(client: &mut Client, phone: &str) -> String {
    let insert = "insert into customers (email, phone) values (gen_random_uuid() || '@example.com', $1) returning id::text";
    client.query_one(insert, &[&phone]).unwrap().get(0)
}

/// A new conversation of the brand in context, with a customer of this number.
pub fn conversation(client: &mut Client, phone: &str) -> String {
    let customer = customer(client, phone);
    value(
        client,
        &format!(
            "insert into conversations (customer_id, customer_phone, brand_phone)
             select '{customer}', '{phone}', coalesce(min(phone), '+12125550100') from brand_phone_numbers
             returning id::text"
        ),
    )
}

/// Whether a number may be written to, else why not.
pub fn sendable(client: &mut Client, phone: &str) -> String {
    value(client, &format!("select coalesce(reason, 'allowed') from can_send('{phone}')"))
}

/// What is recorded of a number, in the order in which it was, as `kind outcome`.
pub fn events_of(client: &mut Client, phone: &str) -> Vec<String> {
    values(
        client,
        &format!(
            "select kind || ' ' || outcome from consent_events where phone = '{phone}' order by recorded_at"
        ),
    )
}

/// Queues a message, and returns its id.
pub fn queue(client: &mut Client, conversation: &str, content: &str) -> String {
    value(client, &format!("select id::text from queue_message('{conversation}', '{content}')"))
}

/// Claims all that is due: `to_phone content` in the order in which it is given out.
pub fn claim(client: &mut Client) -> Vec<String> {
    values(client, "select to_phone || ' ' || content from claim_outbound(worker => 'w')")
}

/// A brand's text.
pub fn words(client: &mut Client, kind: &str, language: &str) -> String {
    let select = format!("select content from reply_texts where kind = '{kind}' and language = '{language}'");
    value(client, &select)
}

/// Every row of every table.
pub fn contents(database: &TestDatabase) -> Vec<String> {
    let mut superuser = database.superuser();
    let mut rows = Vec::new();
    for table in ALL_TABLES {
        let select = format!("select '{table} ' || row_to_json(t)::text from {table} as t order by 1");
        rows.extend(values::<String>(&mut superuser, &select));
    }
    rows
}

/// The rows that came (+) and went (-) since.
pub fn changes(database: &TestDatabase, before: &[String]) -> Vec<String> {
    let after = contents(database);
    let came = after.iter().filter(|row| !before.contains(row)).map(|row| format!("+{row}"));
    let went = before.iter().filter(|row| !after.contains(row)).map(|row| format!("-{row}"));
    came.chain(went).collect()
}

#[test]
fn a_stop_is_honoured_answered_and_recorded() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    let answer = text(&mut app, ANA, "STOP");
    let confirmation = words(&mut app, "opt_out", "en");
    let customer: String = value(&mut app, "select id::text from customers");
    assert_eq!(answer["intent"], "opt_out");
    assert_eq!(answer["reply"], json!(confirmation));
    assert_eq!(answer["customer_id"], json!(customer));
    assert_eq!(answer["conversation_id"], json!(thread));
    assert_eq!(answer["duplicate"], false);
    assert_eq!(sendable(&mut app, ANA), "opted_out");

    let archived: bool = value(
        &mut app,
        "select conversations.status = 'archived' and conversations.opted_out_at = messages.sent_at
           and conversations.opted_out_at = opt_outs.opted_out_at and conversations.opt_out_reason = opt_outs.reason
           and lower(conversations.opt_out_reason) like '%stop%' and conversations.last_inbound_at = messages.sent_at
           and opt_outs.scope = 'brand' and opt_outs.campaign_id is null and opt_outs.source = 'reply'
         from conversations, messages, opt_outs where messages.direction = 'inbound'",
    );
    assert!(archived);
    let row = app
        .query_one(
            "select phone, kind, outcome, scope, source, actor, message, reply, language,
               rule, rule_version = percytech.reply_rules_version(), conversation_id::text, customer_id::text,
               message_id::text, occurred_at = (select sent_at from messages where id = message_id),
               reply_message_id = (select id from messages where kind = 'opt_out' and direction = 'outbound'),
               id = (select event_id from opt_outs),
               reply_message_id = (select confirmation_message_id from opt_outs), rule in (select rule from percytech.reply_rules())
             from consent_events",
            &[],
        )
        .unwrap();
    let told: Vec<&str> = (0..8).map(|column| row.get(column)).collect();
    assert_eq!(told, [ANA, "opt_out", "applied", "brand", "reply", "test_app", "STOP", &confirmation]);
    assert_eq!(answer["rule"], json!(row.get::<_, &str>(9)));
    assert_eq!(row.get::<_, &str>(11), thread);
    assert_eq!(row.get::<_, &str>(12), customer);
    assert_eq!(answer["message_id"], json!(row.get::<_, &str>(13)));
    for column in [10, 14, 15, 16, 17, 18] {
        assert!(row.get::<_, bool>(column), "column {column}");
    }
    assert_eq!(claim(&mut app), [format!("{ANA} {confirmation}")], "the one message that is sent");
}

#[test]
fn the_answer_has_these_keys_and_no_others() {
    let mut app = with_numbers().app_of("gnymble");
    for body in ["hello", "STOP", "STOP", "HELP", "START"] {
        let answer = text(&mut app, ANA, body);
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        let mut expected =
            ["message_id", "conversation_id", "customer_id", "intent", "rule", "reply", "duplicate"];
        expected.sort_unstable();
        assert_eq!(keys, expected, "{body}");
    }
    let ordinary = text(&mut app, ANA, "hello");
    assert_eq!(ordinary["intent"], "none");
    for key in ["rule", "reply", "customer_id"] {
        assert_eq!(ordinary[key], Value::Null, "{key}");
    }
}

#[test]
fn a_stop_of_a_number_that_nobody_knows_is_honoured_and_linked_when_it_is_known() {
    let mut app = with_numbers().app_of("gnymble");
    let answer = text(&mut app, ANA, "stop");
    assert_eq!((&answer["intent"], &answer["customer_id"]), (&json!("opt_out"), &Value::Null));
    assert_eq!(answer["reply"], json!(words(&mut app, "opt_out", "en")));
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    let nobodys: bool = value(
        &mut app,
        "select customer_id is null and status = 'archived' and opted_out_at is not null from conversations",
    );
    assert!(nobodys);

    let customer = customer(&mut app, "(415) 555-2671");
    assert_eq!(sendable(&mut app, ANA), "opted_out", "the number's wish is the customer's");
    let second = text(&mut app, ANA, "see you tomorrow");
    assert_eq!(second["customer_id"], json!(customer));
    assert_eq!(second["conversation_id"], answer["conversation_id"]);
    let linked: String = value(&mut app, "select customer_id::text from conversations");
    assert_eq!(linked, customer);
    assert_eq!(events_of(&mut app, ANA), ["opt_out applied"]);
}

#[test]
fn a_stop_said_again_is_recorded_and_not_answered() {
    let mut app = with_numbers().app_of("gnymble");
    text(&mut app, ANA, "STOP");
    let before: String = value(&mut app, "select row_to_json(o)::text from opt_outs as o");
    let again = text(&mut app, ANA, "stop");
    assert_eq!((&again["intent"], &again["reply"]), (&json!("opt_out"), &Value::Null));
    assert_eq!(events_of(&mut app, ANA), ["opt_out applied", "opt_out repeated"]);
    let recorded: i64 = value(
        &mut app,
        "select count(*) from consent_events
         where outcome = 'repeated' and reply is null and reply_message_id is null
           and message = 'stop' and rule is not null and rule_version = percytech.reply_rules_version()",
    );
    assert_eq!(recorded, 1);
    let identity = "select concat_ws(' ', id, confirmation_message_id, event_id) from opt_outs";
    assert!(before.contains(value::<String>(&mut app, identity).split(' ').next().unwrap()));
    assert_eq!(claim(&mut app).len(), 1, "one confirmation");
}

#[test]
fn a_start_opts_in_again_and_is_answered_once() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    text(&mut app, ANA, "STOP");
    let start = text(&mut app, ANA, "START");
    let welcome = words(&mut app, "opt_in", "en");
    assert_eq!((&start["intent"], &start["reply"]), (&json!("opt_in"), &json!(welcome)));
    assert_eq!(sendable(&mut app, ANA), "allowed");
    let active: bool = value(
        &mut app,
        "select status = 'active' and opted_out_at is null and opt_out_reason is null from conversations",
    );
    assert!(active);
    assert_eq!(value::<i64>(&mut app, "select count(*) from opt_outs"), 0);
    assert_eq!(text(&mut app, ANA, "START")["reply"], Value::Null);
    assert_eq!(events_of(&mut app, ANA), ["opt_out applied", "opt_in applied", "opt_in repeated"]);
    let proven: i64 = value(
        &mut app,
        "select count(*) from consent_events
         where kind = 'opt_in' and message = 'START' and rule is not null and rule_version is not null
           and (outcome = 'applied') = (reply is not null) and scope is null",
    );
    assert_eq!(proven, 2);
    queue(&mut app, &thread, "hello again");
    assert_eq!(claim(&mut app), [format!("{ANA} {welcome}"), format!("{ANA} hello again")]);
    text(&mut app, ANA, "STOP");
    assert_eq!(sendable(&mut app, ANA), "opted_out", "and out again");
    assert_eq!(claim(&mut app).len(), 1, "with a confirmation of its own");
}

#[test]
fn who_never_opted_out_opts_in_by_start() {
    let mut app = with_numbers().app_of("gnymble");
    let start = text(&mut app, ANA, "START");
    assert_eq!(start["reply"], json!(words(&mut app, "opt_in", "en")));
    assert_eq!(events_of(&mut app, ANA), ["opt_in applied"]);
    assert_eq!(sendable(&mut app, ANA), "allowed");
}

#[test]
fn a_yes_is_an_ordinary_reply_unless_the_number_has_opted_out() {
    let mut app = with_numbers().app_of("gnymble");
    let ordinary = text(&mut app, ANA, "YES");
    assert_eq!(
        (&ordinary["intent"], &ordinary["rule"], &ordinary["reply"]),
        (&json!("none"), &Value::Null, &Value::Null)
    );
    assert_eq!(events_of(&mut app, ANA), [] as [String; 0]);
    text(&mut app, ANA, "STOP");
    let back = text(&mut app, ANA, "YES");
    assert_eq!((&back["intent"], &back["rule"]), (&json!("opt_in"), &json!("carrier-yes")));
    assert_eq!(back["reply"], json!(words(&mut app, "opt_in", "en")));
    assert_eq!(sendable(&mut app, ANA), "allowed");
    assert_eq!(text(&mut app, ANA, "yes")["intent"], "none", "nothing to opt in to");
    // Another's opt-out does not make it one.
    text(&mut app, ANA, "STOP");
    assert_eq!(text(&mut app, BEN, "YES")["intent"], "none");
}

#[test]
fn a_call_for_help_is_answered_each_time_but_not_to_who_has_opted_out() {
    let mut app = with_numbers().app_of("gnymble");
    let help = words(&mut app, "help", "en");
    for _ in 0..2 {
        let answer = text(&mut app, ANA, "HELP");
        assert_eq!((&answer["intent"], &answer["reply"]), (&json!("help"), &json!(help)));
    }
    assert_eq!(sendable(&mut app, ANA), "allowed");
    assert_eq!(claim(&mut app), [format!("{ANA} {help}"), format!("{ANA} {help}")]);
    text(&mut app, ANA, "STOP");
    let answer = text(&mut app, ANA, "HELP");
    assert_eq!((&answer["intent"], &answer["reply"]), (&json!("help"), &Value::Null));
    assert_eq!(events_of(&mut app, ANA), ["help applied", "help applied", "opt_out applied", "help applied"]);
    let proven: i64 = value(
        &mut app,
        "select count(*) from consent_events
         where kind = 'help' and message = 'HELP' and rule is not null and rule_version is not null
           and scope is null and (reply is null) = (reply_message_id is null)",
    );
    assert_eq!(proven, 3);
}

#[test]
fn a_reply_is_answered_in_its_language_else_in_english() {
    let mut app = with_numbers().app_of("gnymble");
    for (number, body, language) in [(1, "ALTO", "es"), (2, "ARRET", "fr")] {
        let from = format!("+1415555000{number}");
        let expected = words(&mut app, "opt_out", language);
        assert_eq!(text(&mut app, &from, body)["reply"], json!(expected), "{body}");
    }
    app.batch_execute("delete from reply_texts where language <> 'en'").unwrap();
    let english = words(&mut app, "opt_out", "en");
    assert_eq!(text(&mut app, "+14155550004", "ALTO")["reply"], json!(english));
}

#[test]
fn a_brand_without_a_text_answers_nothing_and_heeds_all_the_same() {
    let mut app = with_numbers().app_of("gnymble");
    assert!(words(&mut app, "opt_out", "en").starts_with("gnymble: "), "the brand says who it is");
    app.batch_execute("delete from reply_texts where language = 'en'").unwrap();
    for (body, kind) in [("STOP", "opt_out"), ("HELP", "help"), ("START", "opt_in")] {
        let answer = text(&mut app, BEN, body);
        assert_eq!((&answer["intent"], &answer["reply"]), (&json!(kind), &Value::Null), "{body}");
    }
    text(&mut app, BEN, "STOP");
    assert_eq!(sendable(&mut app, BEN), "opted_out", "without a word");
    assert_eq!(
        events_of(&mut app, BEN),
        ["opt_out applied", "help applied", "opt_in applied", "opt_out applied"]
    );
    let said: i64 = value(
        &mut app,
        "select (select count(*) from consent_events where num_nonnulls(reply, reply_message_id) > 0)
           + (select count(*) from messages where direction = 'outbound')",
    );
    assert_eq!(said, 0);
    assert_eq!(claim(&mut app), [] as [String; 0]);
}

#[test]
fn the_words_that_were_sent_are_kept_when_the_brand_changes_its_own() {
    let mut app = with_numbers().app_of("gnymble");
    app.batch_execute(
        "update reply_texts set content = 'Bye for now' where kind = 'opt_out' and language = 'en'",
    )
    .unwrap();
    assert_eq!(text(&mut app, ANA, "STOP")["reply"], "Bye for now");
    app.batch_execute("update reply_texts set content = 'Farewell'").unwrap();
    let kept: String = value(&mut app, "select reply from consent_events");
    assert_eq!(kept, "Bye for now");
    assert_eq!(claim(&mut app), [format!("{ANA} Bye for now")]);
    assert_ne!(words(&mut with_numbers().app_of("percymd"), "opt_out", "en"), "Farewell");
}

#[test]
fn a_message_without_words_is_taken_in() {
    let mut app = with_numbers().app_of("gnymble");
    let to = sender_of("gnymble");
    for (arguments, content) in [
        (format!("'{ANA}', '{to}', null, 'e1', now(), '{{https://example.com/a.jpg}}'"), ""),
        (format!("'{ANA}', '{to}', '', 'e2', media_urls => '{{https://example.com/a.jpg}}'"), ""),
        (format!("'{ANA}', '{to}', null, 'e3'"), ""),
        (format!("'{ANA}', '{to}', 'hi', 'e4', null, null"), "hi"),
    ] {
        let answer = answer(&mut app, &format!("process_inbound_message({arguments})"));
        assert_eq!((&answer["intent"], &answer["duplicate"]), (&json!("none"), &json!(false)), "{arguments}");
        let id = answer["message_id"].as_str().unwrap();
        let stored: bool = value(
            &mut app,
            &format!(
                "select content = '{content}' and direction = 'inbound' and status = 'delivered' and sent_at <= clock_timestamp()
                   and (media_urls is not null) = (external_id in ('e1', 'e2')) from messages where id = '{id}'"
            ),
        );
        assert!(stored, "{arguments}");
    }
    let stop = format!(
        "process_inbound_message('{ANA}', '{to}', 'STOP', 'e5', now(), '{{https://example.com/a.jpg}}')"
    );
    assert_eq!(answer(&mut app, &stop)["intent"], "opt_out", "a picture takes nothing from the words");
}

fn status_of(client: &mut Client, thread: &str) -> String {
    value(client, &format!("select status::text from conversations where id = '{thread}'"))
}

#[test]
fn a_conversation_that_rested_wakes_up_when_the_customer_writes() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute("update conversations set status = 'archived'").unwrap();
    assert_eq!(text(&mut app, ANA, "hello")["conversation_id"], json!(thread));
    assert_eq!(status_of(&mut app, &thread), "active");
    for status in ["paused", "completed"] {
        app.batch_execute(&format!("update conversations set status = '{status}'")).unwrap();
        text(&mut app, ANA, "hello");
        assert_eq!(status_of(&mut app, &thread), status, "that was decided by somebody");
    }
    text(&mut app, ANA, "STOP");
    text(&mut app, ANA, "hello?");
    assert_eq!(status_of(&mut app, &thread), "archived", "an opt-out is not slept off");
    assert_eq!(sendable(&mut app, ANA), "opted_out");
}

#[test]
fn a_conversation_that_rested_wakes_up_when_the_customer_asks_for_messages_or_help() {
    let mut app = with_numbers().app_of("gnymble");
    for (number, body) in [(ANA, "START"), (BEN, "HELP")] {
        let thread = conversation(&mut app, number);
        app.batch_execute(&format!("update conversations set status = 'archived' where id = '{thread}'"))
            .unwrap();
        text(&mut app, number, body);
        assert_eq!(status_of(&mut app, &thread), "active", "{body}");
    }
}

#[test]
fn a_conversation_is_after_an_opt_in_what_it_was_before_the_opt_out() {
    for status in ["active", "paused", "completed"] {
        let mut app = with_numbers().app_of("gnymble");
        let thread = conversation(&mut app, ANA);
        app.batch_execute(&format!("update conversations set status = '{status}'")).unwrap();
        text(&mut app, ANA, "STOP");
        assert_eq!(status_of(&mut app, &thread), "archived", "{status}");
        text(&mut app, ANA, "START");
        assert_eq!(status_of(&mut app, &thread), status);
    }
}
