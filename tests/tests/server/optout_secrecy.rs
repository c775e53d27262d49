//! A brand cannot learn, by any of these functions, what another brand knows.

use percytech_tests::{TestDatabase, login_of, value};
use postgres::Client;

use crate::optout::{ANA, BEN, conversation, queue, text, with_numbers};
use crate::optout::{changes, claim, contents};

const NOBODYS: &str = "00000000-0000-0000-0000-000000000000";

/// What only percymd has.
struct Theirs {
    conversation: String,
    message: String,
    customer: String,
}

/// A database in which percymd knows Ana: she is a customer, was written to as SM-THEIRS, has opted out.
fn with_secrets() -> (TestDatabase, Theirs) {
    let database = with_numbers();
    let mut percymd = database.app_of("percymd");
    let conversation = conversation(&mut percymd, ANA);
    let message = queue(&mut percymd, &conversation, "hello");
    claim(&mut percymd);
    percymd
        .batch_execute(&format!(
            "select record_sent('{message}', 'SM-THEIRS'); select process_opt_out('{ANA}', 'r');
             update quiet_hours set quiet_until = '08:00', quiet_from = '09:00'"
        ))
        .unwrap();
    let customer = value(&mut percymd, "select id::text from customers");
    (database, Theirs { conversation, message, customer })
}

/// What a statement says or fails with, word for word, in which `names` stand for themselves.
fn said(client: &mut Client, statement: &str, names: &[(&str, &str)]) -> String {
    let told = match client.simple_query(statement) {
        Ok(messages) => messages
            .iter()
            .map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => (0..row.len())
                    .map(|i| row.get(i).unwrap_or("NULL").to_owned())
                    .collect::<Vec<_>>()
                    .join("|"),
                postgres::SimpleQueryMessage::CommandComplete(rows) => format!("{rows} rows"),
                _ => String::new(),
            })
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            format!(
                "{} {} / {:?} / {:?} / {:?} / {:?} / {:?}",
                error.code().code(),
                error.message(),
                error.detail(),
                error.hint(),
                error.where_(),
                error.constraint(),
                error.table()
            )
        }
    };
    names.iter().fold(told, |told, (name, stands_for)| told.replace(name, stands_for))
}

/// The login of one brand, with its context or without.
fn login(database: &TestDatabase, with_context: bool) -> Client {
    let mut client = database.connect(&login_of("gnymble"));
    if with_context {
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    }
    client
}

/// Fails unless the statement says the same of percymd's as of what nobody has, and it is this.
#[track_caller]
fn assert_alike(database: &TestDatabase, statement: &str, theirs: &str, nobodys: &str, begins: &str) {
    for with_context in [true, false] {
        let mut client = login(database, with_context);
        client.batch_execute("begin").unwrap();
        let of_theirs = said(&mut client, &statement.replace("{}", theirs), &[(theirs, "IT")]);
        client.batch_execute("rollback; begin").unwrap();
        let of_nobodys = said(&mut client, &statement.replace("{}", nobodys), &[(nobodys, "IT")]);
        client.batch_execute("rollback").unwrap();
        assert_eq!(of_theirs, of_nobodys, "{statement} with context: {with_context}");
        if with_context {
            assert!(of_theirs.starts_with(begins), "{statement}: {of_theirs}");
        }
    }
}

