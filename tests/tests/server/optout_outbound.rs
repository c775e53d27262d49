//! What goes out: each message once, in order, and none that may not.

use std::collections::BTreeSet;

use percytech_tests::{changed, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::journey::error_of;
use crate::optout::{
    ANA, BEN, changes, claim, contents, conversation, queue, sender_of, text, text_at, with_numbers, words,
};

/// Puts a message in the queue by plain SQL, and returns its id.
fn insert_queued(client: &mut Client, conversation: &str, content: &str, due: &str) -> String {
    value(
        client,
        &format!(
            "insert into messages (conversation_id, direction, content, status, due_at)
             values ('{conversation}', 'outbound', '{content}', 'pending', {due}) returning id::text"
        ),
    )
}

/// How a message stands: its status, whether it was claimed, and why it was cancelled.
fn state_of(client: &mut Client, message: &str) -> String {
    value(
        client,
        &format!(
            "select concat_ws(' ', status, case when claimed_at is null then 'unclaimed' else 'claimed' end, cancel_reason)
             from messages where id = '{message}'"
        ),
    )
}

#[test]
fn a_message_is_queued_claimed_and_given_to_a_worker_with_all_that_it_takes_to_send_it() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, "(415) 555-2671");
    let queued: bool = value(
        &mut app,
        &format!(
            "select conversation_id = '{thread}' and direction = 'outbound' and content = 'hello' and status = 'pending'
               and kind = 'message' and due_at = now() and claimed_at is null and cancelled_at is null
               and media_urls = '{{https://example.com/a.jpg}}' and metadata = '{{\"a\": 1}}' and brand_id = 'gnymble'
             from queue_message('{thread}', 'hello', '{{https://example.com/a.jpg}}', metadata => '{{\"a\": 1}}')"
        ),
    );
    assert!(queued);
    let row = app
        .query_one(
            "select conversation_id::text, kind, from_phone, to_phone, content, array_to_string(media_urls, ' '), metadata::text
             from claim_outbound(10, 'worker 7')",
            &[],
        )
        .unwrap();
    let given: Vec<&str> = (0..7).map(|column| row.get(column)).collect();
    let from = sender_of("gnymble");
    assert_eq!(given, [&thread, "message", from, ANA, "hello", "https://example.com/a.jpg", "{\"a\": 1}"]);
    let noted: bool = value(
        &mut app,
        "select claimed_by = 'worker 7' and claimed_at > created_at and status = 'pending' from messages",
    );
    assert!(noted);
    queue(&mut app, &thread, "more");
    for (worker, expected) in [("null", "test_app"), ("''", "test_app")] {
        app.batch_execute("update messages set claimed_at = null, claimed_by = null").unwrap();
        app.batch_execute(&format!("select claim_outbound(1, {worker})")).unwrap();
        let by: String = value(&mut app, "select claimed_by from messages where claimed_at is not null");
        assert_eq!(by, expected);
    }
}

#[test]
fn messages_are_given_out_in_the_order_in_which_they_are_due_each_once_and_no_more_than_asked_for() {
    let mut app = with_numbers().app_of("gnymble");
    let threads: Vec<String> =
        (0..3).map(|number| conversation(&mut app, &format!("+1415555000{number}"))).collect();
    for place in [3_usize, 0, 6, 2, 5, 1, 4] {
        let due = format!("now() - interval '1 hour' + interval '{place} minutes'");
        app.batch_execute(&format!(
            "select queue_message('{}', 'message {place}', due_at => {due})",
            threads[place % 3]
        ))
        .unwrap();
    }
    let claim = |app: &mut Client, batch: i32| -> Vec<String> {
        values(app, &format!("select content from claim_outbound({batch})"))
    };
    assert_eq!(claim(&mut app, 2), ["message 0", "message 1"]);
    assert_eq!(claim(&mut app, 1), ["message 2"]);
    assert_eq!(claim(&mut app, 100), ["message 3", "message 4", "message 5", "message 6"]);
    assert_eq!(claim(&mut app, 10_000), [] as [String; 0]);
    for batch in ["0", "-1", "10001", "null"] {
        let error = error_of(&mut app, &format!("select claim_outbound({batch})"));
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(error.message(), "a batch is of 1 to 10000 messages");
        assert_eq!(
            error.detail(),
            Some(format!("This one is of {}.", batch.replace("null", "NULL")).as_str())
        );
    }
}

