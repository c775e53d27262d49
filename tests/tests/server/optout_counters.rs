//! A conversation's counters are what a plain count of its messages says, whoever writes them and how.

use std::io::Write;

use percytech_tests::{TestDatabase, changed, value};
use postgres::Client;

use crate::optout::{ANA, claim, conversation, queue, sender_of, text, with_numbers};

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let chosen = self.roll(from.len() as u64);
        from[usize::try_from(chosen).unwrap()]
    }
}

/// Fails unless all counters are what there is to count.
#[track_caller]
fn assert_counted(superuser: &mut Client, after: &str) {
    let wrong: Option<String> = value(
        superuser,
        "select string_agg(concat_ws(' ', c.message_count, c.last_message_at, c.last_inbound_at, c.last_outbound_at, '<>', m.*), e'\\n')
         from conversations as c
         cross join lateral (
           select count(*), max(sent_at) as at, max(sent_at) filter (where direction = 'inbound') as inbound_at,
             max(sent_at) filter (where direction = 'outbound') as outbound_at
           from messages as m
           where m.brand_id = c.brand_id and m.conversation_id = c.id and cancelled_at is null and status is distinct from 'pending'
         ) as m
         where (c.message_count, c.last_message_at, c.last_inbound_at, c.last_outbound_at)
           is distinct from (m.count, m.at, m.inbound_at, m.outbound_at)",
    );
    assert_eq!(wrong, None, "{after}");
}

/// Conversations without messages, some of each brand that this client sees.
fn make_conversations(superuser: &mut Client, of_each: usize) {
    superuser
        .batch_execute(&format!(
            "insert into conversations (brand_id, customer_phone, brand_phone)
             select brand, '+1415555' || (1000 + n), '+12125550101'
             from unnest(enum_range(null::brand_id)) as brand, generate_series(1, {of_each}) as n"
        ))
        .unwrap();
}

/// A statement that changes some messages, as a client may that sees one brand, or all.
fn statement(dice: &mut Dice) -> String {
    let time =
        |dice: &mut Dice| format!("'2026-01-01'::timestamptz + interval '{} minutes'", dice.roll(1000));
    let conversation = |dice: &mut Dice| {
        format!(
            "(select id, brand_id from conversations order by brand_id, customer_phone offset {} limit {})",
            dice.roll(3),
            1 + dice.roll(3)
        )
    };
    let some = |dice: &mut Dice| {
        format!(
            "messages.id in (select id from messages order by md5(id::text || {}) limit {})",
            dice.roll(100),
            dice.roll(4)
        )
    };
    let direction = dice.pick(&["inbound", "outbound"]);
    let status = dice.pick(&["null", "'pending'", "'sent'", "'failed'", "'delivered'"]);
    let (time, which, some) = (time(dice), conversation(dice), some(dice));
    match dice.roll(12) {
        0 => format!(
            "insert into messages (brand_id, conversation_id, direction, content, status, sent_at)
             select brand_id, id, '{direction}', 'x', {status}, {time} from {which} as c limit 1"
        ),
        1 | 2 => format!(
            "insert into messages (brand_id, conversation_id, direction, content, status, sent_at)
             select brand_id, id, (enum_range(null::message_direction))[n % 2 + 1], 'x', {status}, {time} + interval '1 minute' * n
             from {which} as c, generate_series(1, {}) as n",
            1 + dice.roll(5)
        ),
        3 => format!("update messages set sent_at = {time} where {some}"),
        4 => format!("update messages set status = 'delivered' where {some}"),
        5 => format!("update messages set status = 'sent' where {some} and coalesce(status, 'pending') = 'pending'"),
        6 => format!("update messages set cancelled_at = case when cancelled_at is null then now() end where {some}"),
        7 => format!("update messages set direction = '{direction}' where {some} and external_id is null"),
        8 => format!(
            "update messages set conversation_id = c.id, sent_at = {time} from {which} as c where c.brand_id = messages.brand_id and {some}"
        ),
        9 => format!("delete from messages where {some}"),
        10 => format!(
            "with gone as (delete from messages where {some} returning *), changed as (
               update messages set sent_at = {time} where not {some} and direction = '{direction}'
             )
             insert into messages (brand_id, conversation_id, direction, content, status, sent_at)
             select c.brand_id, c.id, '{direction}', 'x', {status}, {time} from {which} as c"
        ),
        _ => format!(
            "insert into messages (brand_id, conversation_id, direction, content, status, sent_at, external_id)
             select brand_id, id, 'outbound', 'x', 'sent', {time}, 'SM{}' from {which} as c limit 1
             on conflict (brand_id, external_id) where direction = 'outbound'
             do update set conversation_id = excluded.conversation_id, sent_at = excluded.sent_at",
            dice.roll(5)
        ),
    }
}

fn check(database: &TestDatabase, writer: &mut Client, seed: u64) {
    let mut superuser = database.superuser();
    make_conversations(&mut superuser, 5);
    let mut dice = Dice(seed);
    let mut in_transaction = false;
    let mut written = 0;
    for _ in 0..400 {
        let statement = statement(&mut dice);
        written += changed(writer, &statement);
        if in_transaction {
            if dice.roll(4) == 0 {
                writer.batch_execute(dice.pick(&["commit", "rollback"])).unwrap();
                in_transaction = false;
            }
        } else {
            in_transaction = dice.roll(10) == 0;
            assert_counted(&mut superuser, &statement);
            if in_transaction {
                writer.batch_execute("begin").unwrap();
            }
        }
    }
    if in_transaction {
        writer.batch_execute("commit").unwrap();
    }
    assert_counted(&mut superuser, "the last one");
    assert!(written > 400, "{written}");
    assert!(value::<i64>(&mut superuser, "select count(*) from conversations where message_count > 0") > 2);
}

