//! The customer's journey: a state machine that plain SQL cannot bypass.

use std::io::Write;

use percytech_tests::{
    BRANDS, TestDatabase, changed, fill, login_of, migrate_up, policies_apply, refusal, sql, value, values,
};
use percytech_toolkit::migrate::file;
use postgres::Client;
use postgres::error::{DbError, SqlState};

const STAGES: [&str; 6] = ["lead", "marketing", "trial", "active", "churned", "dormant"];

/// The graph as the design has it, said here once more.
fn is_allowed(from: &str, to: &str) -> bool {
    let reachable: &[&str] = match from {
        "lead" => &["marketing", "trial", "dormant", "churned"],
        "marketing" => &["trial", "dormant", "churned", "lead"],
        "trial" => &["active", "churned", "dormant"],
        "active" => &["churned", "dormant"],
        "churned" => &["trial", "active", "marketing"],
        "dormant" => &["marketing", "trial", "active", "churned"],
        _ => &[],
    };
    reachable.contains(&to)
}

/// A new customer of the brand in context, in this stage.
pub fn customer_in(client: &mut Client, stage: &str) -> String {
    value(
        client,
        &format!(
            "insert into customers (email, stage) values (gen_random_uuid() || '@example.com', '{stage}') returning id::text"
        ),
    )
}

pub fn stage_of(client: &mut Client, customer: &str) -> String {
    value(client, &format!("select stage::text from customers where id = '{customer}'"))
}

/// The moves of a customer, as `from>to`.
pub fn history_of(client: &mut Client, customer: &str) -> Vec<String> {
    values(
        client,
        &format!(
            "select coalesce(from_stage::text, '') || '>' || to_stage from customer_stage_transitions
             where customer_id = '{customer}' order by position"
        ),
    )
}

pub fn error_of(client: &mut Client, sql: &str) -> DbError {
    let error = client.batch_execute(sql).map(drop).unwrap_err();
    error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}")).clone()
}

#[test]
fn each_pair_of_stages_is_allowed_or_refused_by_every_statement_for_each_brand() {
    let database = TestDatabase::migrated();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        for from in STAGES {
            for to in STAGES.into_iter().filter(|&to| to != from) {
                for route in ["function", "update", "upsert", "merge"] {
                    app.batch_execute("begin").unwrap();
                    let customer = customer_in(&mut app, from);
                    let statement = match route {
                        "function" => format!("select transition_stage('{customer}', '{to}')"),
                        "update" => format!("update customers set stage = '{to}' where id = '{customer}'"),
                        "upsert" => format!(
                            "insert into customers (email, stage) select email, '{to}' from customers where id = '{customer}'
                             on conflict (brand_id, email) do update set stage = excluded.stage"
                        ),
                        _ => format!(
                            "merge into customers using (values ('{customer}'::uuid)) as moved (id) on customers.id = moved.id
                             when matched then update set stage = '{to}'"
                        ),
                    };
                    app.batch_execute("savepoint s").unwrap();
                    if is_allowed(from, to) {
                        app.batch_execute(&statement)
                            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
                        assert_eq!(stage_of(&mut app, &customer), to);
                        assert_eq!(
                            history_of(&mut app, &customer),
                            [format!(">{from}"), format!("{from}>{to}")],
                            "{route}"
                        );
                    } else {
                        let error = error_of(&mut app, &statement);
                        assert_eq!(error.code(), &SqlState::CHECK_VIOLATION, "{statement}");
                        assert_eq!(error.detail(), Some(format!("{from} → {to}").as_str()), "{statement}");
                        let hint = error.hint().unwrap();
                        assert!(
                            STAGES.iter().all(
                                |stage| hint[5 + from.len()..].contains(stage) == is_allowed(from, stage)
                            ),
                            "{hint}"
                        );
                        app.batch_execute("rollback to s").unwrap();
                        assert_eq!(stage_of(&mut app, &customer), from);
                        assert_eq!(history_of(&mut app, &customer), [format!(">{from}")], "{route}");
                    }
                    app.batch_execute("rollback").unwrap();
                }
            }
        }
    }
}

