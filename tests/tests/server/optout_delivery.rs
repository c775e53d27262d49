//! What providers say of messages that were sent: late, twice, in any order, and before we know what they speak of.

use percytech_tests::{refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::journey::error_of;
use crate::optout::{
    ANA, BEN, changes, claim, contents, conversation, events_of, queue, sendable, text, with_numbers,
};

/// From the least that can be said to the most.
const RANKED: [&str; 5] = ["pending", "sent", "failed", "undelivered", "delivered"];

/// Queues and claims a message to Ana, and returns its id.
fn claimed(client: &mut Client) -> String {
    let thread: Option<String> =
        client.query_opt("select id::text from conversations", &[]).unwrap().map(|row| row.get(0));
    let thread = thread.unwrap_or_else(|| conversation(client, ANA));
    let message = queue(client, &thread, "hello");
    assert_eq!(claim(client), [format!("{ANA} hello")]);
    message
}

/// The same, and sent.
fn sent(client: &mut Client, external_id: &str) -> String {
    let message = claimed(client);
    client.batch_execute(&format!("select record_sent('{message}', '{external_id}')")).unwrap();
    message
}

fn callback(external_id: &str, status: &str, minutes: usize) -> String {
    format!(
        "select record_delivery_status('{external_id}', '{status}', '2026-01-01 12:00+00'::timestamptz + interval '{minutes} minutes')::text"
    )
}

fn status_of(client: &mut Client, message: &str) -> String {
    value(client, &format!("select status::text from messages where id = '{message}'"))
}

/// Every order of these, in which equal ones are told apart only by when they come.
fn orders(
    left: &mut Vec<(&'static str, usize)>,
    begun: &mut Vec<&'static str>,
    found: &mut Vec<Vec<&'static str>>,
) {
    if left.iter().all(|(_, times)| *times == 0) {
        found.push(begun.clone());
    }
    for i in 0..left.len() {
        if left[i].1 > 0 {
            left[i].1 -= 1;
            begun.push(left[i].0);
            orders(left, begun, found);
            begun.pop();
            left[i].1 += 1;
        }
    }
}

/// Sends a message and says these of it, before and after its identifier is known; `sent_after` of them come before.
fn check_order(client: &mut Client, number: usize, said: &[&str], sent_after: usize) {
    let external_id = format!("SM{number}");
    let message: String = value(
        client,
        "insert into messages (conversation_id, direction, content, status, due_at, claimed_at)
         select id, 'outbound', 'x', 'pending', now(), now() from conversations returning id::text",
    );
    let mut statements: Vec<String> = said
        .iter()
        .enumerate()
        .map(|(i, status)| {
            // The first delivery is always at the same minute, whichever of the two callbacks comes first.
            let is_second = said[..i].contains(status);
            let minute = RANKED.iter().position(|known| known == status).unwrap() * 2;
            callback(&external_id, status, minute + usize::from(is_second != (number.is_multiple_of(2))))
        })
        .collect();
    statements.insert(
        sent_after,
        format!("select record_sent('{message}', '{external_id}', '2026-01-01 11:00+00')"),
    );
    client.batch_execute(&statements.join(";")).unwrap();

    let expected = RANKED.into_iter().rfind(|status| *status == "sent" || said.contains(status)).unwrap();
    let delivered = said.iter().filter(|status| **status == "delivered").count();
    let minute = match delivered {
        0 => "null".to_owned(),
        1 => format!("{}", 8 + usize::from(number.is_multiple_of(2))),
        _ => "8".to_owned(),
    };
    let row = client
        .query_one(
            &format!(
                "select status::text,
                   delivered_at is not distinct from '2026-01-01 12:00+00'::timestamptz + interval '1 minute' * {minute},
                   sent_at = '2026-01-01 11:00+00',
                   (select count(*) from message_delivery_events where external_id = '{external_id}')
                 from messages where id = '{message}'"
            ),
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), expected, "{said:?} sent after {sent_after}");
    assert!(row.get::<_, bool>(1), "delivered_at: {said:?} sent after {sent_after}");
    assert!(row.get::<_, bool>(2), "sent_at: {said:?} sent after {sent_after}");
    assert_eq!(row.get::<_, i64>(3), i64::try_from(said.len()).unwrap(), "every callback is kept");
}

#[test]
fn callbacks_end_in_the_same_status_in_every_order_before_and_after_the_message_is_known() {
    let mut app = with_numbers().app_of("gnymble");
    conversation(&mut app, ANA);
    let mut number = 0;
    for chosen in 0..16 {
        let mut left: Vec<(&str, usize)> =
            RANKED[1..].iter().enumerate().map(|(i, status)| (*status, chosen >> i & 1)).collect();
        let mut found = Vec::new();
        orders(&mut left, &mut Vec::new(), &mut found);
        for said in found {
            for sent_after in 0..=said.len() {
                number += 1;
                check_order(&mut app, number, &said, sent_after);
            }
        }
    }
    // 24 of four at 5 places, 24 of three at 4, 12 of two at 3, 4 of one at 2, none.
    assert_eq!(number, 120 + 96 + 36 + 8 + 1);
}

#[test]
fn callbacks_that_come_twice_end_in_the_same_status_in_every_order() {
    let mut app = with_numbers().app_of("gnymble");
    conversation(&mut app, ANA);
    let mut found = Vec::new();
    orders(&mut RANKED[1..].iter().map(|status| (*status, 2)).collect(), &mut Vec::new(), &mut found);
    assert_eq!(found.len(), 2520);
    for (number, said) in found.iter().enumerate() {
        check_order(&mut app, number, said, number % 9);
    }
}

#[test]
fn what_is_delivered_has_not_failed() {
    let mut app = with_numbers().app_of("gnymble");
    let message = sent(&mut app, "SM1");
    for (status, expected) in [
        ("sent", "sent"),
        ("failed", "failed"),
        ("delivered", "delivered"),
        ("failed", "delivered"),
        ("undelivered", "delivered"),
    ] {
        assert_eq!(value::<String>(&mut app, &callback("SM1", status, 1)), expected);
        assert_eq!(status_of(&mut app, &message), expected);
    }
}

#[test]
fn a_plain_update_does_not_take_a_status_back_either() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    conversation(&mut app, ANA);
    for (known, from) in RANKED.iter().enumerate() {
        for (said, to) in RANKED.iter().enumerate() {
            let message: String = value(
                &mut app,
                &format!(
                    "insert into messages (conversation_id, direction, content, status)
                     select id, 'outbound', 'x', '{from}' from conversations returning id::text"
                ),
            );
            let update = format!("update messages set status = '{to}' where id = '{message}'");
            if said < known {
                for client in [&mut app, &mut database.superuser()] {
                    let error = error_of(client, &update);
                    assert_eq!(error.code(), &SqlState::CHECK_VIOLATION, "{from} {to}");
                    assert_eq!(
                        error.message(),
                        format!("the status of a message does not go back from {from} to {to}")
                    );
                    assert!(error.hint().is_some_and(|hint| hint.contains("record_delivery_status")));
                }
                assert_eq!(status_of(&mut app, &message), *from);
            } else {
                app.batch_execute(&update).unwrap();
                assert_eq!(status_of(&mut app, &message), *to);
            }
        }
    }
    assert_eq!(refusal(&mut app, "update messages set status = null"), SqlState::CHECK_VIOLATION);
}

