//! `make bench`: how much the isolation costs, as ratios within one run on one machine. Times alone would mean little:
//! machines differ, and are shared.
//!
//! Each pair of statements is measured by `pgbench` in turns, on the same data, and the medians are compared.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod funnel;
mod inbound;

use std::path::Path;
use std::process::Command;

use percytech_tests::{APP, TestDatabase, directory_of, value};
use percytech_toolkit::cluster::{Installation, SUPERUSER};
use percytech_toolkit::output::table;

const ROUNDS: usize = 5;
const SECONDS: &str = "3";

/// Of one brand's 20,000.
const RANDOM_CUSTOMER: &str = "\\set number random(1, 20000)\n";

/// A statement as the application runs it, and the same as a superuser does without what PercyTech adds.
struct Pair {
    name: &'static str,
    /// The ratio that it may be at most; none where it is measured for its own sake.
    target: Option<f64>,
    isolated: String,
    plain: String,
    /// Who runs the plain one.
    plain_as: &'static str,
}

fn main() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    eprintln!("loading 60,000 customers and conversations, 300,000 messages");
    superuser.batch_execute(include_str!("load.sql")).unwrap();
    superuser.batch_execute("vacuum (analyze)").unwrap();
    let conversation: String = value(
        &mut superuser,
        "select id::text from conversations where brand_id = 'percymd' order by id limit 1 offset 10000",
    );

    superuser.batch_execute(include_str!("plain_tables.sql")).unwrap();
    superuser.batch_execute("vacuum (analyze)").unwrap();
    let others: String = value(
        &mut superuser,
        "select id::text from customers where brand_id = 'gnymble' order by id limit 1",
    );

    let pairs = [
        Pair {
            name: "reading a thread",
            target: Some(1.1),
            isolated: format!(
                "select * from messages where conversation_id = '{conversation}' order by sent_at desc limit 50;"
            ),
            plain: format!(
                "select * from messages where brand_id = 'percymd' and conversation_id = '{conversation}' \
                 order by sent_at desc limit 50;"
            ),
            plain_as: SUPERUSER,
        },
        Pair {
            name: "the inbox",
            target: Some(1.1),
            isolated:
                "select * from conversations where status = 'active' order by last_message_at desc limit 20;"
                    .to_owned(),
            plain: "select * from conversations where brand_id = 'percymd' and status = 'active' \
                    order by last_message_at desc limit 20;"
                .to_owned(),
            plain_as: SUPERUSER,
        },
        // Within the transaction of a script: the customers move to and fro.
        Pair {
            name: "a stage change",
            target: Some(2.0),
            isolated: format!(
                "{RANDOM_CUSTOMER}update customers set stage = case stage when 'lead' then 'marketing' else 'lead' end::customer_stage \
                 where email = :number || '@example.com';"
            ),
            plain: format!("{RANDOM_CUSTOMER}{}", include_str!("plain_stage_change.sql")),
            plain_as: SUPERUSER,
        },
        Pair {
            name: "transition_stage",
            target: None,
            isolated: format!(
                "{RANDOM_CUSTOMER}select transition_stage(id, case stage when 'lead' then 'marketing' else 'lead' end::customer_stage) \
                 from customers where email = :number || '@example.com';"
            ),
            plain: format!("{RANDOM_CUSTOMER}{}", include_str!("plain_stage_change.sql")),
            plain_as: SUPERUSER,
        },
        Pair {
            name: "another brand's customer, against nobody's",
            target: Some(1.1),
            isolated: format!(
                "select outcome from transition_stages('[{{\"customer_id\": \"{others}\", \"to_stage\": \"trial\"}}]');"
            ),
            plain: format!(
                "select outcome from transition_stages('[{{\"customer_id\": \"{}\", \"to_stage\": \"trial\"}}]');",
                "00000000-0000-0000-0000-000000000000"
            ),
            plain_as: APP,
        },
        Pair {
            name: "a reply of 10 MB, against ten of 1 MB",
            target: Some(1.5),
            isolated: "select intent from percytech.classify_reply(repeat(U&'\\0301', 5242880));".to_owned(),
            plain: "select count(intent) from generate_series(1, 10) as number, \
                    percytech.classify_reply(repeat(U&'\\0301', 524288) || number);"
                .to_owned(),
            plain_as: APP,
        },
    ];
    // By name, where it is not all that is to be measured.
    let chosen = std::env::args().nth(1);
    let is_chosen = |name: &str| chosen.as_ref().is_none_or(|chosen| name.contains(chosen));
    let rows: Vec<_> =
        pairs.iter().filter(|pair| is_chosen(pair.name)).map(|pair| compare(&database, pair)).collect();
    if !rows.is_empty() {
        println!("{}", table(&["", "isolated (ms)", "plain (ms)", "ratio", "target"], &rows));
    }
    if is_chosen(inbound::NAME) {
        let rows = inbound::measure();
        println!("{}", table(&["", "tps", "TPC-B-like tps", "ratio", "target"], &rows));
    }
    if is_chosen(funnel::NAME) {
        let rows = funnel::measure();
        println!("{}", table(&["", "ms", "ratio", "target"], &rows));
    }
}

fn compare(database: &TestDatabase, pair: &Pair) -> Vec<String> {
    let scripts = directory_of(&[("isolated.sql", &pair.isolated), ("plain.sql", &pair.plain)]);
    let (mut isolated, mut plain) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("{}, round {round} of {ROUNDS}", pair.name);
        isolated.push(latency(database, APP, &scripts.path().join("isolated.sql")));
        plain.push(latency(database, pair.plain_as, &scripts.path().join("plain.sql")));
    }
    let (isolated, plain) = (median(isolated), median(plain));
    vec![
        pair.name.to_owned(),
        format!("{isolated:.3}"),
        format!("{plain:.3}"),
        format!("{:.2}", isolated / plain),
        pair.target.map(|target| format!("{target:.2}")).unwrap_or_default(),
    ]
}

/// The average latency of a script in milliseconds, as `pgbench` measures it over one connection.
fn latency(database: &TestDatabase, user: &str, script: &Path) -> f64 {
    let output = Command::new(Installation::find().unwrap().program("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--time", SECONDS, "--file"])
        .arg(script)
        .arg(database.url(user))
        .env("PGOPTIONS", "-c app.current_brand=percymd")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("latency average = ")).unwrap();
    line.trim_end_matches(" ms").parse().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