#[test]
fn the_first_stage_of_a_customer_is_recorded_however_the_row_comes() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    let mut copy = superuser.copy_in("copy customers (brand_id, email, stage) from stdin").unwrap();
    for brand in BRANDS {
        for stage in STAGES {
            copy.write_all(format!("{brand}\t{stage}@example.com\t{stage}\n").as_bytes()).unwrap();
        }
    }
    copy.finish().unwrap();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        let recorded: Vec<String> = values(
            &mut app,
            "select email || to_stage from customer_stage_transitions
             join customers on customers.id = customer_id
             where from_stage is null and position = 1 and occurred_at = customers.created_at and actor = 'postgres'
             order by stage",
        );
        assert_eq!(recorded, STAGES.map(|stage| format!("{stage}@example.com{stage}")));
    }
    let upsert = "insert into customers (email) values ('lead@example.com') on conflict do nothing";
    let mut app = database.app_of("gnymble");
    assert_eq!(changed(&mut app, upsert), 0);
    assert_eq!(value::<i64>(&mut app, "select count(*) from customer_stage_transitions"), 6, "nothing came");
}

#[test]
fn a_brand_changes_its_own_rules_and_sees_no_others() {
    let database = TestDatabase::migrated();
    let mut gnymble = database.connect(&login_of("gnymble"));
    gnymble.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    let mut percymd = database.app_of("percymd");
    let seen = "select count(*), count(distinct brand_id), min(brand_id::text) from stage_transition_rules";
    let row = gnymble.query_one(seen, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, &str>(2)), (20, 1, "gnymble"));

    let skip = |client: &mut Client| {
        let customer = customer_in(client, "lead");
        client.batch_execute(&format!("select transition_stage('{customer}', 'active')"))
    };
    assert!(skip(&mut gnymble).is_err());
    gnymble
        .batch_execute("insert into stage_transition_rules (from_stage, to_stage) values ('lead', 'active')")
        .unwrap();
    skip(&mut gnymble).unwrap();
    assert!(skip(&mut percymd).is_err(), "the rule is gnymble's");
    gnymble.batch_execute("delete from stage_transition_rules where from_stage = 'lead'").unwrap();
    let customer = customer_in(&mut gnymble, "lead");
    let error = error_of(&mut gnymble, &format!("select transition_stage('{customer}', 'trial')"));
    assert_eq!(error.hint(), Some("From lead no stage can be reached."));
    assert_eq!(value::<i64>(&mut percymd, "select count(*) from stage_transition_rules"), 20);
    let other = "insert into stage_transition_rules (brand_id, from_stage, to_stage) values ('percymd', 'lead', 'active')";
    assert_eq!(refusal(&mut gnymble, other), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn a_stage_is_first_entered_once_and_left_for_churned_again_and_again() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customer: String = value(
        &mut app,
        "insert into customers (email, created_at) values ('a@example.com', now() - interval '10 days') returning id::text",
    );
    let moves = [
        ("marketing", 9),
        ("trial", 8),
        ("active", 7),
        ("churned", 6),
        ("trial", 5),
        ("active", 4),
        ("churned", 3),
    ];
    for (stage, days) in moves {
        app.batch_execute(&format!(
            "select transition_stage('{customer}', '{stage}', occurred_at => date_trunc('day', now()) - interval '{days} days')"
        ))
        .unwrap();
    }
    let days_since: Vec<i32> = value(
        &mut app,
        "select array[marketing_qualified_at, trial_started_at, subscribed_at, churned_at]
         from customers"
            .replace("array[", "(select array_agg((date_trunc('day', now())::date - at::date) order by place) from unnest(array[")
            .replace("churned_at]", "churned_at]) with ordinality as times (at, place))")
            .as_str(),
    );
    assert_eq!(days_since, [9, 8, 7, 3]);
    assert_eq!(history_of(&mut app, &customer).len(), moves.len() + 1);
    let written = "update customers set subscribed_at = now()";
    assert_eq!(refusal(&mut app, written), SqlState::CHECK_VIOLATION);
}