#[test]
fn another_brands_conversation_is_answered_as_none() {
    let (database, theirs) = with_secrets();
    let before = contents(&database);
    for call in ["'x'", "'x', due_at => now()", "''"] {
        let begins = if call == "''" { "22023" } else { "PT404 there is no conversation IT" };
        let statement = format!("select queue_message('{{}}', {call})");
        assert_alike(&database, &statement, &theirs.conversation, NOBODYS, begins);
    }
    let insert = "insert into messages (brand_id, conversation_id, direction, content) values ('gnymble', '{}', 'outbound', 'x')";
    for column in ["conversation", "message"] {
        let id = if column == "message" { &theirs.message } else { &theirs.conversation };
        assert_alike(&database, insert, id, NOBODYS, "23503");
    }
    let insert = "insert into conversations (brand_id, customer_id, customer_phone, brand_phone) values ('gnymble', '{}', '1', '2')";
    assert_alike(&database, insert, &theirs.customer, NOBODYS, "23503");
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn another_brands_message_is_answered_as_none() {
    let (database, theirs) = with_secrets();
    let before = contents(&database);
    assert_alike(
        &database,
        "select record_sent('{}', 'SM1')",
        &theirs.message,
        NOBODYS,
        "PT404 there is no outbound message IT",
    );
    assert_alike(&database, "select record_sent('{}', 'SM-THEIRS')", &theirs.message, NOBODYS, "PT404");
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn another_brands_external_id_is_answered_as_none() {
    let (database, _theirs) = with_secrets();
    let before = contents(&database);
    for arguments in ["'delivered', now()", "'failed', now(), '21610'", "'pending', '2020-01-01'"] {
        let statement = format!("select record_delivery_status('{{}}', {arguments})");
        assert_alike(&database, &statement, "SM-THEIRS", "SM-NOBODYS", "NULL");
    }
    let to = "+12125550101";
    let inbound = format!(
        "select process_inbound_message('{ANA}', '{to}', 'STOP', '{{}}') - 'message_id' - 'conversation_id'"
    );
    assert_alike(&database, &inbound, "SM-THEIRS", "SM-NOBODYS", "{");
    let mut gnymble = login(&database, true);
    let thread = conversation(&mut gnymble, BEN);
    let message = queue(&mut gnymble, &thread, "x");
    claim(&mut gnymble);
    let sent = format!("select record_sent('{message}', '{{}}')");
    assert_alike(&database, &sent, "SM-THEIRS", "SM-NOBODYS", "sent");
    let after: Vec<String> =
        changes(&database, &before).into_iter().filter(|row| row.contains("percymd")).collect();
    assert_eq!(after, [] as [String; 0]);
}

#[test]
fn another_brands_own_number_is_answered_as_nobodys() {
    let (database, _theirs) = with_secrets();
    let before = contents(&database);
    for body in ["STOP", "hello", ""] {
        let statement = format!("select process_inbound_message('{BEN}', '{{}}', '{body}', 'e')");
        assert_alike(
            &database,
            &statement,
            "+12125550102",
            "+12125550109",
            "PT404 no brand that you may act as has the number \"IT\"",
        );
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn a_number_that_another_brand_knows_is_answered_as_one_that_nobody_does() {
    let (database, _theirs) = with_secrets();
    let before = contents(&database);
    let event = "kind, outcome, scope, campaign_id, source, reason, actor, customer_id, conversation_id, message_id, message, rule, reply, phone";
    for (statement, begins) in [
        ("select * from can_send('{}')".to_owned(), "t|NULL|NULL"),
        ("select * from can_send('{}', '2026-07-01 10:00+00')".to_owned(), "t|NULL|NULL"),
        ("select sending_opens_at('gnymble', '{}', '2026-07-01 10:00+00')".to_owned(), "2026-07-01"),
        (format!("select {event} from process_opt_out('{{}}', 'r')"), "opt_out|applied|brand"),
        (format!("select {event} from process_opt_in('{{}}', 'r')"), "opt_in|applied"),
        ("select process_opt_out('{}', 'r', 'phone', 'campaign')".to_owned(), "22023 it is not clear"),
        (
            "select process_inbound_message('{}', '+12125550101', 'STOP', 'e') - 'message_id' - 'conversation_id'".to_owned(),
            "{\"rule\"",
        ),
        (
            "select process_inbound_message('{}', '+12125550101', 'YES', 'e') - 'message_id' - 'conversation_id'".to_owned(),
            "{\"rule\": null",
        ),
        (
            "insert into customers (brand_id, email, phone) values ('gnymble', 'customer@example.com', '{}')".to_owned(),
            "1 rows",
        ),
        (
            "insert into conversations (brand_id, customer_phone, brand_phone) values ('gnymble', '{}', '+12125550102') returning customer_id, status, opted_out_at"
                .to_owned(),
            "NULL|active|NULL",
        ),
    ] {
        assert_alike(&database, &statement, ANA, "+14155552679", begins);
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn another_brands_hours_are_not_asked_for() {
    let (database, _theirs) = with_secrets();
    let mut gnymble = login(&database, true);
    let before: String = said(
        &mut gnymble,
        &format!("select sending_opens_at('percymd', '{ANA}', '2026-07-01 10:00+00')"),
        &[],
    );
    database
        .app_of("percymd")
        .batch_execute("update quiet_hours set quiet_until = '01:00', quiet_from = '02:00'")
        .unwrap();
    let after: String = said(
        &mut gnymble,
        &format!("select sending_opens_at('percymd', '{ANA}', '2026-07-01 10:00+00')"),
        &[],
    );
    assert_eq!(before, after, "the answer is the law's, whatever the other brand's hours");
}

#[test]
fn tables_show_one_brand() {
    let (database, _theirs) = with_secrets();
    text(&mut database.app_of("gnymble"), BEN, "STOP");
    let mut gnymble = login(&database, true);
    for table in percytech_tests::ALL_TABLES {
        let others = format!("select count(*) from {table} where brand_id <> 'gnymble'");
        assert_eq!(value::<i64>(&mut gnymble, &others), 0, "{table}");
    }
    let own = "select count(*) from opt_outs";
    assert_eq!(value::<i64>(&mut gnymble, own), 1);
    assert_eq!(value::<i64>(&mut login(&database, false), own), 0);
}

/// The planner looks at the statistics of all brands, and tells of them by EXPLAIN.
#[test]
fn no_statistics_are_kept_of_telephone_numbers_and_of_what_providers_call_messages() {
    let mut superuser = TestDatabase::migrated().superuser();
    let kept: Vec<String> = percytech_tests::values(
        &mut superuser,
        "select attrelid::regclass || '.' || attname
         from pg_attribute
         join pg_class on pg_class.oid = attrelid
         where relnamespace = 'public'::regnamespace
           and relkind = 'r'
           and attnum > 0
           and not attisdropped
           and attname ~ 'phone|sender|external_id'
           and attstattarget <> 0
         order by 1",
    );
    assert_eq!(kept, [] as [String; 0]);
}