#[test]
fn counters_are_right_whatever_an_application_writes() {
    let database = TestDatabase::migrated();
    check(&database, &mut database.app_of("gnymble"), 1);
}

#[test]
fn counters_are_right_whatever_a_superuser_writes_for_all_brands() {
    let database = TestDatabase::migrated();
    check(&database, &mut database.superuser(), 2);
}

#[test]
fn counters_are_right_whatever_who_passes_row_level_security_by_writes() {
    let database = TestDatabase::supabase();
    let mut postgrest = database.connect("authenticator");
    postgrest.batch_execute("set role service_role").unwrap();
    check(&database, &mut postgrest, 3);
}

#[test]
fn counters_are_right_after_a_bulk_load() {
    for database in [TestDatabase::migrated(), TestDatabase::supabase()] {
        let mut superuser = database.superuser();
        make_conversations(&mut superuser, 3);
        let threads: Vec<String> = superuser
            .query("select brand_id || e'\\t' || id from conversations", &[])
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let mut writer = database.superuser();
        if value::<bool>(&mut superuser, "select to_regrole('service_role') is not null") {
            writer = database.connect("authenticator");
            writer.batch_execute("set role service_role").unwrap();
        }
        let mut dice = Dice(4);
        for _ in 0..2 {
            let mut copy = writer
                .copy_in("copy messages (brand_id, conversation_id, direction, content, status, sent_at) from stdin")
                .unwrap();
            for _ in 0..500 {
                let thread = &threads[usize::try_from(dice.roll(threads.len() as u64)).unwrap()];
                let direction = dice.pick(&["inbound", "outbound"]);
                let status = dice.pick(&["\\N", "pending", "sent", "delivered"]);
                let line =
                    format!("{thread}\t{direction}\tx\t{status}\t2026-01-01 00:00:{:02}\n", dice.roll(60));
                copy.write_all(line.as_bytes()).unwrap();
            }
            copy.finish().unwrap();
            assert_counted(&mut superuser, "copy");
        }
    }
}

#[test]
fn counters_are_right_when_a_message_is_given_to_another_brand() {
    let mut superuser = TestDatabase::migrated().superuser();
    superuser
        .batch_execute(
            "insert into conversations (id, brand_id, customer_phone, brand_phone)
             select '00000000-0000-0000-0000-000000000001', brand, '+14155552671', '+12125550101'
             from unnest('{gnymble,percymd}'::brand_id[]) as brand;
             insert into messages (brand_id, conversation_id, direction, content)
             values ('gnymble', '00000000-0000-0000-0000-000000000001', 'inbound', 'x')",
        )
        .unwrap();
    assert_counted(&mut superuser, "insert");
    superuser.batch_execute("update messages set brand_id = 'percymd'").unwrap();
    assert_counted(&mut superuser, "update of the brand");
}

#[test]
fn counters_are_right_whatever_the_functions_do() {
    let database = with_numbers();
    let mut superuser = database.superuser();
    let mut app = database.app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    let mut number = 0;
    for step in [
        "hello", "HELP", "queue", "claim", "STOP", "STOP", "claim", "START", "queue", "queue", "claim",
        "late", "STOP", "again", "YES", "hello",
    ] {
        number += 1;
        match step {
            "queue" => drop(queue(&mut app, &thread, "x")),
            "claim" => {
                claim(&mut app);
                let sent =
                    "select record_sent(id, id::text), record_delivery_status(id::text, 'delivered', now())
                            from messages where claimed_at is not null and external_id is null";
                app.batch_execute(sent).unwrap();
            }
            "again" | "late" => {
                let call = format!(
                    "select process_inbound_message('{ANA}', '{}', 'hello', 'SM1', now() - interval '1 day')",
                    sender_of("gnymble")
                );
                app.batch_execute(&format!("{call}; {call}")).unwrap();
            }
            body => drop(text(&mut app, ANA, body)),
        }
        assert_counted(&mut superuser, &format!("{number}: {step}"));
    }
    let counted: i32 =
        value(&mut app, &format!("select message_count from conversations where id = '{thread}'"));
    assert!(counted > 10, "{counted}");
}

#[test]
fn a_message_by_a_plain_insert_counts_whatever_the_session_has_set() {
    let database = with_numbers();
    let mut superuser = database.superuser();
    let mut app = database.app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    // A setting by which the functions might tell the trigger that they count by themselves.
    for setting in ["set percytech.counting = 'by hand'", "set percytech.counting = 'on'"] {
        if app.batch_execute(setting).is_ok() {
            app.batch_execute(&format!(
                "insert into messages (conversation_id, direction, content) values ('{thread}', 'inbound', 'x')"
            ))
            .unwrap();
            assert_counted(&mut superuser, setting);
        }
        text(&mut app, ANA, "HELP");
        assert_counted(&mut superuser, setting);
    }
}
