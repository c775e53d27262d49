//! The SQL of the documents does what they say.

use std::process::Command;

use percytech_tests::{APP, TestDatabase, fill, root, run};
use percytech_toolkit::cluster::Installation;
use percytech_toolkit::script::Script;
use postgres::Client;

/// The SQL blocks of a document that have these words.
fn blocks(document: &str, words: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let blocks = text.split("```sql\n").skip(1).filter_map(|part| part.split("```").next());
    let found: Vec<_> = blocks.filter(|block| block.contains(words)).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{document} has no SQL with {words:?}");
    found
}

/// Runs a block statement by statement, each after what the document says of it: `-- ERROR:  message`, or a value at the
/// end of its line.
fn plays(client: &mut Client, block: &str) {
    let script = Script::parse("document.sql".as_ref(), block).unwrap();
    for statement in script.statements() {
        let after = &block[statement.offset + statement.sql.len()..];
        let (same_line, next_line) = after.trim_start_matches(';').split_once('\n').unwrap();
        let refused = next_line.lines().next().and_then(|line| line.strip_prefix("-- ERROR:  "));
        match (client.simple_query(&statement.sql), refused) {
            (Err(error), Some(message)) => {
                assert_eq!(error.as_db_error().unwrap().message(), message, "{}", statement.sql);
            }
            (Ok(rows), None) => {
                let expected = same_line.trim().strip_prefix("-- ").and_then(|words| words.split(':').next());
                if let Some(expected) = expected.filter(|expected| expected.parse::<i64>().is_ok()) {
                    let shown = rows.iter().any(|row| matches!(row, postgres::SimpleQueryMessage::Row(row) if row.get(0) == Some(expected)));
                    assert!(shown, "{} does not show {expected}", statement.sql);
                }
            }
            (outcome, refused) => panic!("{}: {outcome:?}, not {refused:?}", statement.sql),
        }
    }
}

/// What a superuser is to do, its roles renamed to this test's own, and what the login does then.
fn play_as_login(document: &str, login: &str) {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let own = format!("{login}_of_{}", database.name());
    for block in blocks(document, &format!("create role {login} ")) {
        let block = block.replace(login, &own).replace("password '…' ", "");
        let (preparation, rest) = block.split_once("\n\n").unwrap_or((&block, ""));
        database.superuser().batch_execute(preparation).unwrap();
        let mut client = database.connect(&own);
        if preparation.contains("set app.current_brand = 'gnymble'") {
            let current: String = percytech_tests::value(&mut client, "select percytech.current_brand()");
            assert_eq!(current, "gnymble");
        }
        plays(&mut client, rest);
    }
}

#[test]
fn the_applications_example_of_the_readme() {
    play_as_login("README.md", "shop");
}

#[test]
fn the_examples_of_the_brand_context() {
    play_as_login("docs/brand-context.md", "server");
    play_as_login("docs/brand-context.md", "shop");
}

#[test]
fn who_sees_no_row_is_told_why_as_documented() {
    let database = TestDatabase::migrated();
    let login = format!("shop_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!("create role {login} login in role percytech_app, brand_gnymble"))
        .unwrap();
    let [block] = &blocks("docs/brand-context.md", "select percytech.require_brand()")[..] else {
        panic!("there are several")
    };
    let mut client = database.connect(&login);
    let context: String = percytech_tests::value(&mut client, "select percytech.brand_context()::text");
    let documented = block.lines().find_map(|line| line.strip_prefix("-- ")).unwrap();
    let documented: serde_json::Value = serde_json::from_str(documented).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&context).unwrap(), documented);
    let error = client.batch_execute("select percytech.require_brand()").unwrap_err();
    let error = error.as_db_error().unwrap();
    let said = block.replace("\"shop\"", &format!("\"{login}\""));
    assert!(said.contains(&format!("-- ERROR:  {}\n", error.message())), "{error:?}");
    assert!(said.contains(&format!("-- DETAIL:  {}\n", error.detail().unwrap())), "{error:?}");
    assert!(said.contains(&format!("-- HINT:  {}\n", error.hint().unwrap())), "{error:?}");
}

