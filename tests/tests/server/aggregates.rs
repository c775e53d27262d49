//! The native aggregates, as SQL calls them: in parallel, with little memory, with nothing to count, and interrupted.

use std::fmt::Write;

use percytech_tests::{TestDatabase, root, value, values};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::journey::error_of;

/// As many processes as it takes, though there is little to do.
const PARALLEL: &str = "
    set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
    set max_parallel_workers_per_gather = 3; set parallel_leader_participation = off";
const SERIAL: &str = "set max_parallel_workers_per_gather = 0";

/// A database with 40,000 events of 5,000 customers in it: at few instants, in any order, and some without a time, a stage
/// or a customer.
fn with_events() -> (TestDatabase, Client) {
    let database = TestDatabase::migrated();
    let mut client = database.superuser();
    client
        .batch_execute(
            "select setseed(0.5);
             create table events as
             select
               case when random() < 0.99 then md5((random() * 5000)::integer::text)::uuid end as customer,
               case when random() < 0.99 then (enum_range(null::customer_stage))[1 + (random() * 5)::integer] end as stage,
               case when random() < 0.99
                 then '2026-01-01'::timestamptz + (random() * 400)::integer * interval '6 hours' end as occurred_at
             from generate_series(1, 40000);
             analyze events",
        )
        .unwrap();
    (database, client)
}

/// Each aggregate over the events, as one text.
const ASKED: [&str; 6] = [
    "select string_agg(customer::text || level, ',' order by customer)
     from (
       select
         customer,
         percytech.window_funnel(
           '10 days', occurred_at, stage = 'lead', stage = 'marketing', stage = 'trial', stage = 'active'
         ) as level
       from events
       group by customer
     ) as levels",
    "select string_agg(customer::text || retained::text, ',' order by customer)
     from (
       select customer, percytech.retention(stage = 'lead', stage = 'trial', stage = 'active') as retained
       from events
       group by customer
     ) as answers",
    "select percytech.kaplan_meier(extract(epoch from occurred_at - '2026-01-01'), stage = 'active')::text from events",
    "select percytech.kaplan_meier(extract(epoch from occurred_at - '2026-01-01'), stage = 'active', 0.5)::text from events",
    "select string_agg(customer::text || durations::text, ',' order by customer)
     from (
       select customer, percytech.state_durations(stage::text, occurred_at) as durations from events group by customer
     ) as answers",
    "select percytech.funnel(
       customer, occurred_at, stage, '{lead,marketing,trial,active}', '10 days', '2026-03-01', '2026-04-10'
     )::text
     from events",
];

fn answers(client: &mut Client) -> Vec<String> {
    ASKED.iter().map(|asked| value(client, asked)).collect()
}

#[test]
fn parallel_processes_come_to_the_same_answers() {
    let (_database, mut client) = with_events();
    client.batch_execute(SERIAL).unwrap();
    let alone = answers(&mut client);
    client.batch_execute(PARALLEL).unwrap();
    let together = answers(&mut client);
    for ((asked, alone), together) in ASKED.iter().zip(alone).zip(together) {
        assert_eq!(alone, together, "{asked}");
        let plan = values::<String>(&mut client, &format!("explain (analyze, costs off) {asked}")).join("\n");
        assert!(plan.contains("Partial") && plan.contains("Workers Launched: 3"), "{plan}");
    }
}

#[test]
fn little_memory_changes_nothing_and_the_states_count_for_it() {
    let (_database, mut client) = with_events();
    client.batch_execute(SERIAL).unwrap();
    let usual = answers(&mut client);
    client
        .batch_execute("set work_mem = '64kB'; set hash_mem_multiplier = 1; set enable_sort = off")
        .unwrap();
    assert_eq!(answers(&mut client), usual);
    let level = "percytech.window_funnel('10 days', occurred_at, stage = 'lead', stage = 'trial')";
    let durations = "percytech.state_durations(stage::text, occurred_at)";
    for state in [level, durations] {
        let asked = format!(
            "select count(state) from (select {state} as state from events group by customer) as states"
        );
        let plan = values::<String>(&mut client, &format!("explain (analyze, costs off) {asked}")).join("\n");
        assert!(plan.contains("HashAggregate") && plan.contains("Disk Usage"), "{plan}");
    }
    // The same rows in groups whose states are larger take more memory: it is PostgreSQL's.
    client.batch_execute("set work_mem = '1GB'").unwrap();
    let mut used = |steps: &str| -> i64 {
        let asked = format!(
            "explain (analyze, costs off)
             select sum(level)
             from (
               select customer, percytech.window_funnel('1 day', occurred_at + number * interval '1 second', {steps}) as level
               from events, generate_series(1, 20) as number
               group by customer
             ) as levels"
        );
        let plan = values::<String>(&mut client, &asked).join("\n");
        let memory = plan.split("Memory Usage: ").nth(1).and_then(|rest| rest.split("kB").next()).unwrap();
        memory.parse().unwrap()
    };
    let (few, many) = (used("false"), used("number > 0"));
    assert!(many > few + 5_000, "{few} kB of no step, {many} kB of 800,000");
}

