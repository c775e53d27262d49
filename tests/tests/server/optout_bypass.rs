//! Ways round an opt-out, by a login that may do what an application may, as one brand.

use percytech_tests::{TestDatabase, changed, login_of, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::journey::error_of;
use crate::optout::{
    ANA, BEN, answer, changes, claim, contents, conversation, prepared, queue, sendable, sender_of, text,
    with_numbers, words,
};

const LEDGERS: [&str; 7] = [
    "opt_out_policies",
    "opt_outs",
    "consent_events",
    "recipients",
    "message_delivery_events",
    "brand_phone_numbers",
    "inbound_receipts",
];

/// A database with rows in every table, and gnymble's login in its context.
fn with_rows() -> (TestDatabase, Client) {
    let database = with_numbers();
    let mut login = of_gnymble(&database);
    let thread = conversation(&mut login, ANA);
    queue(&mut login, &thread, "hello");
    claim(&mut login);
    login
        .batch_execute(
            "select record_sent(id, 'SM1') from messages; select record_delivery_status('SM1', 'delivered', now())",
        )
        .unwrap();
    text(&mut login, ANA, "STOP");
    (database, login)
}

fn of_gnymble(database: &TestDatabase) -> Client {
    let mut login = database.connect(&login_of("gnymble"));
    login.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    login
}

#[test]
fn what_proves_consent_is_not_written_by_applications() {
    let (database, mut login) = with_rows();
    let before = contents(&database);
    for table in LEDGERS {
        assert!(value::<i64>(&mut login, &format!("select count(*) from {table}")) > 0, "{table} is read");
        for statement in [
            format!("insert into {table} select * from {table}"),
            format!(
                "insert into {table} select (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).* from {table} as t"
            ),
            format!("update {table} set brand_id = brand_id"),
            format!("update {table} set brand_id = brand_id where false"),
            format!("delete from {table}"),
            format!("delete from {table} where false"),
            format!("truncate {table}"),
            format!("truncate {table} cascade"),
            format!("merge into {table} using (values (1)) as x on true when matched then delete"),
            format!("alter table {table} disable trigger all"),
            format!(
                "create trigger mine before insert on {table} execute function refuse_change_of_history()"
            ),
            format!("select * from {table} for update"),
        ] {
            let error = error_of(&mut login, &statement);
            assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{statement}: {error:?}");
        }
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn the_ledgers_are_written_once_for_everybody() {
    let (database, _) = with_rows();
    let before = contents(&database);
    for role in ["percytech_owner", "postgres"] {
        let mut client = database.superuser();
        client
            .batch_execute(&format!("set role {role}; select percytech.set_brand_context('gnymble', false)"))
            .unwrap();
        for table in ["consent_events", "message_delivery_events"] {
            for statement in [
                format!("update {table} set brand_id = brand_id"),
                format!("update {table} set brand_id = brand_id where false"),
                format!("delete from {table}"),
                format!("truncate {table} cascade"),
                format!("merge into {table} using (values (1)) as x on true when matched then delete"),
            ] {
                assert_eq!(
                    refusal(&mut client, &statement),
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "{role}: {statement}"
                );
                if role == "postgres" {
                    let as_replica =
                        format!("begin; set local session_replication_role = replica; {statement}");
                    assert_eq!(refusal(&mut client, &as_replica), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
                    client.batch_execute("rollback").unwrap();
                }
            }
        }
        for statement in
            ["truncate recipients cascade", "truncate messages cascade", "truncate customers cascade"]
        {
            refusal(&mut client, statement);
        }
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn what_the_ledger_speaks_of_is_not_taken_away() {
    let (database, mut login) = with_rows();
    let before = contents(&database);
    for statement in [
        "delete from messages where direction = 'inbound'",
        "delete from messages where kind = 'opt_out'",
        "update messages set id = gen_random_uuid() where direction = 'inbound'",
        "update messages set id = gen_random_uuid() where kind = 'opt_out'",
    ] {
        let code = refusal(&mut login, statement);
        assert!(["23001", "23503"].contains(&code.code()), "{statement}: {code:?}");
    }
    for statement in [
        "delete from conversations",
        "update conversations set id = gen_random_uuid()",
        "delete from customers",
    ] {
        refusal(&mut login, statement);
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

#[test]
fn what_says_that_it_is_a_confirmation_is_not_one() {
    let (_database, mut login) = with_rows();
    let thread: String = value(&mut login, "select id::text from conversations");
    for kind in ["opt_out", "opt_in", "help", "message"] {
        login
            .batch_execute(&format!(
                "insert into messages (conversation_id, direction, content, status, kind, due_at)
                 values ('{thread}', 'outbound', 'buy', 'pending', '{kind}', now())"
            ))
            .unwrap();
    }
    let confirmation = words(&mut login, "opt_out", "en");
    assert_eq!(claim(&mut login), [format!("{ANA} {confirmation}")], "the real one");
    let cancelled: i64 = value(
        &mut login,
        "select count(*) from messages
         where content = 'buy' and cancelled_at is not null and claimed_at is null and status = 'failed'",
    );
    assert_eq!(cancelled, 4);
}

/// What is given out after the confirmation's row is changed to be of this kind, and to sell: the only message's content,
/// and whether it has no media and no metadata.
fn sold_as(kind: &str) -> (String, bool, String) {
    let (_database, mut login) = with_rows();
    let edit = format!(
        "update messages set content = 'buy', kind = '{kind}', metadata = '{{\"buy\": true}}',
           media_urls = '{{https://example.com/offer.jpg}}'
         where kind = 'opt_out'"
    );
    assert_eq!(changed(&mut login, &edit), 1);
    let row = login
        .query_one("select content, media_urls is null and metadata is null from claim_outbound()", &[])
        .unwrap();
    (row.get(0), row.get(1), words(&mut login, "opt_out", "en"))
}

#[test]
fn the_confirmation_is_sent_in_the_words_of_the_ledger_and_with_nothing_else() {
    let (content, is_bare, expected) = sold_as("opt_out");
    assert_eq!(content, expected);
    assert!(is_bare, "no picture was in the ledger");
}

#[test]
fn the_confirmation_is_what_it_is_whatever_kind_its_row_says() {
    for kind in ["opt_in", "help", "message"] {
        let (content, is_bare, expected) = sold_as(kind);
        assert_eq!(content, expected, "{kind}");
        assert!(is_bare, "{kind}");
    }
}

#[test]
fn the_confirmation_goes_out_once_whatever_is_done_to_its_row() {
    let (_database, mut login) = with_rows();
    assert_eq!(claim(&mut login).len(), 1);
    login
        .batch_execute("update messages set claimed_at = null, claimed_by = null where kind = 'opt_out'")
        .unwrap();
    assert_eq!(claim(&mut login), [] as [String; 0]);
    let why: String = value(&mut login, "select cancel_reason from messages where kind = 'opt_out'");
    assert_eq!(why, "opted_out");
    login
        .batch_execute("update messages set claimed_at = null, cancelled_at = null, due_at = now() where kind = 'opt_out'")
        .unwrap();
    assert_eq!(claim(&mut login), [] as [String; 0]);
    // Nor when it is set back while an opt-in and another opt-out come.
    text(&mut login, ANA, "START");
    text(&mut login, ANA, "STOP");
    login
        .batch_execute("update messages set claimed_at = null, cancelled_at = null, due_at = now() where kind = 'opt_out'")
        .unwrap();
    assert_eq!(claim(&mut login).len(), 1, "the second opt-out's");
}

#[test]
fn a_reply_goes_to_nobody_else() {
    for body in ["STOP", "HELP", "START"] {
        for change in [
            format!("update conversations set customer_phone = '{BEN}'"),
            format!(
                "with c as (
                   insert into conversations (customer_phone, brand_phone) values ('{BEN}', '+12125550199') returning id
                 )
                 update messages set conversation_id = c.id from c where kind <> 'message'"
            ),
        ] {
            let database = with_numbers();
            let mut login = of_gnymble(&database);
            conversation(&mut login, ANA);
            text(&mut login, ANA, body);
            login.batch_execute(&change).unwrap();
            assert_eq!(claim(&mut login), [] as [String; 0], "{body}: {change}");
        }
    }
}

#[test]
fn a_number_that_has_opted_out_is_not_reached_by_changing_a_conversation() {
    let database = with_numbers();
    let mut login = of_gnymble(&database);
    let (out, other) = (conversation(&mut login, ANA), conversation(&mut login, BEN));
    login.batch_execute(&format!("select process_opt_out('{ANA}', 'r')")).unwrap();
    // Queued to another number, which is then changed to this one; made active again; moved.
    queue(&mut login, &other, "one");
    login
        .batch_execute(&format!(
            "update conversations set status = 'active', opted_out_at = null, opt_out_reason = null where id = '{out}';
             update conversations set customer_phone = '(415) 555-2671' where id = '{other}';
             insert into messages (conversation_id, direction, content, status, due_at)
             values ('{out}', 'outbound', 'two', 'pending', now() - interval '1 day')"
        ))
        .unwrap();
    assert_eq!(claim(&mut login), [] as [String; 0]);
    let third = conversation(&mut login, BEN.replace("+1", "1").as_str());
    queue(&mut login, &third, "three");
    login
        .batch_execute(&format!("update messages set conversation_id = '{out}' where content = 'three'"))
        .unwrap();
    assert_eq!(claim(&mut login), [] as [String; 0]);
    login
        .batch_execute(
            "update messages set cancelled_at = null, cancel_reason = null, claimed_at = null, due_at = '-infinity'",
        )
        .unwrap();
    assert_eq!(claim(&mut login), [] as [String; 0]);
    assert_eq!(sendable(&mut login, ANA), "opted_out");
}

#[test]
fn no_message_keeps_a_number_from_opting_out_or_in() {
    let database = with_numbers();
    let mut login = of_gnymble(&database);
    let thread = conversation(&mut login, ANA);
    // Sent without a claim, by plain SQL, and what the provider said of it came.
    for (number, status) in ["sent", "failed", "undelivered", "delivered"].into_iter().enumerate() {
        queue(&mut login, &thread, status);
        login
            .batch_execute(&format!(
                "update messages set external_id = 'SM{number}' where content = '{status}';
                 select record_delivery_status('SM{number}', '{status}', now())"
            ))
            .unwrap();
    }
    assert_eq!(text(&mut login, ANA, "STOP")["intent"], "opt_out");
    assert_eq!(sendable(&mut login, ANA), "opted_out");
    let said: i64 = value(
        &mut login,
        "select count(*) from messages where content = status::text and cancelled_at is null and external_id is not null",
    );
    assert_eq!(said, 4, "what was sent is not cancelled");
    // Nor does its own confirmation.
    claim(&mut login);
    login
        .batch_execute(
            "select record_sent(id, 'SM9') from messages where kind = 'opt_out';
             select record_delivery_status('SM9', 'delivered', now());
             update messages set claimed_at = null",
        )
        .unwrap();
    assert_eq!(text(&mut login, ANA, "START")["intent"], "opt_in");
    assert_eq!(sendable(&mut login, ANA), "allowed");
    assert_eq!(text(&mut login, ANA, "STOP")["intent"], "opt_out");
    assert_eq!(sendable(&mut login, ANA), "opted_out");
}

#[test]
fn what_runs_within_takes_no_calls_from_applications() {
    let (database, mut login) = with_rows();
    let before = contents(&database);
    for call in [
        "require_phone('+14155552671')",
        "lock_recipient('gnymble', '+14155552671')",
        "queue_reply(null)",
        "opt_out_number(null, null)",
        "opt_in_number(null, null)",
        "said_of_number('gnymble', 'opt_in', '+14155552671', 'r', 's')",
        "enter_brand_of_sender('+12125550102')",
        "customer_of('gnymble', '+14155552671')",
        "open_conversation('gnymble', '+14155552671', '+12125550101')",
        "answer_of_duplicate('gnymble', gen_random_uuid(), '+1', '+1')",
        "take_in_written('gnymble', gen_random_uuid(), null, 'SM1')",
        "heed_reply(null, null, null)",
        "judge_messages('gnymble', '{}', '{}')",
        "enter_brand_of_message('SM1')",
        "apply_delivery_events('gnymble', 'SM1')",
        "leave_brand_context('percymd')",
    ] {
        let error = error_of(&mut login, &format!("select {call}"));
        // A function that is not there any more is called by nobody either.
        let is_closed =
            [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_FUNCTION].contains(error.code());
        assert!(is_closed, "{call}: {error:?}");
    }
    assert_eq!(changes(&database, &before), [] as [String; 0]);
}

/// The functions of the schema that a role may call.
fn callable(superuser: &mut Client, role: &str) -> Vec<String> {
    values(
        superuser,
        &format!(
            "select proname::text from pg_proc
             where pronamespace = 'public'::regnamespace and has_function_privilege('{role}', oid, 'execute') order by 1"
        ),
    )
}

#[test]
fn applications_call_these_functions_and_anonymous_users_none() {
    let database = TestDatabase::supabase();
    let mut superuser = database.superuser();
    let expected = [
        "are_time_zones",
        "can_send",
        "check_cohort_periods",
        "check_funnel_steps",
        "check_report_flag",
        "check_report_span",
        "check_report_window",
        "claim_outbound",
        "cohort_retention",
        "current_brand",
        "journey_funnel",
        "mark_dormant",
        "period_index",
        "process_inbound_message",
        "process_opt_in",
        "process_opt_out",
        "queue_message",
        "record_delivery_status",
        "record_failed",
        "record_sent",
        "search_customers",
        "sending_opens_at",
        "set_brand_context",
        "source_performance",
        "stage_durations",
        "stage_history",
        "time_to_subscription",
        "transition_stage",
        "transition_stages",
    ];
    for role in ["percytech_app", "authenticated", "service_role"] {
        assert_eq!(callable(&mut superuser, role), expected, "{role}");
    }
    assert_eq!(callable(&mut superuser, "anon"), [] as [String; 0]);
    assert_eq!(callable(&mut superuser, "public"), [] as [String; 0]);
}

#[test]
fn an_anonymous_request_is_refused_and_a_users_is_not() {
    let database = prepared(TestDatabase::supabase());
    let to = sender_of("gnymble");
    for (role, may) in [("anon", false), ("authenticated", true), ("service_role", true)] {
        let mut postgrest = database.connect("authenticator");
        for call in [
            format!("process_inbound_message('{ANA}', '{to}', 'hello', null)"),
            format!("process_opt_out('{BEN}', 'r')"),
            format!("process_opt_in('{BEN}', 'r')"),
            format!("can_send('{BEN}')"),
            "claim_outbound(1)".to_owned(),
            "record_delivery_status('SM1', 'sent', now())".to_owned(),
        ] {
            postgrest
                .batch_execute(&format!(
                    r#"begin; set local role {role};
                       set local request.jwt.claims = '{{"role": "{role}", "app_metadata": {{"brand_id": "gnymble"}}}}'"#
                ))
                .unwrap();
            if may {
                postgrest.batch_execute("select percytech.apply_request_context()").unwrap();
            }
            let result = postgrest.batch_execute(&format!("select {call}"));
            if may {
                result.unwrap_or_else(|error| panic!("{role}: {call}: {error:?}"));
            } else {
                let error = result.unwrap_err();
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{call}: {error:?}");
            }
            postgrest.batch_execute("rollback").unwrap();
        }
    }
}

#[test]
fn temporary_objects_of_a_caller_are_not_taken_for_ours_by_what_runs_as_the_owner() {
    let database = with_numbers();
    let mut login = of_gnymble(&database);
    let thread = conversation(&mut login, ANA);
    conversation(&mut login, BEN);
    login
        .batch_execute(
            "create function pg_temp.evil(v anyelement) returns boolean language plpgsql as $$ begin
               if current_user = 'percytech_owner' then raise 'I am the owner' using errcode = 'XX999'; end if;
               return true;
             end $$;
             create function pg_temp.equals(a text, b text) returns boolean language plpgsql as $$ begin
               if current_user = 'percytech_owner' then raise 'I am the owner' using errcode = 'XX999'; end if;
               return true;
             end $$;
             create operator pg_temp.= (leftarg = text, rightarg = text, function = pg_temp.equals);
             create function pg_temp.now() returns timestamptz language plpgsql as $$ begin raise 'now' using errcode = 'XX999'; end $$;
             create function pg_temp.gen_random_uuid() returns uuid language plpgsql as $$ begin raise 'uuid' using errcode = 'XX999'; end $$;
             create function pg_temp.normalize_phone(text) returns text language plpgsql as $$ begin raise 'phone' using errcode = 'XX999'; end $$;",
        )
        .unwrap();
    for table in [
        "opt_outs",
        "recipients",
        "consent_events",
        "messages",
        "conversations",
        "customers",
        "reply_texts",
        "quiet_hours",
        "opt_out_policies",
        "brand_phone_numbers",
        "message_delivery_events",
        "events",
        "judged",
        "due",
        "locked",
    ] {
        login.batch_execute(&format!("create temporary table {table} (phone pg_catalog.text)")).unwrap();
    }
    for (name, base) in [
        ("text", "text"),
        ("timestamptz", "timestamptz"),
        ("uuid", "uuid"),
        ("jsonb", "jsonb"),
        ("record", "text"),
        ("interval", "interval"),
        ("integer", "int4"),
        ("boolean", "bool"),
        ("timestamp", "timestamp"),
        ("time", "time"),
        ("date", "date"),
        ("brand_id", "text"),
        ("message_status", "text"),
        ("conversation_status", "text"),
        ("bigint", "int8"),
    ] {
        login
            .batch_execute(&format!(
                "create domain pg_temp.\"{name}\" as pg_catalog.{base} check (pg_temp.evil(value))"
            ))
            .unwrap();
    }
    let to = sender_of("gnymble");
    let inbound =
        |body: &str| format!("select public.process_inbound_message('{ANA}', '{to}', '{body}', null)");
    for statement in [
        inbound("hello"),
        inbound("HELP"),
        inbound("STOP"),
        inbound("START"),
        format!("select public.process_inbound_message('+14155559999', '{to}', 'STOP', 'SM1')"),
        format!("select public.process_inbound_message('+14155559999', '{to}', 'STOP', 'SM1')"),
        format!("select * from public.can_send('{ANA}')"),
        format!("select public.queue_message('{thread}', 'hello')"),
        "select * from public.claim_outbound(100)".to_owned(),
        "select public.record_sent(id, id::pg_catalog.text) from public.messages where claimed_at is not null".to_owned(),
        "select public.record_delivery_status(external_id, 'failed', now(), '21610') from public.messages where claimed_at is not null".to_owned(),
        "select public.record_delivery_status('SM9', 'failed', pg_catalog.now())".to_owned(),
        format!("select public.process_opt_in('{ANA}', 'r')"),
        format!("select public.process_opt_out('{ANA}', 'r')"),
        "update public.quiet_hours set fallback_time_zones = '{Europe/Paris}'".to_owned(),
        "update public.messages set sent_at = sent_at - '1 minute'::pg_catalog.interval where direction = 'inbound'".to_owned(),
        "insert into public.messages (conversation_id, direction, content) select id, 'outbound', 'x' from public.conversations".to_owned(),
        "delete from public.messages where content = 'x'".to_owned(),
    ] {
        login.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    let kept: i64 =
        value(&mut database.superuser(), "select count(*) from opt_outs where source in ('reply', 'manual')");
    assert_eq!(kept, 2, "it was done to the real tables");
}

#[test]
fn an_opt_out_archives_a_conversation_in_which_an_application_has_written_the_time_of_one() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "update conversations set opted_out_at = '2020-01-01' where id = '{thread}';
         select process_opt_out('{ANA}', 'called')"
    ))
    .unwrap();
    let archived: bool = value(
        &mut app,
        "select status = 'archived' and opted_out_at > '2021-01-01' and opt_out_reason = 'called' from conversations",
    );
    assert!(archived);
    app.batch_execute(&format!("select process_opt_in('{ANA}', 'called')")).unwrap();
    let opened: bool =
        value(&mut app, "select status = 'active' and opted_out_at is null from conversations");
    assert!(opened);
}

#[test]
fn an_opt_out_says_when_and_why_in_a_conversation_that_was_archived_with_a_time_of_the_applications() {
    let mut app = with_numbers().app_of("gnymble");
    let thread = conversation(&mut app, ANA);
    app.batch_execute(&format!(
        "update conversations set status = 'archived', opted_out_at = '2020-01-01' where id = '{thread}';
         select process_opt_out('{ANA}', 'called')"
    ))
    .unwrap();
    let told: bool = value(
        &mut app,
        "select opted_out_at > '2021-01-01' and opt_out_reason = 'called' from conversations",
    );
    assert!(told);
}

#[test]
fn a_reply_text_is_no_longer_than_a_provider_takes() {
    let mut app = with_numbers().app_of("gnymble");
    app.batch_execute("update reply_texts set content = repeat('x', 1600)").unwrap();
    let error = error_of(&mut app, "update reply_texts set content = repeat('x', 1601)");
    assert_eq!(*error.code(), SqlState::CHECK_VIOLATION);
    let error = error_of(&mut app, "update quiet_hours set fallback_time_zones = '{{UTC},{UTC}}'");
    assert_eq!(*error.code(), SqlState::CHECK_VIOLATION);
}

#[test]
fn an_opt_out_does_not_wait_for_who_is_changing_a_queued_message_and_the_claim_takes_that_out() {
    let database = with_numbers();
    let (mut app, mut other) = (database.app_of("gnymble"), database.app_of("gnymble"));
    let thread = conversation(&mut app, ANA);
    let (held, free) = (queue(&mut app, &thread, "held"), queue(&mut app, &thread, "free"));
    other.batch_execute(&format!("begin; select from messages where id = '{held}' for update")).unwrap();
    let said = format!("select process_opt_out('{ANA}', 'called'); select process_opt_in('{ANA}', 'called')");
    app.batch_execute(&format!("set lock_timeout = '5s'; {said}")).unwrap();
    other.batch_execute("commit").unwrap();
    assert_eq!(claim(&mut app), [] as [String; 0]);
    for message in [held, free] {
        let reason: String =
            value(&mut app, &format!("select cancel_reason from messages where id = '{message}'"));
        assert_eq!(reason, "opted_out");
    }
}

#[test]
fn an_import_of_conversations_and_a_reply_do_not_wait_for_each_other() {
    let database = with_numbers();
    let (mut app, mut other) = (database.app_of("gnymble"), database.app_of("gnymble"));
    let to = sender_of("gnymble");
    // A row a second.
    let import = std::thread::spawn(move || {
        other.batch_execute(&format!(
            "insert into conversations (customer_phone, brand_phone)
             select number, '{to}' from (values ('{ANA}'), ('{BEN}')) as numbers (number), lateral (select pg_sleep(case when number is null then 0 else 1 end)) as pause"
        ))
    });
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let stop = answer(&mut app, &format!("process_inbound_message('{ANA}', '{to}', 'STOP', 'SM1')"));
    import.join().unwrap().unwrap();
    assert_eq!(stop["intent"], "opt_out");
    assert_eq!(sendable(&mut app, ANA), "opted_out");
}
