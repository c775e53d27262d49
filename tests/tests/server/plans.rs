//! The brand in context and the executor: parallel workers, plans that are kept, cursors that stay open, and how often the
//! context is asked.

use percytech_tests::{BRANDS, TABLES, TestDatabase, fill, login_of, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

fn filled() -> TestDatabase {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    database
}

fn many_customers(client: &mut Client) {
    client
        .batch_execute(
            "insert into customers (brand_id, email)
             select brand, number || '@example.com'
             from unnest(enum_range(null::brand_id)) as brand, generate_series(1, 5000) as number;
             analyze customers",
        )
        .unwrap();
}

fn choose(client: &mut Client, brand: &str) {
    client.query("select percytech.set_brand_context($1, false)", &[&brand]).unwrap();
}

/// Has every query that can be run by workers be run by workers only.
const PARALLEL: &str = "
    set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
    set min_parallel_index_scan_size = 0; set max_parallel_workers_per_gather = 2; set parallel_leader_participation = off;
    set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;
";
const SERIAL: &str = "set max_parallel_workers_per_gather = 0";

/// Queries whose answer depends on the context: through the policies, and by asking for it in each worker, row by row.
const QUERIES: [&str; 6] = [
    "select count(*)::text from customers",
    "select string_agg(email, ',' order by email) from customers where email like '1%'",
    "select min(brand_id::text || percytech.current_brand()) || max(brand_id::text) from customers",
    "select min(percytech.brand_context()::text) || max(percytech.brand_context()::text) from customers",
    "select min(percytech.allowed_brands()::text) || max(percytech.require_brand()) from customers",
    "select sum(count)::text from customer_analytics",
];

fn answers(client: &mut Client) -> Vec<Option<String>> {
    QUERIES.map(|query| value(client, query)).into()
}

/// Asserts that workers answer as the leader alone does; returns the answers.
#[track_caller]
fn alike_in_parallel(client: &mut Client) -> Vec<Option<String>> {
    client.batch_execute(SERIAL).unwrap();
    let serial = answers(client);
    client.batch_execute(PARALLEL).unwrap();
    for query in QUERIES {
        let plan = values::<String>(client, &format!("explain (analyze) {query}")).join("\n");
        let launched = plan.lines().find_map(|line| line.trim().strip_prefix("Workers Launched: "));
        assert!(launched.is_some_and(|workers| workers != "0"), "{plan}");
    }
    assert_eq!(answers(client), serial);
    serial
}

#[test]
fn parallel_workers_see_what_their_leader_sees() {
    let database = TestDatabase::migrated();
    many_customers(&mut database.superuser());
    for brand in BRANDS {
        let mut client = database.connect(&login_of(brand));
        choose(&mut client, brand);
        let seen = alike_in_parallel(&mut client);
        assert_eq!(seen[0].as_deref(), Some("5000"));
        assert_eq!(seen[2], Some(format!("{brand}{brand}{brand}")));
    }
}

#[test]
fn parallel_workers_keep_a_seal_and_a_role_that_was_set() {
    let database = TestDatabase::migrated();
    many_customers(&mut database.superuser());
    let mut app = database.app();
    app.batch_execute("begin; select percytech.set_brand_context('gnymble', seal => true)").unwrap();
    app.batch_execute("reset app.current_brand").unwrap();
    let seen = alike_in_parallel(&mut app);
    assert_eq!(seen[2].as_deref(), Some("gnymblegnymblegnymble"));
    assert!(seen[3].as_ref().unwrap().contains(r#""sealed": true"#));
    app.batch_execute("rollback").unwrap();

    let mut superuser = database.superuser();
    superuser.batch_execute("set app.current_brand = 'percymd'; set role test_percymd").unwrap();
    assert_eq!(alike_in_parallel(&mut superuser)[2].as_deref(), Some("percymdpercymdpercymd"));
    superuser.batch_execute("set role test_gnymble").unwrap();
    superuser.batch_execute(PARALLEL).unwrap();
    assert_eq!(value::<i64>(&mut superuser, "select count(*) from customers"), 0);
}

#[test]
fn parallel_workers_believe_the_claims_that_their_leader_believes() {
    let database = TestDatabase::supabase();
    many_customers(&mut database.superuser());
    let claims = r#"set request.jwt.claims = '{"app_metadata": {"brand_id": "percymd"}}'"#;
    let mut realtime = database.connect("authenticator");
    realtime.batch_execute(&format!("set role authenticated; {claims}")).unwrap();
    assert_eq!(alike_in_parallel(&mut realtime)[2].as_deref(), Some("percymdpercymdpercymd"));

    let mut emulated = database.superuser();
    emulated
        .batch_execute(&format!("set session authorization authenticator; set role authenticated; {claims}"))
        .unwrap();
    assert_eq!(alike_in_parallel(&mut emulated)[2].as_deref(), Some("percymdpercymdpercymd"));
}

#[test]
fn a_plan_that_was_made_for_one_brand_serves_the_next_with_its_own_rows() {
    let database = filled();
    database
        .superuser()
        .batch_execute(
            "create function in_plpgsql() returns text[] language plpgsql stable as
               $$ begin return (select array_agg(distinct brand_id::text) from public.customers); end $$;
             create function in_sql() returns text[] language sql stable as
               $$ select array_agg(distinct brand_id::text) from public.customers $$;
             create function in_dynamic_sql() returns text[] language plpgsql stable as
               $$ declare seen text[]; begin execute 'select array_agg(distinct brand_id::text) from public.customers' into seen; return seen; end $$",
        )
        .unwrap();
    for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
        let mut app = database.app();
        app.batch_execute(&format!("set plan_cache_mode = {mode}")).unwrap();
        let statements: Vec<_> = [
            "select array_agg(distinct brand_id::text) from customers",
            "select array_agg(distinct brand_id::text) from customers where $1::text is null or email <> $1",
            "select in_plpgsql()",
            "select in_sql()",
            "select in_dynamic_sql()",
        ]
        .map(|sql| app.prepare(sql).unwrap())
        .into();
        let seen = |app: &mut Client| -> Vec<Option<Vec<String>>> {
            statements
                .iter()
                .map(|statement| {
                    let nothing: Option<String> = None;
                    let row = if statement.params().is_empty() {
                        app.query_one(statement, &[])
                    } else {
                        app.query_one(statement, &[&nothing])
                    };
                    row.unwrap().get(0)
                })
                .collect()
        };
        // Often enough for a generic plan to be chosen.
        for brand in BRANDS.iter().cycle().take(21) {
            choose(&mut app, brand);
            assert_eq!(seen(&mut app), vec![Some(vec![(*brand).to_owned()]); 5], "{mode}");
        }
        app.batch_execute("select percytech.clear_brand_context()").unwrap();
        assert_eq!(seen(&mut app), vec![None; 5], "{mode}");
        app.batch_execute("begin; select percytech.set_brand_context('percymd', seal => true)").unwrap();
        assert_eq!(seen(&mut app), vec![Some(vec!["percymd".to_owned()]); 5], "{mode}");
        app.batch_execute("rollback").unwrap();
        assert_eq!(seen(&mut app), vec![None; 5], "{mode}");
    }
}

#[test]
fn a_plan_that_was_made_for_one_role_shows_the_next_its_own_rows() {
    let database = filled();
    let mut client = database.superuser();
    client
        .batch_execute("set plan_cache_mode = force_generic_plan; set app.current_brand = 'percymd'")
        .unwrap();
    let statement = client.prepare("select count(*) from customers").unwrap();
    for (role, seen) in [("test_percymd", 2_i64), ("test_gnymble", 0), ("none", 6), ("test_percymd", 2)] {
        client.batch_execute(&format!("set role {role}")).unwrap();
        for _ in 0..7 {
            assert_eq!(client.query_one(&statement, &[]).unwrap().get::<_, i64>(0), seen, "{role}");
        }
    }
}

const DECLARE: &str = "declare c cursor for select brand_id::text from customers";

fn fetched(client: &mut Client, fetch: &str) -> Vec<String> {
    values(client, &format!("fetch {fetch} from c"))
}

#[test]
fn a_cursor_keeps_the_brand_of_its_first_fetch() {
    let mut app = filled().app();
    app.batch_execute(&format!("begin; select percytech.set_brand_context('gnymble'); {DECLARE}")).unwrap();
    assert_eq!(fetched(&mut app, "1"), ["gnymble"]);
    app.batch_execute("select percytech.set_brand_context('percymd')").unwrap();
    assert_eq!(fetched(&mut app, "all"), ["gnymble"], "as what was fetched already");
    assert_eq!(value::<String>(&mut app, "select min(brand_id::text) from customers"), "percymd");
    app.batch_execute("rollback").unwrap();
}

#[test]
fn a_cursor_that_was_not_fetched_from_shows_the_brand_in_context_when_it_is() {
    let database = filled();
    for (context, seen) in [
        ("select percytech.set_brand_context('percymd')", vec!["percymd", "percymd"]),
        ("select percytech.set_brand_context('percymd', seal => true)", vec!["percymd", "percymd"]),
        ("select percytech.set_brand_context(null)", vec![]),
        ("set local role test_percytext", vec![]),
    ] {
        let mut client = database.superuser();
        client
            .batch_execute(&format!(
                "begin; set local role test_app; select percytech.set_brand_context('gnymble'); {DECLARE}; reset role; {context}"
            ))
            .unwrap();
        if !context.contains("role") {
            client.batch_execute("set local role test_app").unwrap();
        }
        assert_eq!(fetched(&mut client, "all"), seen, "{context}");
    }
}

#[test]
fn a_cursor_ends_with_its_transaction_unless_it_is_held_and_then_holds_the_rows_that_it_had() {
    let mut app = filled().app();
    app.batch_execute(&format!("begin; select percytech.set_brand_context('gnymble'); {DECLARE}; commit"))
        .unwrap();
    assert_eq!(refusal(&mut app, "fetch all from c"), SqlState::INVALID_CURSOR_NAME);

    let held = DECLARE.replace("cursor", "cursor with hold");
    app.batch_execute(&format!(
        "begin; select percytech.set_brand_context('gnymble', seal => true); {held}; commit"
    ))
    .unwrap();
    choose(&mut app, "percymd");
    // Rows that were read are read: a pooled connection must not hold them for the next client.
    assert_eq!(fetched(&mut app, "all"), ["gnymble", "gnymble"]);
    app.batch_execute("discard all").unwrap();
    assert_eq!(refusal(&mut app, "fetch all from c"), SqlState::INVALID_CURSOR_NAME);
}

/// Whether an index is searched for the value of the context, as PostgreSQL up to 16 and from 17 on writes it.
fn uses_the_brands_index(plan: &str) -> bool {
    plan.lines().any(|line| {
        line.contains("Index Cond: ")
            && (line.contains("brand_id = $") || line.contains("brand_id = (InitPlan "))
    })
}

#[test]
fn the_context_is_asked_once_for_a_query_however_many_rows_it_has_and_the_brands_index_is_used() {
    let database = TestDatabase::migrated();
    many_customers(&mut database.superuser());
    let mut client = database.superuser();
    client
        .batch_execute("set track_functions = 'all'; set app.current_brand = 'percymd'; set role test_app")
        .unwrap();
    let mut calls_of = |query: &str| -> i64 {
        let mut transaction = client.transaction().unwrap();
        let mut calls = || -> i64 {
            transaction.batch_execute(&format!("savepoint s; {query}; rollback to s")).unwrap();
            let calls = "select calls from pg_stat_xact_user_functions where funcname = 'current_brand'";
            transaction.query_one(calls, &[]).unwrap().get(0)
        };
        let before = calls();
        let once = calls() - before;
        transaction.rollback().unwrap();
        once
    };
    for (query, times) in [
        ("select * from customers where email = '7@example.com'", 1),
        ("select * from customers order by created_at desc limit 5", 1),
        ("select count(*) from customers", 1),
        // Once for each table.
        ("select * from customers join conversations on customer_id = customers.id", 2),
        // The search asks too, so that it shows one brand even to who sees all.
        ("select * from search_customers('7')", 2),
        // For what is read, what is changed, and what is checked.
        ("update customers set tags = '{}' where email = '7@example.com'", 3),
        ("update customers set tags = '{}'", 3),
        // For what is read, and twice for what is checked.
        (
            "insert into conversations (brand_id, customer_id, customer_phone, brand_phone)
             select brand_id, id, email, '' from customers limit 100",
            3,
        ),
        // And once more for each row that does not name its brand.
        (
            "insert into conversations (customer_id, customer_phone, brand_phone)
             select id, email, '' from customers limit 100",
            103,
        ),
    ] {
        let asked = calls_of(query);
        assert!(asked <= times, "{asked} calls instead of {times}: {query}");
    }
    for query in [
        "select count(*) from customers",
        "update customers set tags = '{}'",
        "select * from search_customers('7')",
    ] {
        let plan = values::<String>(&mut client, &format!("explain (costs off) {query}")).join("\n");
        assert!(uses_the_brands_index(&plan), "{plan}");
    }
}

#[test]
fn every_table_is_read_by_an_index_that_leads_with_the_brand() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut app = database.app_of("percymd");
    app.batch_execute("set enable_seqscan = off").unwrap();
    for table in TABLES {
        let plan =
            values::<String>(&mut app, &format!("explain (costs off) select * from {table}")).join("\n");
        assert!(plan.contains("InitPlan 1"), "{plan}");
        assert!(uses_the_brands_index(&plan), "{plan}");
        assert!(!plan.contains("InitPlan 2") && !plan.contains("SubPlan"), "{plan}");
    }
}
