//! What an opt-out ends, by the brand's policy and by what was asked for; and what holds when messages come late.

use percytech_tests::{TestDatabase, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::journey::error_of;
use crate::optout::{
    ANA, BEN, answer, changes, claim, contents, conversation, events_of, queue, sendable, sender_of, text,
    text_at, with_numbers, words,
};

const SUMMER: &str = "00000000-0000-0000-0000-00000000000a";
const WINTER: &str = "00000000-0000-0000-0000-00000000000b";

/// Another number of gnymble's.
const ELSEWHERE: &str = "+12125550199";

/// A conversation of gnymble's with Ana in a campaign, from a number of the campaign's own.
fn in_campaign(client: &mut Client, campaign: &str, from: &str) -> String {
    value(
        client,
        &format!(
            "insert into conversations (customer_phone, brand_phone, campaign_id)
             values ('{ANA}', '{from}', '{campaign}') returning id::text"
        ),
    )
}

/// A conversation with Ana from gnymble's number in the one campaign, and one from another number in the other.
fn two_campaigns() -> (TestDatabase, Client, String, String) {
    let database = with_numbers();
    database
        .superuser()
        .batch_execute(&format!(
            "insert into brand_phone_numbers (brand_id, phone) values ('gnymble', '{ELSEWHERE}')"
        ))
        .unwrap();
    let mut app = database.app_of("gnymble");
    let summer = in_campaign(&mut app, SUMMER, sender_of("gnymble"));
    let winter = in_campaign(&mut app, WINTER, ELSEWHERE);
    (database, app, summer, winter)
}

/// Writes down gnymble's policies: since when, and the scope.
fn decide(database: &TestDatabase, policies: &[(&str, &str)]) {
    for (from, scope) in policies {
        let insert = format!(
            "insert into opt_out_policies (brand_id, effective_from, scope, source)
             values ('gnymble', {from}, '{scope}', 'test')"
        );
        database.superuser().batch_execute(&insert).unwrap();
    }
}

fn sendable_in(client: &mut Client, campaign: &str) -> String {
    let select =
        format!("select coalesce(reason, 'allowed') from can_send('{ANA}', campaign_id => '{campaign}')");
    value(client, &select)
}

fn scopes(client: &mut Client) -> Vec<String> {
    values(client, "select concat_ws(' ', scope, right(campaign_id::text, 1)) from opt_outs order by 1")
}

fn statuses(client: &mut Client) -> Vec<String> {
    values(
        client,
        "select concat_ws(' ', right(campaign_id::text, 1), status, (opted_out_at is not null)::text)
         from conversations order by campaign_id",
    )
}

#[test]
fn a_stop_ends_everything_of_the_brand_to_begin_with() {
    let (_database, mut app, ..) = two_campaigns();
    text(&mut app, ANA, "STOP");
    assert_eq!(scopes(&mut app), ["brand"]);
    assert_eq!(statuses(&mut app), ["a archived true", "b archived true"]);
    for campaign in [SUMMER, WINTER] {
        assert_eq!(sendable_in(&mut app, campaign), "opted_out");
    }
}

#[test]
fn a_stop_ends_the_campaign_that_it_answers_where_the_policy_says_so() {
    let (database, mut app, summer, winter) = two_campaigns();
    decide(&database, &[("now() - interval '1 hour'", "campaign")]);
    let (wanted, unwanted) = (queue(&mut app, &winter, "winter"), queue(&mut app, &summer, "summer"));
    let confirmation = words(&mut app, "opt_out", "en");
    assert_eq!(text(&mut app, ANA, "STOP")["reply"], json!(confirmation));
    assert_eq!(scopes(&mut app), ["campaign a"]);
    assert_eq!(statuses(&mut app), ["a archived true", "b active false"]);
    assert_eq!(sendable_in(&mut app, SUMMER), "opted_out");
    assert_eq!(sendable_in(&mut app, WINTER), "allowed");
    let event: String = value(&mut app, "select concat_ws(' ', scope, campaign_id) from consent_events");
    assert_eq!(event, format!("campaign {SUMMER}"));
    assert_eq!(
        error_of(&mut app, &format!("select queue_message('{summer}', 'x')")).message(),
        "the number has opted out"
    );
    assert_eq!(claim(&mut app), [format!("{ANA} {confirmation}"), format!("{ANA} winter")]);
    let cancelled: Vec<String> =
        values(&mut app, "select id::text from messages where cancel_reason = 'opted_out'");
    assert_eq!(cancelled, [unwanted]);
    assert_ne!(cancelled, [wanted]);

    // The rest of the brand is opted out of besides; in again is in for all.
    app.batch_execute(&format!("select process_opt_out('{ANA}', 'all of it')")).unwrap();
    assert_eq!(scopes(&mut app), ["brand", "campaign a"]);
    assert_eq!(sendable_in(&mut app, WINTER), "opted_out");
    text(&mut app, ANA, "START");
    assert_eq!(scopes(&mut app), [] as [String; 0]);
    assert_eq!(statuses(&mut app), ["a active false", "b active false"]);
}

#[test]
fn a_stop_that_answers_no_campaign_ends_everything_whatever_the_policy() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    database.superuser().batch_execute("update opt_out_policies set scope = 'campaign'").unwrap();
    conversation(&mut app, ANA);
    for number in [ANA, BEN] {
        text(&mut app, number, "STOP");
        assert_eq!(sendable(&mut app, number), "opted_out");
    }
    assert_eq!(scopes(&mut app), ["brand", "brand"]);
}

