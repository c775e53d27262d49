//! When a number is not disturbed: by its own clock, wherever it may be.

use percytech_tests::{TestDatabase, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::optout::{ANA, claim, conversation, queue, sendable, text, text_at, with_numbers, words};

const NEW_YORK: &str = "+12125552671";
const PENSACOLA: &str = "+18505552671";
const PHOENIX: &str = "+16025552671";
const TOLL_FREE: &str = "+18005552671";
const PARIS: &str = "+33612345678";
/// Of no country.
const SATELLITE: &str = "+870773123456";

/// What is said of a number at a time in UTC: `allowed`, or `quiet until` a time in UTC.
fn at(client: &mut Client, phone: &str, time: &str) -> String {
    client.batch_execute("set timezone = 'UTC'; set datestyle = 'ISO'").unwrap();
    value(
        client,
        &format!(
            "select case when allowed and reason is null and until is null then 'allowed'
               when reason = 'quiet_hours' and not allowed then concat_ws(' ', 'quiet until', until::timestamp)
               else 'odd' end
             from can_send('{phone}', '{time}+00')"
        ),
    )
}

fn assert_hours(client: &mut Client, phone: &str, hours: &[(&str, &str)]) {
    for (time, expected) in hours {
        assert_eq!(at(client, phone, time), *expected, "{phone} at {time}");
        // However the session shows times.
        client.batch_execute("set timezone = 'Asia/Kathmandu'; set datestyle = 'German, DMY'").unwrap();
        let allowed: bool =
            value(client, &format!("select allowed from can_send('{phone}', '{time}+00'::timestamptz)"));
        assert_eq!(allowed, *expected == "allowed", "{phone} at {time}");
    }
}

#[test]
fn a_number_is_written_to_from_eight_to_nine_by_its_own_clock() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    assert_hours(
        &mut app,
        NEW_YORK,
        &[
            ("2026-07-01 04:00", "quiet until 2026-07-01 12:00:00"),
            ("2026-07-01 11:59:59.999999", "quiet until 2026-07-01 12:00:00"),
            ("2026-07-01 12:00", "allowed"),
            ("2026-07-02 00:59:59.999999", "allowed"),
            ("2026-07-02 01:00", "quiet until 2026-07-02 12:00:00"),
            ("2026-07-02 03:59:59", "quiet until 2026-07-02 12:00:00"),
            ("2026-01-15 12:59:59", "quiet until 2026-01-15 13:00:00"),
            ("2026-01-15 13:00", "allowed"),
            ("2026-01-01 02:00", "quiet until 2026-01-01 13:00:00"),
        ],
    );
    // Arizona keeps no daylight saving time.
    assert_hours(
        &mut app,
        PHOENIX,
        &[
            ("2026-07-01 14:59:59", "quiet until 2026-07-01 15:00:00"),
            ("2026-01-15 14:59:59", "quiet until 2026-01-15 15:00:00"),
            ("2026-01-15 15:00", "allowed"),
        ],
    );
}

#[test]
fn the_days_on_which_clocks_change_have_the_same_hours() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    assert_hours(
        &mut app,
        NEW_YORK,
        &[
            ("2026-03-07 12:30", "quiet until 2026-03-07 13:00:00"),
            ("2026-03-08 01:59:59", "allowed"),
            ("2026-03-08 02:00", "quiet until 2026-03-08 12:00:00"),
            ("2026-03-08 06:59:59", "quiet until 2026-03-08 12:00:00"),
            ("2026-03-08 07:00", "quiet until 2026-03-08 12:00:00"),
            ("2026-03-08 11:59:59", "quiet until 2026-03-08 12:00:00"),
            ("2026-03-08 12:00", "allowed"),
            ("2026-03-09 00:59:59", "allowed"),
            ("2026-03-09 01:00", "quiet until 2026-03-09 12:00:00"),
            ("2026-10-31 11:30", "quiet until 2026-10-31 12:00:00"),
            ("2026-11-01 01:00", "quiet until 2026-11-01 13:00:00"),
            ("2026-11-01 05:30", "quiet until 2026-11-01 13:00:00"),
            ("2026-11-01 06:30", "quiet until 2026-11-01 13:00:00"),
            ("2026-11-01 12:59:59", "quiet until 2026-11-01 13:00:00"),
            ("2026-11-01 13:00", "allowed"),
            ("2026-11-02 01:59:59", "allowed"),
            ("2026-11-02 02:00", "quiet until 2026-11-02 13:00:00"),
        ],
    );
}