#[test]
fn the_examples_of_the_journey() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    let customer = "7d3b2a52-6a3e-4c1e-9a51-0d6a1d3c9f10";
    let mut app = database.app_of("gnymble");
    app.batch_execute(&format!(
        "insert into customers (id, email) values ('{customer}', 'a@example.com');
         insert into conversations (customer_id, customer_phone, brand_phone) values ('{customer}', '+15551111111', '+15552222222')"
    ))
    .unwrap();
    for block in blocks("docs/journey.md", "select * from transition_stage(") {
        app.batch_execute(&block).unwrap();
    }
    let history = format!("select count(*) from stage_history('{customer}')");
    assert_eq!(percytech_tests::value::<i64>(&mut app, &history), 2);
    for block in blocks("docs/journey.md", "insert into stage_transition_rules (from_stage, to_stage) values")
    {
        app.batch_execute(&block).unwrap();
    }
    let all = "select count(*) from customer_stage_transitions";
    let before: i64 = percytech_tests::value(&mut superuser, all);
    for block in blocks("docs/journey.md", "disable trigger") {
        superuser.batch_execute(&block).unwrap();
    }
    assert_eq!(percytech_tests::value::<i64>(&mut app, &history), 0);
    let gone = format!("select count(*) from customers where id = '{customer}'");
    assert_eq!(percytech_tests::value::<i64>(&mut superuser, &gone), 0);
    assert_eq!(percytech_tests::value::<i64>(&mut superuser, all), before - 2, "and nobody else's");
    let is_always: bool = percytech_tests::value(
        &mut superuser,
        "select tgenabled = 'A' from pg_trigger where tgname = 'customer_stage_transitions_written_once'",
    );
    assert!(is_always, "as it was before");
    let history_is_kept = percytech_tests::refusal(&mut superuser, "delete from customer_stage_transitions");
    assert_eq!(history_is_kept, postgres::error::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
}

#[test]
fn a_new_brand_begins_with_the_rules_that_the_document_gives_it() {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute("alter type brand_id add value 'percypets'").unwrap();
    let text = std::fs::read_to_string(root().join("docs/journey.md")).unwrap().replace('\n', " ");
    let begin = text.find("insert into stage_transition_rules (from_stage, to_stage) select").unwrap();
    let insert = text[begin..].split('`').next().unwrap();
    let mut app = database.app_of("percypets");
    assert_eq!(app.execute(insert, &[]).unwrap(), 20);
    app.batch_execute(
        "insert into customers (email) values ('rex@example.com'); update customers set stage = 'trial'",
    )
    .unwrap();
}