#[test]
fn a_batch_is_full_though_some_that_are_due_first_may_not_be_sent() {
    let mut app = with_numbers().app_of("gnymble");
    let (out, other) = (conversation(&mut app, ANA), conversation(&mut app, BEN));
    app.batch_execute(&format!("select process_opt_out('{ANA}', 'r')")).unwrap();
    for number in 0..5 {
        insert_queued(
            &mut app,
            &out,
            "no",
            &format!("now() - interval '2 hours' + interval '{number} minutes'"),
        );
        insert_queued(
            &mut app,
            &other,
            &format!("yes {number}"),
            &format!("now() - interval '1 hour' + interval '{number} minutes'"),
        );
    }
    let given: Vec<String> = values(&mut app, "select content from claim_outbound(3)");
    assert_eq!(given, ["yes 0", "yes 1", "yes 2"]);
    assert_eq!(claim(&mut app), [format!("{BEN} yes 3"), format!("{BEN} yes 4")]);
    let cancelled = "select count(*) from messages where cancel_reason = 'opted_out' and status = 'failed' and claimed_at is null";
    assert_eq!(value::<i64>(&mut app, cancelled), 5);
}

#[test]
fn many_messages_are_each_given_out_once() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at)
         select '{thread}', 'outbound', n::text, 'pending', now() from generate_series(1, 500) as n"
    ))
    .unwrap();
    let mut given = BTreeSet::new();
    loop {
        let batch: Vec<String> = values(&mut app, "select message_id::text from claim_outbound(37)");
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() == 37 || given.len() + batch.len() == 500);
        for id in batch {
            assert!(given.insert(id), "twice");
        }
    }
    assert_eq!(given.len(), 500);
}

#[test]
fn a_message_waits_until_it_is_due_and_while_its_conversation_is_not_active() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "select queue_message('{thread}', 'later', due_at => now() + interval '1 hour')"
    ))
    .unwrap();
    assert_eq!(claim(&mut app), [] as [String; 0]);
    queue(&mut app, &thread, "now");
    for status in ["paused", "completed", "archived"] {
        app.batch_execute(&format!("update conversations set status = '{status}'")).unwrap();
        assert_eq!(claim(&mut app), [] as [String; 0], "{status}");
        let soon = "select due_at <= now() + interval '10 minutes' from messages where content = 'now'";
        assert!(value::<bool>(&mut app, soon), "it is looked at again in a while");
        app.batch_execute("update messages set due_at = now() where content = 'now'").unwrap();
    }
    app.batch_execute("update conversations set status = 'active'").unwrap();
    assert_eq!(claim(&mut app), [format!("{ANA} now")]);
    app.batch_execute("update messages set due_at = now() where content = 'later'").unwrap();
    assert_eq!(claim(&mut app), [format!("{ANA} later")]);
}

#[test]
fn a_reply_is_not_held_back_by_a_pause() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute("update conversations set status = 'paused'").unwrap();
    queue(&mut app, &thread, "held back");
    text(&mut app, ANA, "HELP");
    let help = words(&mut app, "help", "en");
    assert_eq!(claim(&mut app), [format!("{ANA} {help}")]);
    text(&mut app, ANA, "STOP");
    let confirmation = words(&mut app, "opt_out", "en");
    assert_eq!(claim(&mut app), [format!("{ANA} {confirmation}")]);
}