#[test]
fn a_move_may_be_recorded_late_and_not_before_the_last_one_nor_ahead() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customer: String = value(
        &mut app,
        "insert into customers (email, created_at) values ('a@example.com', now() - interval '10 days') returning id::text",
    );
    let transition = |stage: &str, at: &str| {
        format!("select transition_stage('{customer}', '{stage}', occurred_at => now() {at})")
    };
    app.batch_execute(&transition("trial", "- interval '5 days'")).unwrap();
    let error = error_of(&mut app, &transition("active", "- interval '6 days'"));
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "the move occurred before the customer's previous one");
    assert!(error.detail().unwrap().ends_with("when the customer came to the stage."), "{error:?}");
    let ahead = error_of(&mut app, &transition("active", "+ interval '1 hour'"));
    assert_eq!(ahead.message(), "the move has not occurred yet");
    app.batch_execute(&transition("active", "- interval '5 days'")).unwrap();
    let kept: bool = value(
        &mut app,
        "select occurred_at < now() - interval '4 days' and recorded_at > now() - interval '1 minute'
         from customer_stage_transitions where to_stage = 'active'",
    );
    assert!(kept, "when it happened, and when it was learnt of");
}

#[test]
fn a_move_from_another_stage_than_expected_is_a_conflict() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let customer = customer_in(&mut app, "trial");
    let error = error_of(
        &mut app,
        &format!("select transition_stage('{customer}', 'marketing', expected_from => 'lead')"),
    );
    assert_eq!(error.code().code(), "PT409");
    assert_eq!(error.message(), "the customer is in stage trial, not lead");
    app.batch_execute(&format!("select transition_stage('{customer}', 'active', expected_from => 'trial')"))
        .unwrap();
}

#[test]
fn another_brands_customer_is_answered_as_one_that_does_not_exist() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let others: String =
        value(&mut database.superuser(), "select id::text from customers where brand_id = 'percymd' limit 1");
    let nobodys = "00000000-0000-0000-0000-000000000000";
    let mut app = database.app_of("gnymble");
    for arguments in ["'trial'", "'lead', expected_from => 'lead'", "'trial', occurred_at => 'infinity'"] {
        let answer = |app: &mut Client, id: &str| {
            let error = error_of(app, &format!("select transition_stage('{id}', {arguments})"));
            (
                error.code().clone(),
                error.message().replace(id, "ID"),
                error.detail().map(str::to_owned),
                error.hint().map(str::to_owned),
            )
        };
        let theirs = answer(&mut app, &others);
        assert_eq!(theirs, answer(&mut app, nobodys), "{arguments}");
        assert_eq!(theirs.0.code(), "PT404");
    }
    for id in [&others, nobodys] {
        let history = format!("select count(*) from stage_history('{id}')");
        assert_eq!(value::<i64>(&mut app, &history), 0);
        let list = format!(r#"[{{"customer_id": "{id}", "to_stage": "trial"}}]"#);
        let row =
            app.query_one(&format!("select outcome, error from transition_stages('{list}')"), &[]).unwrap();
        assert_eq!(row.get::<_, &str>(0), "refused");
        assert_eq!(row.get::<_, &str>(1).replace(id, "ID"), "there is no customer ID");
    }
}

#[test]
fn the_same_key_moves_once() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let (customer, other) = (customer_in(&mut app, "lead"), customer_in(&mut app, "lead"));
    let transition = |customer: &str, stage: &str| {
        format!(
            "select id::text from transition_stage('{customer}', '{stage}', idempotency_key => 'order 7')"
        )
    };
    let first: String = value(&mut app, &transition(&customer, "trial"));
    app.batch_execute(&format!("select transition_stage('{customer}', 'active')")).unwrap();
    assert_eq!(value::<String>(&mut app, &transition(&customer, "trial")), first);
    assert_eq!(stage_of(&mut app, &customer), "active", "nothing is written");
    for other in [transition(&other, "trial"), transition(&customer, "churned")] {
        assert_eq!(error_of(&mut app, &other).code().code(), "PT409");
    }
    let database = TestDatabase::migrated();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        let customer = customer_in(&mut app, "lead");
        app.batch_execute(&transition(&customer, "trial")).unwrap();
    }
}