#[test]
fn a_callback_of_a_message_that_is_not_known_yet_is_kept_for_the_brand_in_context() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let said: Option<String> = value(&mut app, &callback("SM1", "delivered", 7));
    assert_eq!(said, None);
    let kept: String = value(
        &mut app,
        "select concat_ws(' ', brand_id, external_id, status, occurred_at = '2026-01-01 12:07+00', recorded_at > now() - interval '1 minute')
         from message_delivery_events",
    );
    assert_eq!(kept, "gnymble SM1 delivered t t");
    let message = claimed(&mut app);
    let status: String = value(&mut app, &format!("select record_sent('{message}', 'SM1')::text"));
    assert_eq!(status, "delivered");

    let before = contents(&database);
    let mut nowhere = database.app();
    let error = error_of(&mut nowhere, &callback("SM2", "delivered", 1));
    assert_eq!(error.code().code(), "PT404");
    assert_eq!(error.message(), "no brand that you may act as has a message with the external_id \"SM2\"");
    assert_eq!(
        error.hint(),
        Some("Set the brand in context: then the callback is kept until the message is known.")
    );
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_callback_without_a_brand_in_context_finds_the_brand_of_its_message() {
    let database = with_numbers();
    let mut percymd = database.app_of("percymd");
    let message = sent(&mut percymd, "SM1");
    let mut nowhere = database.app();
    assert_eq!(value::<String>(&mut nowhere, &callback("SM1", "delivered", 1)), "delivered");
    assert_eq!(value::<Option<String>>(&mut nowhere, "select percytech.current_brand()"), None);
    assert_eq!(status_of(&mut percymd, &message), "delivered");
    // In another brand's context it is that brand's, which has no such message.
    let mut gnymble = database.app_of("gnymble");
    assert_eq!(value::<Option<String>>(&mut gnymble, &callback("SM1", "delivered", 2)), None);
    assert_eq!(
        value::<Option<String>>(&mut gnymble, "select percytech.current_brand()").as_deref(),
        Some("gnymble")
    );
    let brands: Vec<String> = values(
        &mut database.superuser(),
        "select brand_id::text from message_delivery_events order by occurred_at",
    );
    assert_eq!(brands, ["percymd", "gnymble"]);
}