#[test]
fn a_message_that_has_no_number_is_cancelled() {
    let mut app = with_numbers().app_of("gnymble");
    let (thread, fine) = (conversation(&mut app, ANA), conversation(&mut app, BEN));
    let lost = queue(&mut app, &thread, "whereto");
    queue(&mut app, &fine, "there");
    app.batch_execute(&format!("update conversations set customer_phone = 'unknown' where id = '{thread}'"))
        .unwrap();
    assert_eq!(claim(&mut app), [format!("{BEN} there")]);
    assert_eq!(state_of(&mut app, &lost), "failed unclaimed invalid_number");
    let error = error_of(&mut app, &format!("select queue_message('{thread}', 'x')"));
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "the conversation's \"unknown\" is no telephone number");
}

#[test]
fn what_is_no_message_is_not_queued() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    let before = contents(&database);
    for (arguments, message) in [
        (format!("'{thread}', ''"), "the message is empty"),
        (format!("'{thread}', null"), "the message is empty"),
        (format!("'{thread}', null, '{{}}'"), "the message is empty"),
        (format!("'{thread}', 'x', due_at => 'infinity'"), "no message is due at infinity"),
        (format!("'{thread}', 'x', due_at => '-infinity'"), "no message is due at -infinity"),
    ] {
        let error = error_of(&mut app, &format!("select queue_message({arguments})"));
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{arguments}");
        assert_eq!(error.message(), message);
        assert!(error.hint().is_some());
    }
    for id in ["null", "'00000000-0000-0000-0000-000000000000'"] {
        let error = error_of(&mut app, &format!("select queue_message({id}, 'x')"));
        assert_eq!(error.code().code(), "PT404");
        let shown = id.replace('\'', "").replace("null", "NULL");
        assert_eq!(error.message(), format!("there is no conversation {shown}"));
        assert_eq!(error.hint(), Some("Look for the conversation in the brand that is in context."));
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
    let media = format!(
        "select content from queue_message('{thread}', null, '{{https://example.com/a.jpg}}', due_at => null)"
    );
    assert_eq!(value::<String>(&mut app, &media), "");
    assert_eq!(claim(&mut app).len(), 1, "due now");
}

#[test]
fn an_opt_out_cancels_what_is_queued_and_nothing_is_queued_after_it() {
    let mut app = with_numbers().app_of("gnymble");
    let (thread, other) = (conversation(&mut app, ANA), conversation(&mut app, BEN));
    let second = conversation(&mut app, "(415) 555-2671");
    let mine = [queue(&mut app, &thread, "one"), queue(&mut app, &second, "two")];
    let scheduled: String = value(
        &mut app,
        &format!(
            "select id::text from queue_message('{thread}', 'three', due_at => now() + interval '1 day')"
        ),
    );
    let others = queue(&mut app, &other, "four");
    text(&mut app, ANA, "STOP");
    for message in mine.iter().chain([&scheduled]) {
        assert_eq!(state_of(&mut app, message), "failed unclaimed opted_out");
    }
    assert_eq!(state_of(&mut app, &others), "pending unclaimed");
    for thread in [&thread, &second] {
        let error = error_of(&mut app, &format!("select queue_message('{thread}', 'x')"));
        assert_eq!(error.code().code(), "PT409");
        assert_eq!(error.message(), "the number has opted out");
        assert_eq!(error.hint(), Some("It may be written to when it has opted in again: see opt_outs."));
    }
    // What is claimed is on its way.
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'r')")).unwrap();
    let claimed = queue(&mut app, &thread, "five");
    claim(&mut app);
    app.batch_execute(&format!("select process_opt_out('{ANA}', 'r')")).unwrap();
    assert_eq!(state_of(&mut app, &claimed), "pending claimed");
    text(&mut app, ANA, "START");
    assert_eq!(state_of(&mut app, &mine[0]), "failed unclaimed opted_out", "what was cancelled stays so");
}