#[test]
fn the_policy_that_was_in_force_when_it_was_said_decides() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    decide(
        &database,
        &[
            ("now() - interval '3 hours'", "campaign"),
            ("now() - interval '1 hour'", "brand"),
            ("now() + interval '1 hour'", "campaign"),
        ],
    );
    for (number, hours, scope) in [(1, 4, "brand"), (2, 2, "campaign"), (3, 0, "brand")] {
        let from = format!("+1415555000{number}");
        app.batch_execute(&format!(
            "insert into conversations (customer_phone, brand_phone, campaign_id) values ('{from}', '{}', '{SUMMER}')",
            sender_of("gnymble")
        ))
        .unwrap();
        text_at(&mut app, &from, "STOP", &format!("now() - interval '{hours} hours'"));
        let decided: String =
            value(&mut app, &format!("select scope from consent_events where phone = '{from}'"));
        assert_eq!(decided, scope, "{hours} hours ago");
    }
    database.superuser().batch_execute("delete from opt_out_policies").unwrap();
    in_campaign(&mut app, SUMMER, sender_of("gnymble"));
    text(&mut app, ANA, "STOP");
    let decided: String = value(&mut app, &format!("select scope from consent_events where phone = '{ANA}'"));
    assert_eq!(decided, "brand", "without a policy");
}

#[test]
fn an_opt_out_of_a_campaign_by_other_means_is_of_the_only_one_or_of_the_one_that_is_said() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let unclear = format!("select process_opt_out('{ANA}', 'called', 'phone', 'campaign')");
    let error = error_of(&mut app, &unclear);
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "it is not clear which campaign is opted out of");
    assert_eq!(error.detail(), Some("The conversations of the number are of 0 campaigns."));
    assert_eq!(error.hint(), Some("Say campaign_id, or opt out of the whole brand."));

    in_campaign(&mut app, SUMMER, sender_of("gnymble"));
    let campaign: String = value(&mut app, &unclear.replace("process", "campaign_id::text from process"));
    assert_eq!(campaign, SUMMER);
    assert_eq!(
        (sendable_in(&mut app, SUMMER), sendable_in(&mut app, WINTER)),
        ("opted_out".into(), "allowed".into())
    );

    in_campaign(&mut app, WINTER, ELSEWHERE);
    let error = error_of(&mut app, &unclear);
    assert_eq!(error.detail(), Some("The conversations of the number are of 2 campaigns."));
    app.batch_execute(&unclear.replace("'campaign')", &format!("'campaign', '{WINTER}')"))).unwrap();
    assert_eq!(scopes(&mut app), ["campaign a", "campaign b"]);
    assert_eq!(sendable(&mut app, ANA), "allowed", "for what is of no campaign");

    for arguments in [
        format!("'{ANA}', 'r', 'phone', 'everything'"),
        format!("'{ANA}', 'r', 'phone', null"),
        format!("'{ANA}', 'r', 'phone', 'brand', '{SUMMER}'"),
        "'12', 'r'".to_owned(),
        "null, 'r'".to_owned(),
    ] {
        let before = contents(&database);
        let refused = refusal(&mut app, &format!("select process_opt_out({arguments})"));
        assert_eq!(refused, SqlState::INVALID_PARAMETER_VALUE, "{arguments}");
        assert_eq!(changes(&database, &before), [] as [String; 0], "{arguments}");
    }
}