#[test]
fn a_move_to_where_the_customer_is_changes_nothing() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let customer = customer_in(&mut app, "trial");
    let row: String =
        value(&mut app, &format!("select to_stage::text from transition_stage('{customer}', 'trial')"));
    assert_eq!(row, "trial");
    app.batch_execute("update customers set stage = stage").unwrap();
    assert_eq!(history_of(&mut app, &customer), [">trial"]);
}

#[test]
fn a_move_has_an_actor() {
    let database = TestDatabase::supabase();
    let mut app = database.connect(&login_of("gnymble"));
    app.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    let customer = customer_in(&mut app, "lead");
    // Claims that anybody can set name nobody.
    app.batch_execute(r#"set request.jwt.claims = '{"sub": "mallory"}'"#).unwrap();
    app.batch_execute(&format!("update customers set stage = 'marketing' where id = '{customer}'")).unwrap();
    app.batch_execute(&format!("select transition_stage('{customer}', 'trial', actor => 'ada')")).unwrap();
    let mut postgrest = database.connect("authenticator");
    postgrest
        .batch_execute(&format!(
            r#"begin; set local role authenticated;
               set local request.jwt.claims = '{{"sub": "7d3b", "app_metadata": {{"brand_id": "gnymble"}}}}';
               select percytech.apply_request_context();
               select transition_stage('{customer}', 'active'); commit"#
        ))
        .unwrap();
    let actors: Vec<String> =
        values(&mut app, "select actor from customer_stage_transitions order by position");
    assert_eq!(actors, ["test_gnymble", "test_gnymble", "ada", "7d3b"]);
}

#[test]
fn a_list_of_moves_is_answered_one_by_one_and_in_order() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customers: Vec<String> = values(
        &mut app,
        "insert into customers (email) select number || '@example.com' from generate_series(1, 5000) as number returning id::text",
    );
    let mut list = Vec::new();
    let mut expected = Vec::new();
    for (number, customer) in customers.iter().enumerate() {
        let (first, outcome) = match number % 5 {
            0 => (format!(r#"{{"customer_id": "{customer}", "to_stage": "active"}}"#), "refused"),
            1 => (r#"{"customer_id": "not a uuid", "to_stage": "trial"}"#.to_owned(), "refused"),
            2 => (
                format!(r#"{{"customer_id": "00000000-0000-0000-0000-{number:012}", "to_stage": "trial"}}"#),
                "refused",
            ),
            3 => (format!(r#"{{"customer_id": "{customer}", "to_stage": "no stage"}}"#), "refused"),
            _ => (format!(r#"{{"customer_id": "{customer}", "to_stage": "lead"}}"#), "unchanged"),
        };
        list.push(first);
        expected.push(outcome);
        list.push(format!(r#"{{"customer_id": "{customer}", "to_stage": "trial", "reason": "list"}}"#));
        expected.push("moved");
    }
    assert_eq!(list.len(), 10_000);
    let json: serde_json::Value = serde_json::from_str(&format!("[{}]", list.join(","))).unwrap();
    let rows = app
        .query(
            "select customer_id::text, outcome, error from transition_stages($1::text::jsonb)",
            &[&json.to_string()],
        )
        .unwrap();
    let outcomes: Vec<&str> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(outcomes, expected);
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row.get::<_, Option<&str>>(2).is_some(), expected[place] == "refused");
        if place % 2 == 1 {
            assert_eq!(row.get::<_, &str>(0), customers[place / 2]);
        }
    }
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers where stage = 'trial'"), 5000);
    assert_eq!(value::<i64>(&mut app, "select count(*) from transition_stages('[]')"), 0);
    assert_eq!(refusal(&mut app, "select transition_stages('{}')"), SqlState::INVALID_PARAMETER_VALUE);
}

#[test]
fn the_history_tells_how_long_a_customer_was_where() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customer: String = value(
        &mut app,
        "insert into customers (email, created_at) values ('a@example.com', now() - interval '10 days') returning id::text",
    );
    for (stage, days) in [("trial", 7), ("active", 2)] {
        app.batch_execute(&format!(
            "select transition_stage('{customer}', '{stage}', 'why', occurred_at => now() - interval '{days} days')"
        ))
        .unwrap();
    }
    let told: Vec<String> = values(
        &mut app,
        &format!(
            "select concat_ws(' ', stage, from_stage, extract(day from time_in_stage), left_at is null, reason)
             from stage_history('{customer}')"
        ),
    );
    assert_eq!(told, ["lead 3 f", "trial lead 5 f why", "active trial 2 t why"]);
}

#[test]
fn who_has_not_been_heard_of_becomes_dormant() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    for stage in STAGES {
        app.batch_execute(&format!(
            "insert into customers (email, stage, created_at) values
               ('{stage}-old@example.com', '{stage}', now() - interval '90 days'),
               ('{stage}-new@example.com', '{stage}', now())"
        ))
        .unwrap();
    }
    // Old, but heard of: a move, a message.
    app.batch_execute(
        "insert into customers (email, created_at) values
           ('moved@example.com', now() - interval '90 days'), ('wrote@example.com', now() - interval '90 days');
         update customers set stage = 'marketing' where email = 'moved@example.com';
         insert into conversations (customer_id, customer_phone, brand_phone, last_message_at)
         select id, '+15551111111', '+15552222222', now() from customers where email = 'wrote@example.com'",
    )
    .unwrap();
    assert_eq!(value::<i32>(&mut app, "select mark_dormant('30 days', 2)"), 2);
    assert_eq!(value::<i32>(&mut app, "select mark_dormant('30 days')"), 1);
    assert_eq!(value::<i32>(&mut app, "select mark_dormant('30 days')"), 0);
    let dormant: Vec<String> = values(
        &mut app,
        "select email from customers join customer_stage_transitions on customer_id = customers.id
         where to_stage = 'dormant' and from_stage is not null and reason = 'inactive for 30 days' order by stage, email",
    );
    assert_eq!(dormant, ["lead-old@example.com", "marketing-old@example.com", "trial-old@example.com"]);
    for odd in ["null", "'0 days'", "'-1 day'", "'1 day', 0", "'1 day', null"] {
        assert_eq!(
            refusal(&mut app, &format!("select mark_dormant({odd})")),
            SqlState::INVALID_PARAMETER_VALUE,
            "{odd}"
        );
    }
}

#[test]
fn without_a_brand_in_context_nobody_is_moved() {
    let mut app = TestDatabase::migrated().app();
    for call in [
        "select transition_stage(gen_random_uuid(), 'trial')",
        "select * from transition_stages('[]')",
        "select mark_dormant('1 day')",
    ] {
        assert_eq!(refusal(&mut app, call), SqlState::INSUFFICIENT_PRIVILEGE, "{call}");
    }
    assert_eq!(value::<i64>(&mut app, "select count(*) from stage_history(gen_random_uuid())"), 0);
}

#[test]
fn customers_from_before_the_history_begin_where_they_stand() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    let before = tempfile::tempdir().unwrap();
    for file in file::read_all(&sql("migrations")).unwrap() {
        if file.name().as_str() < "2026-11-22-15" || file.name() == "2026-11-22-extensions" {
            std::fs::copy(&file.path, before.path().join(file.path.file_name().unwrap())).unwrap();
        }
    }
    migrate_up(&mut superuser, before.path());
    // Row level security is forced, so that the migration sees one brand at a time.
    policies_apply(&mut superuser, &sql("policies"));
    fill(&mut superuser);
    migrate_up(&mut superuser, &sql("migrations"));
    policies_apply(&mut superuser, &sql("policies"));
    let begun: i64 = value(
        &mut superuser,
        "select count(*) from customers join customer_stage_transitions on customer_id = customers.id
         where from_stage is null and to_stage = stage and actor = 'migration' and occurred_at = customers.created_at",
    );
    assert_eq!(begun, 6);
    let dated: i64 = value(
        &mut superuser,
        "select count(*) from customers where stage = 'churned' and churned_at = created_at",
    );
    assert_eq!(dated, 3, "they came there when they came, if nothing else is known");
    let mut app = database.app_of("gnymble");
    assert_eq!(changed(&mut app, "update customers set stage = 'churned' where stage = 'active'"), 1);
    assert_eq!(value::<i64>(&mut app, "select count(*) from customer_stage_transitions"), 3);
}

#[test]
fn whatever_a_move_of_a_list_holds_the_others_are_moved_and_metadata_is_kept_as_it_is() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customers: Vec<String> = (0..3).map(|_| customer_in(&mut app, "lead")).collect();
    let exact = r#"{"x": 12345678901234567890123, "y": 1.10, "z": 0.12345678901234567890123, "big": 1e400}"#;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    let rows: Vec<String> = app
        .query(
            "select concat_ws(' ', outcome, error) from transition_stages($1::text::jsonb)",
            &[&format!(
                r#"[{{"customer_id": "{}", "to_stage": "trial", "metadata": {exact}}},
                    {{"customer_id": "{}", "to_stage": "trial", "metadata": {deep}}},
                    {{"customer_id": "{}", "to_stage": "trial", "metadata": [1]}},
                    {{"customer_id": "{}", "to_stage": "trial", "metadata": null, "actor": ""}},
                    {{"customer_id": {{"a": 1e400}}, "to_stage": "trial"}},
                    {{"customer_id": "{}", "to_stage": "trial", "occurred_at": "yesterday or so"}},
                    {{"customer_id": "{}", "to_stage": "trial", "reasons": "x"}},
                    {{"to_stage": "trial"}}, null]"#,
                customers[0], customers[1], customers[2], customers[2], customers[2], customers[2]
            )],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let outcomes: Vec<&str> = rows.iter().map(|row| row.split(' ').next().unwrap()).collect();
    assert_eq!(
        outcomes,
        ["moved", "moved", "refused", "moved", "refused", "refused", "refused", "refused", "refused"],
        "{rows:#?}"
    );
    let kept: bool = value(
        &mut app,
        &format!(
            "select metadata::text = '{exact}'::jsonb::text from customer_stage_transitions where customer_id = '{}' and position = 2",
            customers[0]
        ),
    );
    assert!(kept);
    assert_eq!(value::<String>(&mut app, "select min(actor) from customer_stage_transitions"), "test_app");
    assert_eq!(refusal(&mut app, "select transition_stages(null)"), SqlState::INVALID_PARAMETER_VALUE);
}

#[test]
fn a_key_that_would_name_no_move_is_refused() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let customer = customer_in(&mut app, "trial");
    let keyed = format!("select transition_stage('{customer}', 'trial', idempotency_key => 'k')");
    assert_eq!(error_of(&mut app, &keyed).code().code(), "PT409");
    app.batch_execute(&format!("select transition_stage('{customer}', 'churned')")).unwrap();
    assert_eq!(history_of(&mut app, &customer).len(), 2);
}

#[test]
fn who_wrote_is_not_dormant_whatever_the_conversation_says() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    app.batch_execute(
        "insert into customers (email, created_at) values ('a@example.com', now() - interval '90 days');
         insert into conversations (customer_id, customer_phone, brand_phone) select id, '+15551111111', '+15552222222' from customers;
         insert into messages (conversation_id, direction, content) select id, 'inbound', 'Hello' from conversations",
    )
    .unwrap();
    assert_eq!(value::<i32>(&mut app, "select mark_dormant('30 days')"), 0);
}