#[test]
fn a_number_that_may_be_in_several_time_zones_is_written_to_when_all_of_them_are_awake() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    assert_hours(
        &mut app,
        PENSACOLA,
        &[
            ("2026-07-01 12:30", "quiet until 2026-07-01 13:00:00"),
            ("2026-07-01 13:00", "allowed"),
            ("2026-07-02 00:59:59", "allowed"),
            ("2026-07-02 01:00", "quiet until 2026-07-02 13:00:00"),
            ("2026-07-02 02:00", "quiet until 2026-07-02 13:00:00"),
        ],
    );
    for number in [TOLL_FREE, SATELLITE] {
        assert_hours(
            &mut app,
            number,
            &[
                ("2026-07-01 12:00", "quiet until 2026-07-01 18:00:00"),
                ("2026-07-01 17:59:59", "quiet until 2026-07-01 18:00:00"),
                ("2026-07-01 18:00", "allowed"),
                ("2026-07-02 00:59:59", "allowed"),
                ("2026-07-02 01:00", "quiet until 2026-07-02 18:00:00"),
                ("2026-01-15 01:59:59", "allowed"),
                ("2026-01-15 02:00", "quiet until 2026-01-15 18:00:00"),
            ],
        );
    }
    let in_france = [
        ("2026-07-01 05:59:59", "quiet until 2026-07-01 06:00:00"),
        ("2026-07-01 06:00", "allowed"),
        ("2026-07-01 19:00", "quiet until 2026-07-02 06:00:00"),
    ];
    assert_hours(&mut app, PARIS, &in_france);
    app.batch_execute("update quiet_hours set fallback_time_zones = '{Europe/Paris}'").unwrap();
    assert_hours(&mut app, SATELLITE, &in_france);
    assert_eq!(
        at(&mut app, NEW_YORK, "2026-07-01 11:00"),
        "quiet until 2026-07-01 12:00:00",
        "a known one's is its own"
    );
}

#[test]
fn each_brand_has_its_own_hours_and_the_laws_without_any() {
    let database = TestDatabase::migrated();
    let mut gnymble = database.app_of("gnymble");
    gnymble.batch_execute("update quiet_hours set quiet_until = '10:15', quiet_from = '18:00'").unwrap();
    assert_hours(
        &mut gnymble,
        NEW_YORK,
        &[
            ("2026-07-01 14:14:59", "quiet until 2026-07-01 14:15:00"),
            ("2026-07-01 14:15", "allowed"),
            ("2026-07-01 21:59:59", "allowed"),
            ("2026-07-01 22:00", "quiet until 2026-07-02 14:15:00"),
        ],
    );
    let mut percymd = database.app_of("percymd");
    assert_eq!(at(&mut percymd, NEW_YORK, "2026-07-01 12:00"), "allowed");
    percymd.batch_execute("delete from quiet_hours").unwrap();
    assert_hours(
        &mut percymd,
        NEW_YORK,
        &[("2026-07-01 11:59:59", "quiet until 2026-07-01 12:00:00"), ("2026-07-02 00:59:59", "allowed")],
    );
    assert_hours(&mut percymd, TOLL_FREE, &[("2026-07-02 01:00", "quiet until 2026-07-02 18:00:00")]);
    percymd
        .batch_execute("insert into quiet_hours (quiet_until, quiet_from) values ('00:00', '24:00')")
        .unwrap();
    assert_eq!(at(&mut percymd, NEW_YORK, "2026-07-01 07:00"), "allowed", "at any hour");
}

#[test]
fn hours_that_never_come_have_no_end() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    app.batch_execute("update quiet_hours set quiet_until = '12:00', quiet_from = '12:30'").unwrap();
    for time in ["2026-07-01 16:00", "2026-07-01 22:15", "2026-07-02 03:00"] {
        assert_eq!(at(&mut app, TOLL_FREE, time), "quiet until", "{time}");
    }
    assert_eq!(at(&mut app, NEW_YORK, "2026-07-01 17:00"), "quiet until 2026-07-02 16:00:00");
    let thread = conversation(&mut app, TOLL_FREE);
    let message = queue(&mut app, &thread, "hello");
    assert_eq!(claim(&mut app), [] as [String; 0]);
    let later: bool = value(
        &mut app,
        &format!(
            "select due_at > now() + interval '1 hour' and status = 'pending' and cancelled_at is null and claimed_at is null
             from messages where id = '{message}'"
        ),
    );
    assert!(later, "it is looked at again another day");
}

#[test]
fn an_opt_out_is_said_before_quiet_hours() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    app.batch_execute(&format!("select process_opt_out('{NEW_YORK}', 'r')")).unwrap();
    let said: String = value(
        &mut app,
        &format!(
            "select concat_ws(' ', allowed, reason, until) from can_send('{NEW_YORK}', '2026-07-01 04:00+00')"
        ),
    );
    assert_eq!(said, "f opted_out");
    for at in ["infinity", "-infinity"] {
        let call = format!("select can_send('{NEW_YORK}', '{at}')");
        assert_eq!(refusal(&mut app, &call), SqlState::INVALID_PARAMETER_VALUE);
    }
    let now = format!("select count(*) from can_send('{PHOENIX}', null) as a
        join can_send('{PHOENIX}') as b on (a.allowed, a.reason, a.until) is not distinct from (b.allowed, b.reason, b.until)");
    assert_eq!(value::<i64>(&mut app, &now), 1, "no time is now");
}