#[test]
fn the_examples_of_opting_out() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser.batch_execute("alter type brand_id add value 'percypets'").unwrap();
    let mut app = database.app_of("gnymble");
    app.batch_execute(
        "update quiet_hours set quiet_from = '24:00', quiet_until = '00:00';
         insert into customers (id, email, phone)
         values ('7d3b2a52-6a3e-4c1e-9a51-0d6a1d3c9f10', 'a@example.com', '415 555 2671');
         insert into conversations (id, customer_id, customer_phone, brand_phone)
         select '9e2f4f0e-5b0c-4c1f-8a53-2f6f0c7d1e11', id, '+14155552671', '+14155550100' from customers;
         insert into conversations (id, customer_phone, brand_phone)
         values ('5e0c7a1e-4d2b-4f43-9d60-3a1b2c4d5e6f', '+14155552682', '+14155550100');
         insert into messages (id, conversation_id, direction, content, status, due_at, claimed_at)
         values ('b7d1f6a0-2f3c-4b6e-9a3b-1c2d3e4f5a6b', '5e0c7a1e-4d2b-4f43-9d60-3a1b2c4d5e6f', 'outbound', 'Hello', 'pending', now(), now())",
    )
    .unwrap();
    for block in blocks("docs/opt-out.md", "") {
        // The document's identifier stands for the one that was claimed.
        let claimed = "select coalesce(max(id::text), '') from messages where claimed_by is not null";
        let claimed: String = percytech_tests::value(&mut app, claimed);
        let block = block.replace("3c6e0b8a-9c15-4a64-8d5b-7f2e0d1c4b9a", &claimed);
        let is_the_dbas = ["brand_phone_numbers", "opt_out_policies", "percytech_owner"];
        let client =
            if is_the_dbas.iter().any(|words| block.contains(words)) { &mut superuser } else { &mut app };
        plays(client, &block);
    }

    let holds = |client: &mut Client, condition: &str| {
        assert!(percytech_tests::value::<bool>(client, &format!("select {condition}")), "{condition}");
    };
    holds(&mut app, "(select status = 'delivered' from messages where external_id = 'SM77aa')");
    holds(&mut app, "(select reason = 'opted_out' from can_send('+14155552671'))");
    holds(&mut app, "(select count(*) = 1 from messages where kind = 'opt_out')");
    holds(&mut app, "(select allowed from can_send('+14155552680'))");
    holds(
        &mut app,
        "(select not allowed from can_send('+14155552681', campaign_id => '5f1c9a52-6a3e-4c1e-9a51-0d6a1d3c9f77'))",
    );
    holds(&mut app, "(select source = 'provider' from opt_outs where phone = '+14155552682')");
    holds(
        &mut app,
        "(select count(*) = 1 from consent_events where message is null and phone = '+14155552671')",
    );
    holds(&mut app, "(select quiet_until = '00:00' from quiet_hours)");
    let mut of_pets = database.app_of("percypets");
    holds(&mut of_pets, "(select count(*) = 9 from reply_texts)");

    // What the journey's document says of erasing works now.
    for block in blocks("docs/journey.md", "disable trigger") {
        superuser.batch_execute(&block).unwrap();
    }
    holds(
        &mut app,
        "not exists (select from customers) and not exists (select from conversations where customer_id is not null)",
    );
    holds(&mut app, "(select reason = 'opted_out' from can_send('+14155552671'))");
    let ledger_is_kept = percytech_tests::refusal(&mut superuser, "delete from consent_events");
    assert_eq!(ledger_is_kept, postgres::error::SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
}

/// The SQL blocks of a document from some words on, each with what it is said to print.
fn blocks_with_output(document: &str, from: &str) -> Vec<(String, Option<String>)> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let (_, text) = text.split_once(from).unwrap_or_else(|| panic!("{document} has no {from:?}"));
    let parts: Vec<&str> = text.split("```sql\n").skip(1).collect();
    parts
        .into_iter()
        .map(|part| {
            let (sql, after) = part.split_once("```\n").unwrap();
            let printed = after.strip_prefix("\n```text\n").and_then(|after| after.split("\n```\n").next());
            (sql.to_owned(), printed.map(str::to_owned))
        })
        .collect()
}

/// What `psql` prints, without the blanks at the ends of lines.
fn printed(database: &TestDatabase, login: &str, options: &str, sql: &str) -> String {
    let mut psql = Command::new(Installation::find().unwrap().program("psql"));
    psql.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-P",
        "pager=off",
        "-d",
        &database.url(login),
        "-c",
        sql,
    ])
    .env("PGOPTIONS", format!("-c TimeZone=UTC {options}"));
    let ran = run(&mut psql).expect(0);
    ran.stdout.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_journey_analytics_print_what_is_printed_there() {
    let database = TestDatabase::migrated();
    let analyst = format!("analyst_of_{}", database.name());
    let create = format!("create role {analyst} login in role percytech_analyst");
    database.superuser().batch_execute(&create).unwrap();
    for (document, from, examples) in
        [("docs/analytics.md", "# Journey analytics", 8), ("README.md", "### Journey analytics", 6)]
    {
        let mut compared = 0;
        for (sql, expected) in blocks_with_output(document, from) {
            let is_data = document == "docs/analytics.md" && sql.contains("insert into customers");
            if expected.is_none() && !is_data {
                continue;
            }
            let shown = if sql.contains("brand_overview") {
                printed(&database, &analyst, "", &sql)
            } else {
                printed(&database, APP, "-c app.current_brand=gnymble", &sql)
            };
            if let Some(expected) = expected {
                assert_eq!(shown, expected, "{document}: {sql}");
                compared += 1;
            }
        }
        assert_eq!(compared, examples, "{document}");
    }
}