#[test]
fn messages_that_plain_sql_queues_after_an_opt_out_are_cancelled_at_the_claim() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    text(&mut app, ANA, "STOP");
    claim(&mut app);
    // In the conversation as it is, made active again, and in a new one that is active.
    let mut queued = vec![insert_queued(&mut app, &thread, "one", "now()")];
    app.batch_execute("update conversations set status = 'active', opted_out_at = null").unwrap();
    queued.push(insert_queued(&mut app, &thread, "two", "now()"));
    let another: String = value(
        &mut app,
        &format!(
            "insert into conversations (customer_phone, brand_phone) values ('{ANA}', '+12125550199') returning id::text"
        ),
    );
    queued.push(insert_queued(&mut app, &another, "three", "now()"));
    assert_eq!(claim(&mut app), [] as [String; 0]);
    for message in queued {
        assert_eq!(state_of(&mut app, &message), "failed unclaimed opted_out");
    }
}

#[test]
fn the_confirmation_passes_once_within_five_minutes_of_the_opt_out() {
    for (seconds, wait) in [(0, 0), (4 * 60 + 30, 0), (4 * 60 + 57, 4)] {
        let mut app = with_numbers().app_of("gnymble");
        let stop = text_at(&mut app, ANA, "STOP", &format!("now() - interval '{seconds} seconds'"));
        let confirmation: String = value(
            &mut app,
            "select confirmation_message_id::text from opt_outs where confirmation_claimed_at is null",
        );
        app.batch_execute(&format!("select pg_sleep({wait})")).unwrap();
        let passes = wait == 0;
        let sent = format!("{ANA} {}", stop["reply"].as_str().unwrap());
        assert_eq!(claim(&mut app), if passes { vec![sent] } else { vec![] }, "{seconds} seconds");
        let state = if passes { "pending claimed" } else { "failed unclaimed expired" };
        assert_eq!(state_of(&mut app, &confirmation), state, "{seconds} seconds");
        let noted: bool = value(&mut app, "select confirmation_claimed_at is not null from opt_outs");
        assert_eq!(noted, passes);
        assert_eq!(claim(&mut app), [] as [String; 0]);
    }
}

#[test]
fn a_confirmation_that_is_late_stays_late_though_the_number_opts_out_again() {
    let mut app = with_numbers().app_of("gnymble");
    text_at(&mut app, ANA, "STOP", "now() - interval '4 minutes 58 seconds'");
    app.batch_execute(&format!("select pg_sleep(3); select process_opt_out('{ANA}', 'called')")).unwrap();
    text(&mut app, ANA, "STOP");
    assert_eq!(claim(&mut app), [] as [String; 0]);
}

#[test]
fn an_opt_out_that_is_known_too_late_to_be_confirmed_is_honoured_without() {
    for seconds in [5 * 60 + 1, 6 * 60, 86_400] {
        let mut app = with_numbers().app_of("gnymble");
        let stop = text_at(&mut app, ANA, "STOP", &format!("now() - interval '{seconds} seconds'"));
        assert_eq!(stop["intent"], "opt_out");
        assert_eq!(claim(&mut app), [] as [String; 0], "{seconds} seconds");
        let can: String = value(&mut app, &format!("select reason from can_send('{ANA}')"));
        assert_eq!(can, "opted_out");
        let claimed: i64 = value(
            &mut app,
            "select count(*) from messages where direction = 'outbound' and claimed_at is not null",
        );
        assert_eq!(claimed, 0);
    }
}

#[test]
fn a_start_before_the_confirmation_is_claimed_takes_it_back() {
    let mut app = with_numbers().app_of("gnymble");
    text(&mut app, ANA, "STOP");
    let confirmation: String = value(&mut app, "select confirmation_message_id::text from opt_outs");
    let start = text(&mut app, ANA, "START");
    assert_eq!(state_of(&mut app, &confirmation), "failed unclaimed opted_in");
    assert_eq!(claim(&mut app), [format!("{ANA} {}", start["reply"].as_str().unwrap())]);
    // And the other way round: what welcomed is not said to who is out again.
    text(&mut app, ANA, "STOP");
    text(&mut app, ANA, "START");
    let stop = text(&mut app, ANA, "STOP");
    assert_eq!(claim(&mut app), [format!("{ANA} {}", stop["reply"].as_str().unwrap())]);
}