/// Makes it night for Ana, in Los Angeles, whatever the time is.
fn make_it_night(client: &mut Client) {
    client
        .batch_execute(
            "update quiet_hours set (quiet_until, quiet_from) = (
               select case when (now() at time zone 'America/Los_Angeles')::time < '12:00' then '13:00' else '08:00' end::time,
                 case when (now() at time zone 'America/Los_Angeles')::time < '12:00' then '21:00' else '11:00' end::time)",
        )
        .unwrap();
}

#[test]
fn at_night_messages_wait_for_the_morning_and_replies_do_not() {
    let mut app = with_numbers().app_of("gnymble");
    make_it_night(&mut app);
    assert_eq!(sendable(&mut app, ANA), "quiet_hours");
    let thread = conversation(&mut app, ANA);
    let message = queue(&mut app, &thread, "an offer");
    assert_eq!(claim(&mut app), [] as [String; 0]);
    let postponed: bool = value(
        &mut app,
        &format!(
            "select due_at = until and due_at > now() and status = 'pending' and cancelled_at is null and claimed_at is null
             from messages, can_send('{ANA}') where id = '{message}'"
        ),
    );
    assert!(postponed);
    for (body, kind) in [("HELP", "help"), ("STOP", "opt_out"), ("START", "opt_in")] {
        text(&mut app, ANA, body);
        let reply = words(&mut app, kind, "en");
        assert_eq!(claim(&mut app), [format!("{ANA} {reply}")], "{body}");
    }
    // What says that it is a reply is not one.
    app.batch_execute(&format!(
        "insert into messages (conversation_id, direction, content, status, kind, due_at)
         select '{thread}', 'outbound', 'an offer', 'pending', kind, now() from unnest('{{help, opt_in}}'::text[]) as kind"
    ))
    .unwrap();
    assert_eq!(claim(&mut app), [] as [String; 0]);
    // What was asked for long ago is not answered in the middle of the night.
    text_at(&mut app, "+12135552672", "HELP", "now() - interval '1 hour'");
    assert_eq!(claim(&mut app), [] as [String; 0]);
}

#[test]
fn who_opts_out_at_night_gets_nothing_in_the_morning() {
    let mut app = with_numbers().app_of("gnymble");
    make_it_night(&mut app);
    let thread = conversation(&mut app, ANA);
    queue(&mut app, &thread, "an offer");
    claim(&mut app);
    app.batch_execute(&format!("select process_opt_out('{ANA}', 'r')")).unwrap();
    let why: String = value(&mut app, "select cancel_reason from messages");
    assert_eq!(why, "opted_out", "what was postponed is cancelled too");
}

#[test]
fn the_server_knows_the_time_zones_of_all_area_codes() {
    let mut superuser = TestDatabase::migrated().superuser();
    let zones = "from generate_series(200, 999) as area, unnest(percytech.phone_time_zones('+1' || area || '5552671')) as zone";
    let unknown: Vec<String> = values(
        &mut superuser,
        &format!("select area || ' ' || zone {zones} where zone not in (select name from pg_timezone_names)"),
    );
    assert_eq!(unknown, [] as [String; 0]);
    let known: i64 = value(&mut superuser, &format!("select count(distinct area) {zones}"));
    assert!(known > 300, "{known}");
    assert!(value::<bool>(&mut superuser, &format!("select are_time_zones(array_agg(zone)) {zones}")));
}

#[test]
fn hours_and_time_zones_that_are_none_are_refused() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    for odd in [
        "fallback_time_zones = '{America/New_York,America/Nowhere}'",
        "fallback_time_zones = '{\"\"}'",
        "fallback_time_zones = '{}'",
        "fallback_time_zones = '{America/New_York,NULL}'",
        "quiet_until = '21:00'",
        "quiet_until = '22:00'",
        "quiet_from = '08:00'",
    ] {
        let update = format!("update quiet_hours set {odd}");
        assert_eq!(refusal(&mut app, &update), SqlState::CHECK_VIOLATION, "{odd}");
    }
    for odd in ["fallback_time_zones = null", "quiet_from = null"] {
        assert_eq!(
            refusal(&mut app, &format!("update quiet_hours set {odd}")),
            SqlState::NOT_NULL_VIOLATION,
            "{odd}"
        );
    }
    let second = "insert into quiet_hours (quiet_until) values ('09:00')";
    assert_eq!(refusal(&mut app, second), SqlState::UNIQUE_VIOLATION);
}