#[test]
fn an_opt_out_of_the_brand_holds_for_its_campaigns() {
    let (_database, mut app, ..) = two_campaigns();
    text(&mut app, ANA, "STOP");
    let event = format!("select outcome from process_opt_out('{ANA}', 'r', 'phone', 'campaign', '{SUMMER}')");
    assert_eq!(value::<String>(&mut app, &event), "repeated");
    assert_eq!(scopes(&mut app), ["brand"]);
}

/// What a number has said, as kind and minutes ago in the order of arrival, and whether it may be written to then.
fn after(said: &[(&str, i32)]) -> (String, Vec<String>) {
    let mut app = with_numbers().app_of("gnymble");
    conversation(&mut app, ANA);
    for (body, minutes) in said {
        text_at(&mut app, ANA, body, &format!("now() - interval '{minutes} minutes'"));
    }
    let status: String =
        value(&mut app, "select concat_ws(' ', status, (opted_out_at is not null)::text) from conversations");
    let state = sendable(&mut app, ANA);
    let expected = if state == "allowed" { "active false" } else { "archived true" };
    assert_eq!(status, expected, "the conversation follows: {said:?}");
    (state, events_of(&mut app, ANA))
}

#[test]
fn a_stop_that_comes_later_than_the_start_that_was_said_after_it_changes_nothing() {
    let (state, events) = after(&[("START", 10), ("STOP", 20)]);
    assert_eq!(state, "allowed");
    assert_eq!(events, ["opt_in applied", "opt_out superseded"]);
    let (state, events) = after(&[("STOP", 50), ("START", 10), ("STOP", 30)]);
    assert_eq!(state, "allowed");
    assert_eq!(events, ["opt_out applied", "opt_in applied", "opt_out superseded"]);
}

#[test]
fn a_start_that_comes_later_than_the_stop_that_was_said_after_it_changes_nothing() {
    let (state, events) = after(&[("STOP", 10), ("START", 20)]);
    assert_eq!(state, "opted_out");
    assert_eq!(events, ["opt_out applied", "opt_in superseded"]);
}

#[test]
fn where_it_is_not_sure_which_was_said_last_the_stop_counts() {
    // At the same time; and so close that two clocks, or two servers of a provider, may not agree.
    for seconds in [0, 30] {
        for said in [["STOP", "START"], ["START", "STOP"]] {
            let mut app = with_numbers().app_of("gnymble");
            let start_at = "date_trunc('hour', now()) - interval '1 hour'";
            for body in said {
                let at = if body == "STOP" {
                    format!("{start_at} - interval '{seconds} seconds'")
                } else {
                    start_at.to_owned()
                };
                text_at(&mut app, ANA, body, &at);
            }
            // A start that comes after the stop, and was said after it, is a start.
            let expected = if said[0] == "STOP" && seconds > 0 { "allowed" } else { "opted_out" };
            assert_eq!(sendable(&mut app, ANA), expected, "{said:?} {seconds}");
        }
    }
}

#[test]
fn an_opt_in_that_was_not_read_here_does_not_outdate_a_stop() {
    let mut app = with_numbers().app_of("gnymble");
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'signed a form', 'web')")).unwrap();
    text_at(&mut app, ANA, "STOP", "now() - interval '1 hour'");
    assert_eq!(sendable(&mut app, ANA), "opted_out");
}

#[test]
fn a_start_from_before_a_stop_that_was_said_again_changes_nothing() {
    let (state, events) = after(&[("STOP", 100), ("STOP", 20), ("START", 50)]);
    assert_eq!(state, "opted_out", "the last word was stop");
    assert_eq!(events, ["opt_out applied", "opt_out repeated", "opt_in superseded"]);
}

#[test]
fn a_stop_from_before_a_start_that_was_said_first_and_again_changes_nothing() {
    let (state, events) = after(&[("STOP", 200), ("START", 100), ("STOP", 150)]);
    assert_eq!(state, "allowed", "the last word was start");
    assert_eq!(events, ["opt_out applied", "opt_in applied", "opt_out superseded"]);
}

#[test]
fn the_last_word_counts_in_whatever_order_three_come() {
    let said = [("STOP", 60), ("START", 40), ("STOP", 20)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let words = order.map(|i| said[i]);
        assert_eq!(after(&words).0, "opted_out", "{words:?}");
        let opposite = words.map(|(body, minutes)| (if body == "STOP" { "START" } else { "STOP" }, minutes));
        assert_eq!(after(&opposite).0, "allowed", "{opposite:?}");
    }
}