#[test]
fn a_call_for_help_that_was_not_answered_yet_is_not_answered_after_an_opt_out() {
    let mut app = with_numbers().app_of("gnymble");
    text(&mut app, ANA, "HELP");
    let stop = text(&mut app, ANA, "STOP");
    assert_eq!(claim(&mut app), [format!("{ANA} {}", stop["reply"].as_str().unwrap())]);
}

#[test]
fn a_brand_claims_its_own_messages_only() {
    let database = with_numbers();
    let mut gnymble = database.app_of("gnymble");
    let thread = conversation(&mut gnymble, ANA);
    queue(&mut gnymble, &thread, "from gnymble");
    let mut percymd = database.app_of("percymd");
    assert_eq!(claim(&mut percymd), [] as [String; 0]);
    let theirs = conversation(&mut percymd, ANA);
    queue(&mut percymd, &theirs, "from percymd");
    text(&mut gnymble, ANA, "STOP");
    assert_eq!(
        claim(&mut percymd),
        [format!("{ANA} from percymd")],
        "who opted out of one is not out of the other"
    );
}

#[test]
fn what_was_never_in_the_queue_is_not_claimed() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at) values
           ('{thread}', 'outbound', 'sent', 'sent', now()), ('{thread}', 'outbound', 'no due', 'pending', null)"
    ))
    .unwrap();
    assert_eq!(claim(&mut app), [] as [String; 0]);
    let inbound = format!(
        "insert into messages (conversation_id, direction, content, due_at) values ('{thread}', 'inbound', 'x', now())"
    );
    assert_eq!(refusal(&mut app, &inbound), SqlState::CHECK_VIOLATION);
    assert_eq!(changed(&mut app, "update messages set due_at = now() where content = 'no due'"), 1);
    assert_eq!(claim(&mut app), [format!("{ANA} no due")]);
}

#[test]
fn a_confirmation_does_not_wait_behind_a_campaign() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let other = conversation(&mut app, BEN);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at)
         select '{other}', 'outbound', 'offer ' || n, 'pending', now() - interval '1 hour' from generate_series(1, 500) as n"
    ))
    .unwrap();
    text(&mut app, ANA, "STOP");
    let confirmation = words(&mut app, "opt_out", "en");
    let first: String = value(&mut app, "select content from claim_outbound(1)");
    assert_eq!(first, confirmation);
}

#[test]
fn who_is_opting_out_right_now_does_not_hold_up_the_others() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let (busy, free) = (conversation(&mut app, ANA), conversation(&mut app, BEN));
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at)
         select '{busy}', 'outbound', 'offer', 'pending', now() - interval '1 hour' from generate_series(1, 100)"
    ))
    .unwrap();
    queue(&mut app, &free, "to somebody else");
    let mut opting_out = database.app_of("gnymble");
    opting_out.batch_execute(&format!("begin; select process_opt_out('{ANA}', 'called')")).unwrap();
    let claimed: Vec<String> = values(&mut app, "select content from claim_outbound(5)");
    assert_eq!(claimed, ["to somebody else"]);
    opting_out.batch_execute("commit").unwrap();
}

#[test]
fn what_was_due_since_ever_is_claimed_whatever_its_id() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (id, conversation_id, direction, content, status, due_at)
         values ('00000000-0000-0000-0000-000000000000', '{thread}', 'outbound', 'hello', 'pending', '-infinity')"
    ))
    .unwrap();
    assert_eq!(claim(&mut app), [format!("{ANA} hello")]);
}

#[test]
fn a_batch_that_is_looked_at_in_several_parts_is_claimed_whole_and_in_order() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, due_at)
         select '{thread}', 'outbound', number::text, 'pending', now() - interval '1 day' + number * interval '1 second'
         from generate_series(1, 1203) as number"
    ))
    .unwrap();
    let expected: Vec<String> = (1..=1203).map(|number| number.to_string()).collect();
    let claimed: Vec<String> = values(&mut app, "select content from claim_outbound(1203, 'w')");
    assert_eq!(claimed, expected);
    assert_eq!(claim(&mut app), [] as [String; 0]);
}