#[test]
fn a_filter_may_leave_nothing_to_count_for_all_or_for_some_processes() {
    let (_database, mut client) = with_events();
    for setting in [SERIAL, PARALLEL] {
        client.batch_execute(setting).unwrap();
        for (filter, rows) in [("false", 0_i64), ("ctid = '(0,1)'", 1)] {
            let row = client
                .query_one(
                    &format!(
                        "select
                           percytech.window_funnel('1 day', '2026-01-01', true) filter (where {filter}),
                           percytech.retention(true) filter (where {filter}) is null,
                           percytech.kaplan_meier(1, true) filter (where {filter}) is null,
                           percytech.state_durations('lead', '2026-01-01') filter (where {filter}) is null,
                           percytech.funnel(
                             '00000000-0000-0000-0000-000000000001', '2026-01-01', 'lead'::customer_stage, '{{lead}}',
                             '1 day', 'infinity', '2026-01-01'
                           ) filter (where {filter}) is null
                         from events"
                    ),
                    &[],
                )
                .unwrap();
            assert_eq!(i64::from(row.get::<_, i32>(0)), rows, "{setting}");
            for column in 1..5 {
                assert_eq!(row.get::<_, bool>(column), rows == 0, "{setting}: column {column}");
            }
        }
    }
}

#[test]
fn null_is_left_out_where_it_is_of_a_row_and_refused_where_it_is_of_the_question() {
    let mut client = TestDatabase::migrated().superuser();
    let level: i32 = value(
        &mut client,
        "select percytech.window_funnel('1 day', at, step = 1, step = 2)
         from (values ('2026-01-01'::timestamptz, 1), (null, 2), ('2026-01-01', null)) as events (at, step)",
    );
    assert_eq!(level, 1);
    let points: i32 = value(
        &mut client,
        "select cardinality(percytech.kaplan_meier(duration, observed))
         from (values (1::double precision, true), (null, true), (2, null)) as subjects (duration, observed)",
    );
    assert_eq!(points, 1);
    let none: bool = value(
        &mut client,
        "select percytech.kaplan_meier(null, true) = '{}' and percytech.state_durations(null, now()) = '{}'",
    );
    assert!(none);
    for call in [
        "percytech.window_funnel(null, now(), true)",
        "percytech.window_funnel('1 day', now(), variadic null::boolean[])",
        "percytech.retention(variadic null::boolean[])",
        "percytech.kaplan_meier(1, true, null)",
        "percytech.funnel(gen_random_uuid(), now(), 'lead'::customer_stage, null, '1 day', now(), now())",
        "percytech.funnel(gen_random_uuid(), now(), 'lead'::customer_stage, '{lead,NULL}', '1 day', now(), now())",
        "percytech.funnel(gen_random_uuid(), now(), 'lead'::customer_stage, '{lead}', null, now(), now())",
        "percytech.funnel(gen_random_uuid(), now(), 'lead'::customer_stage, '{lead}', '1 day', null, now())",
        "percytech.funnel(gen_random_uuid(), now(), 'lead'::customer_stage, '{lead}', '1 day', now(), null)",
    ] {
        let error = error_of(&mut client, &format!("select {call}"));
        assert_eq!(*error.code(), SqlState::NULL_VALUE_NOT_ALLOWED, "{call}: {error}");
        assert!(error.hint().is_some(), "{call}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_hint() {
    let mut client = TestDatabase::migrated().superuser();
    let stages = "(values ('lead'::customer_stage), ('trial')) as stages (stage)";
    for (call, code) in [
        ("percytech.window_funnel('-1 second', now(), true)", "22023"),
        ("percytech.window_funnel('1 month', now(), true)", "22023"),
        (
            "percytech.window_funnel(case stage when 'lead' then interval '1 day' else '2 days' end, now(), true)",
            "22023",
        ),
        ("percytech.window_funnel('1 day', now(), variadic '{}'::boolean[])", "22023"),
        ("percytech.window_funnel('1 day', now(), variadic '{{t},{f}}'::boolean[])", "22023"),
        ("percytech.window_funnel('1 day', now(), variadic array_fill(true, '{33}'))", "22023"),
        (
            "percytech.window_funnel('1 day', now(), variadic array_fill(true, array[case stage when 'lead' then 1 else 2 end]))",
            "22023",
        ),
        ("percytech.retention(variadic '{}'::boolean[])", "22023"),
        ("percytech.retention(variadic array_fill(true, '{33}'))", "22023"),
        (
            "percytech.retention(variadic array_fill(true, array[case stage when 'lead' then 1 else 2 end]))",
            "22023",
        ),
        ("percytech.kaplan_meier(-1, true)", "22023"),
        ("percytech.kaplan_meier('NaN', true)", "22023"),
        ("percytech.kaplan_meier('infinity', true)", "22023"),
        ("percytech.kaplan_meier(1, true, 1)", "22023"),
        ("percytech.kaplan_meier(1, true, case stage when 'lead' then 0.9 else 0.95 end)", "22023"),
        ("percytech.state_durations('lead', 'infinity')", "22008"),
        ("percytech.state_durations(repeat('x', 1001), now())", "54000"),
        ("percytech.funnel(gen_random_uuid(), now(), stage, '{lead,lead}', '1 day', now(), now())", "22023"),
        ("percytech.funnel(gen_random_uuid(), now(), stage, '{}', '1 day', now(), now())", "22023"),
        ("percytech.funnel(gen_random_uuid(), now(), stage, array[stage], '1 day', now(), now())", "22023"),
        (
            "percytech.funnel(gen_random_uuid(), now(), stage, '{lead}', '1 day', clock_timestamp(), now())",
            "22023",
        ),
    ] {
        let error = error_of(&mut client, &format!("select {call} from {stages}"));
        assert_eq!(error.code().code(), code, "{call}: {error}");
        assert!(error.hint().is_some(), "{call}");
    }
    let error = error_of(
        &mut client,
        "select percytech.state_durations(number::text, now()) from generate_series(1, 1001) as number",
    );
    assert_eq!(error.code().code(), "54000");
}

#[test]
fn a_query_that_is_cancelled_in_the_middle_leaves_the_backend_well() {
    let (_database, mut client) = with_events();
    for setting in [SERIAL, PARALLEL] {
        client.batch_execute(setting).unwrap();
        for asked in ASKED {
            let many = asked.replace("from events", "from events, generate_series(1, 1000)");
            client.batch_execute("set statement_timeout = '150ms'").unwrap();
            let error = error_of(&mut client, &many);
            assert_eq!(*error.code(), SqlState::QUERY_CANCELED, "{asked}");
            client.batch_execute("reset statement_timeout").unwrap();
        }
        assert_eq!(answers(&mut client).len(), ASKED.len());
    }
}

#[test]
fn as_window_functions_they_see_the_rows_so_far() {
    let mut client = TestDatabase::migrated().superuser();
    let levels: Vec<i32> = values(
        &mut client,
        "select percytech.window_funnel('1 day', '2026-01-01', step = 1, step = 2, step = 3) over (order by place)
         from (values (1, 3), (2, 2), (3, 1), (4, 1)) as events (place, step)
         order by place",
    );
    assert_eq!(levels, [0, 0, 3, 3]);
    let points: Vec<i32> = values(
        &mut client,
        "select cardinality(percytech.kaplan_meier(duration, true) over (order by duration))
         from generate_series(1, 3) as duration
         order by 1",
    );
    assert_eq!(points, [1, 2, 3]);
}

#[test]
fn clickhouse_counts_the_same_levels() {
    let mut client = TestDatabase::migrated().superuser();
    client
        .batch_execute(
            "create temp table cases (number integer, within interval, at bigint, steps boolean[])",
        )
        .unwrap();
    let corpus = std::fs::read_to_string(root().join("tests/corpus/analytics/window_funnel.jsonl")).unwrap();
    let cases: Vec<Value> = corpus.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut rows = String::new();
    for (number, case) in cases.iter().enumerate() {
        let window = &case["window"];
        let events = case["events"].as_array().unwrap();
        for event in events {
            let steps = event[1].to_string().replace('[', "{").replace(']', "}");
            writeln!(rows, "{number}\t{window} microseconds\t{}\t{steps}", event[0]).unwrap();
        }
        // A case without events has a row that is left out.
        if events.is_empty() {
            writeln!(rows, "{number}\t{window} microseconds\t\\N\t{{f}}").unwrap();
        }
    }
    let mut copy = client.copy_in("copy cases from stdin").unwrap();
    std::io::Write::write_all(&mut copy, rows.as_bytes()).unwrap();
    copy.finish().unwrap();
    let levels: Vec<i32> = values(
        &mut client,
        "select percytech.window_funnel(within, 'epoch'::timestamptz + at * interval '1 microsecond', variadic steps) from cases group by number order by number",
    );
    let expected: Vec<i64> = cases.iter().map(|case| case["level"].as_i64().unwrap()).collect();
    let levels: Vec<i64> = levels.into_iter().map(i64::from).collect();
    assert!(levels.len() >= 1500);
    assert_eq!(levels, expected);
}

#[test]
fn the_curve_of_the_lung_data_is_the_published_one() {
    let mut client = TestDatabase::migrated().superuser();
    let csv = std::fs::read_to_string(root().join("tests/corpus/analytics/lung.csv")).unwrap();
    let subjects: Vec<_> = csv
        .lines()
        .skip(1)
        .map(|line| {
            let (time, status) = line.split_once(',').unwrap();
            format!("({time}::double precision, {status} = 2)")
        })
        .collect();
    client
        .batch_execute(&format!(
            "create temp table curve as
             select point.*
             from unnest((
               select percytech.kaplan_meier(time, died) from (values {}) as lung (time, died)
             )) as point",
            subjects.join(", ")
        ))
        .unwrap();
    let counts: (i64, i64) = {
        let row = client.query_one("select max(at_risk), sum(events)::bigint from curve", &[]).unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(counts, (228, 165));
    let median: f64 = value(&mut client, "select min(duration) from curve where survival <= 0.5");
    assert!((median - 310.0).abs() < 1e-9, "{median}");
    let a_year: f64 =
        value(&mut client, "select survival from curve where duration <= 365 order by duration desc limit 1");
    assert!((a_year - 0.40924).abs() < 5e-6, "{a_year}");
}

#[test]
fn the_time_in_each_state_adds_up() {
    let mut client = TestDatabase::migrated().superuser();
    let durations: String = value(
        &mut client,
        "select percytech.state_durations(stage, at::timestamptz)::text
         from (
           values ('trial', '2026-01-03'), ('lead', '2026-01-01'), ('trial', '2026-01-03'), ('lead', '2026-01-03 12:00'),
             ('quoted \" name', '2026-01-04')
         ) as events (stage, at)",
    );
    let durations: Value = serde_json::from_str(&durations).unwrap();
    let expected = json!({
        "lead": {"visits": 2, "seconds": 172_800 + 43_200, "is_current": false},
        "trial": {"visits": 1, "seconds": 43_200, "is_current": false},
        "quoted \" name": {"visits": 1, "seconds": 0, "is_current": true},
    });
    for state in ["lead", "trial", "quoted \" name"] {
        assert_eq!(durations[state]["visits"], expected[state]["visits"]);
        assert_eq!(durations[state]["seconds"].as_f64(), expected[state]["seconds"].as_f64(), "{state}");
        assert_eq!(durations[state]["is_current"], expected[state]["is_current"]);
    }
}

#[test]
fn their_parts_cannot_be_called_by_hand() {
    let database = TestDatabase::migrated();
    let mut app = database.app();
    for call in [
        "percytech.window_funnel_level(null)",
        "percytech.window_funnel_add(null, '1 day', now(), true)",
        "percytech.aggregate_state_received('', null)",
        "percytech.funnel_combine(null, null)",
    ] {
        let error = error_of(&mut app, &format!("select {call}"));
        assert_ne!(*error.code(), SqlState::INTERNAL_ERROR, "{call}: {error}");
    }
    // But for the parts of retention, whose state is a number.
    let error = error_of(&mut app, "select percytech.retention_result(-1)");
    assert_eq!(*error.code(), SqlState::INSUFFICIENT_PRIVILEGE);
    let mut superuser = database.superuser();
    let conditions: i32 = value(&mut superuser, "select cardinality(percytech.retention_result(-1))");
    assert_eq!(conditions, 32);
}