#[test]
fn what_is_no_callback_is_refused() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    sent(&mut app, "SM1");
    let before = contents(&database);
    for arguments in [
        "null, 'sent', now()",
        "'', 'sent', now()",
        "repeat('x', 256), 'sent', now()",
        "'SM1', null, now()",
        "'SM1', 'sent', null",
        "'SM1', 'sent', 'infinity'",
        "'SM1', 'sent', '-infinity'",
        "'SM1', 'sent', now(), repeat('x', 64)",
    ] {
        let error = error_of(&mut app, &format!("select record_delivery_status({arguments})"));
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{arguments}");
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
    app.batch_execute("select record_delivery_status('SM1', 'sent', now(), '')").unwrap();
    assert_eq!(value::<Option<String>>(&mut app, "select error_code from message_delivery_events"), None);
}

#[test]
fn a_message_is_sent_once_after_it_was_claimed() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let message = claimed(&mut app);
    let send = |id: &str, external_id: &str| format!("select record_sent('{id}', {external_id})::text");
    let status: String =
        value(&mut app, &format!("select record_sent('{message}', 'SM1', now() + interval '1 year')::text"));
    assert_eq!(status, "sent");
    let noted: bool = value(
        &mut app,
        "select external_id = 'SM1' and status = 'sent' and sent_at <= clock_timestamp() and sent_at >= claimed_at from messages",
    );
    assert!(noted, "not in the future");

    let other: String = value(&mut app, "select (queue_message(id, 'another')).id::text from conversations");
    app.batch_execute("select claim_outbound()").unwrap();
    let unclaimed: String =
        value(&mut app, "select (queue_message(id, 'waits')).id::text from conversations");
    text(&mut app, BEN, "hello");
    let inbound: String = value(&mut app, "select id::text from messages where direction = 'inbound'");
    let before = contents(&database);
    let again: String = value(&mut app, &send(&message, "'SM1'"));
    assert_eq!(again, "sent", "the same again is the same");
    for (id, external_id, code, words) in [
        (message.as_str(), "'SM2'", "PT409", "the message was sent as \"SM1\""),
        (&unclaimed, "'SM2'", "PT409", "the message was not claimed"),
        (&other, "'SM1'", "PT409", "another message was sent as \"SM1\""),
        (&inbound, "'SM2'", "PT404", "there is no outbound message ID"),
        ("00000000-0000-0000-0000-000000000000", "'SM2'", "PT404", "there is no outbound message ID"),
        (&message, "null", "22023", "an external_id has 1 to 255 characters"),
        (&message, "''", "22023", "an external_id has 1 to 255 characters"),
        (&message, "repeat('x', 256)", "22023", "an external_id has 1 to 255 characters"),
        (&message, "'SM1', 'infinity'", "22023", "no message is sent at infinity"),
        (&message, "'SM1', null", "22023", "no message is sent at NULL"),
    ] {
        let error = error_of(&mut app, &send(id, external_id));
        assert_eq!((error.code().code(), error.message().replace(id, "ID").as_str()), (code, words));
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_message_counts_from_when_it_was_sent() {
    let mut app = with_numbers().app_of("gnymble");
    let message = claimed(&mut app);
    let count = "select message_count from conversations";
    assert_eq!(value::<i32>(&mut app, count), 0, "it may not be sent yet");
    app.batch_execute(&format!("select record_sent('{message}', 'SM1')")).unwrap();
    assert_eq!(value::<i32>(&mut app, count), 1);
    let at: bool = value(
        &mut app,
        "select last_outbound_at = sent_at and last_message_at = sent_at and last_inbound_at is null from conversations, messages",
    );
    assert!(at);
}

#[test]
fn a_providers_block_is_an_opt_out_without_a_confirmation() {
    for code in ["21610", "40300", " 21610 "] {
        let mut app = with_numbers().app_of("gnymble");
        let message = sent(&mut app, "SM1");
        app.batch_execute("select record_delivery_status('SM1', 'failed', now(), '30003')").unwrap();
        assert_eq!(sendable(&mut app, ANA), "allowed", "unreachable is not opted out");
        let thread: String = value(&mut app, "select id::text from conversations");
        queue(&mut app, &thread, "more");
        let status: String = value(
            &mut app,
            &format!("select record_delivery_status('SM1', 'undelivered', now(), '{code}')::text"),
        );
        assert_eq!(status, "undelivered");
        assert_eq!(sendable(&mut app, ANA), "opted_out", "{code:?}");
        let told: bool = value(
            &mut app,
            &format!(
                "select source = 'provider' and outcome = 'applied' and scope = 'brand' and message_id = '{message}'
                   and conversation_id = '{thread}' and customer_id is not null and rule is null and reply is null
                   and reason like '%{}%' from consent_events",
                code.trim()
            ),
        );
        assert!(told);
        assert_eq!(claim(&mut app), [] as [String; 0]);
        let status: String = value(&mut app, "select status::text from conversations");
        assert_eq!(status, "archived");
        app.batch_execute(&format!("select record_delivery_status('SM1', 'failed', now(), '{code}')"))
            .unwrap();
        assert_eq!(events_of(&mut app, ANA), ["opt_out applied"], "a message is refused once");
    }
}

#[test]
fn a_providers_block_is_of_the_number_that_was_written_to() {
    let mut app = with_numbers().app_of("gnymble");
    sent(&mut app, "SM1");
    app.batch_execute(&format!("update conversations set customer_phone = '{BEN}'")).unwrap();
    app.batch_execute("select record_delivery_status('SM1', 'failed', now(), '21610')").unwrap();
    assert_eq!((sendable(&mut app, ANA), sendable(&mut app, BEN)), ("opted_out".into(), "allowed".into()));
}

#[test]
fn a_providers_block_from_before_a_start_does_not_undo_it() {
    let mut app = with_numbers().app_of("gnymble");
    sent(&mut app, "SM1");
    let block = "select record_delivery_status('SM1', 'failed', now() - interval '10 minutes', '21610')";
    app.batch_execute(block).unwrap();
    text(&mut app, ANA, "START");
    assert_eq!(sendable(&mut app, ANA), "allowed");
    app.batch_execute(block).unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed");
    assert_eq!(events_of(&mut app, ANA), ["opt_out applied", "opt_in applied"]);
    claim(&mut app);
    sent(&mut app, "SM2");
    app.batch_execute("select record_delivery_status('SM2', 'failed', clock_timestamp(), '21610')").unwrap();
    assert_eq!(sendable(&mut app, ANA), "opted_out", "blocked again since");
}

#[test]
fn a_providers_block_that_comes_before_the_message_is_known_opts_out_when_it_is() {
    let mut app = with_numbers().app_of("gnymble");
    let message = claimed(&mut app);
    app.batch_execute("select record_delivery_status('SM1', 'failed', now(), '40300')").unwrap();
    app.batch_execute(&format!("select record_sent('{message}', 'SM1')")).unwrap();
    assert_eq!(status_of(&mut app, &message), "failed");
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    assert_eq!(events_of(&mut app, ANA), ["opt_out applied"]);
}

#[test]
fn a_callback_of_a_message_that_came_in_changes_nothing_of_it() {
    let mut app = with_numbers().app_of("gnymble");
    text(&mut app, ANA, "hello");
    app.batch_execute("update messages set external_id = 'SM1'").unwrap();
    let row = "select row_to_json(m)::text from messages as m";
    let before: String = value(&mut app, row);
    app.batch_execute("select record_delivery_status('SM1', 'failed', now(), '21610')").unwrap();
    assert_eq!(value::<String>(&mut app, row), before);
    assert_eq!(sendable(&mut app, ANA), "allowed");
}

#[test]
fn a_block_that_is_reported_twice_does_not_end_an_opt_in_of_between() {
    let mut app = with_numbers().app_of("gnymble");
    sent(&mut app, "SM1");
    let blocked = "select record_delivery_status('SM1', 'failed', '2026-01-01 12:00+00', '21610')";
    app.batch_execute(blocked).unwrap();
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'in the shop')")).unwrap();
    app.batch_execute(blocked).unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed");
    app.batch_execute("select record_delivery_status('SM1', 'failed', now(), '21610')").unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed", "at whatever time");
    sent(&mut app, "SM2");
    app.batch_execute("select record_delivery_status('SM2', 'failed', now(), '21610')").unwrap();
    assert_eq!(sendable(&mut app, ANA), "opted_out", "another message is another block");
}

#[test]
fn a_refusal_that_is_recorded_twice_does_not_end_an_opt_in_of_between() {
    let mut app = with_numbers().app_of("gnymble");
    let message = claimed(&mut app);
    let refused = format!("select record_failed('{message}', '21610')");
    app.batch_execute(&refused).unwrap();
    assert_eq!(
        (status_of(&mut app, &message), sendable(&mut app, ANA)),
        ("failed".into(), "opted_out".into())
    );
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'in the shop'); {refused}")).unwrap();
    assert_eq!(sendable(&mut app, ANA), "allowed");
}