#[test]
fn what_is_superseded_is_recorded_and_not_answered() {
    let mut app = with_numbers().app_of("gnymble");
    text(&mut app, ANA, "START");
    let late = text_at(&mut app, ANA, "STOP", "now() - interval '1 hour'");
    assert_eq!((&late["intent"], &late["reply"]), (&json!("opt_out"), &Value::Null));
    let told: bool = value(
        &mut app,
        "select message = 'STOP' and rule is not null and rule_version is not null and reply is null
           and occurred_at < now() - interval '59 minutes' and recorded_at > now() - interval '1 minute'
         from consent_events where outcome = 'superseded'",
    );
    assert!(told);
    assert_eq!(value::<i64>(&mut app, "select count(*) from opt_outs"), 0);
}

#[test]
fn a_message_is_not_said_later_than_it_comes() {
    let mut app = with_numbers().app_of("gnymble");
    let stop = text_at(&mut app, ANA, "STOP", "now() + interval '1 year'");
    let clamped = "select sent_at <= clock_timestamp() and sent_at > now() - interval '1 minute' from messages where id = '{}'";
    let id = stop["message_id"].as_str().unwrap().to_owned();
    assert!(value::<bool>(&mut app, &clamped.replace("{}", &id)));
    assert!(value::<bool>(&mut app, "select occurred_at <= recorded_at from consent_events"));
    assert_eq!(text(&mut app, ANA, "START")["intent"], "opt_in");
    assert_eq!(sendable(&mut app, ANA), "allowed", "the stop is not from the future");
    let now = answer(
        &mut app,
        &format!("process_inbound_message('{ANA}', '{}', 'hi', 'e', null)", sender_of("gnymble")),
    );
    let id = now["message_id"].as_str().unwrap();
    assert!(value::<bool>(&mut app, &clamped.replace("{}", id)), "no time is now");
}

#[test]
fn a_message_is_received_at_some_time() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    let before = contents(&database);
    for at in ["-infinity", "infinity"] {
        let call = format!(
            "select process_inbound_message('{ANA}', '{}', 'STOP', 'e', '{at}')",
            sender_of("gnymble")
        );
        let error = error_of(&mut app, &call);
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{at}");
        assert_eq!(error.message(), format!("no message is received at {at}"));
        assert_eq!(error.hint(), Some("Say a time."));
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn help_and_yes_are_of_the_campaign_that_they_answer() {
    let (_database, mut app, ..) = two_campaigns();
    app.batch_execute(&format!("select process_opt_out('{ANA}', 'r', 'phone', 'campaign', '{SUMMER}')"))
        .unwrap();
    let say = |app: &mut Client, to: &str, body: &str| {
        answer(app, &format!("process_inbound_message('{ANA}', '{to}', '{body}', null)"))
    };
    let (summer, winter) = (sender_of("gnymble"), ELSEWHERE);
    assert_eq!(say(&mut app, summer, "HELP")["reply"], Value::Null);
    assert_eq!(say(&mut app, winter, "HELP")["reply"], json!(words(&mut app, "help", "en")));
    assert_eq!(say(&mut app, winter, "YES")["intent"], "none", "this conversation is not opted out");
    assert_eq!(scopes(&mut app), ["campaign a"]);
    assert_eq!(say(&mut app, summer, "YES")["intent"], "opt_in");
    assert_eq!(scopes(&mut app), [] as [String; 0]);
}

#[test]
fn a_stop_ends_all_where_it_is_not_clear_which_campaign_it_answers() {
    let database = with_numbers();
    let mut app = database.app_of("gnymble");
    decide(&database, &[("now() - interval '1 hour'", "campaign")]);
    in_campaign(&mut app, SUMMER, sender_of("gnymble"));
    app.batch_execute(&format!(
        "insert into conversations (customer_phone, brand_phone, campaign_id)
         values ('(415) 555-2671', '{}', '{WINTER}')",
        sender_of("gnymble")
    ))
    .unwrap();
    text(&mut app, ANA, "STOP");
    assert_eq!(scopes(&mut app), ["brand"]);
}

#[test]
fn a_stop_that_comes_in_an_old_transaction_is_said_now() {
    let database = with_numbers();
    let mut old = database.app_of("gnymble");
    old.batch_execute("begin; select now()").unwrap();
    let mut app = database.app_of("gnymble");
    text_at(&mut app, ANA, "START", "clock_timestamp() + interval '1 hour'");
    let to = sender_of("gnymble");
    answer(&mut old, &format!("process_inbound_message('{ANA}', '{to}', 'STOP', 'SM1')"));
    old.batch_execute("commit").unwrap();
    assert_eq!(sendable(&mut app, ANA), "opted_out");
    assert_eq!(events_of(&mut app, ANA), ["opt_in applied", "opt_out applied"]);
}
