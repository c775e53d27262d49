//! `make bench`: how much the isolation costs, as ratios within one run on one machine. Times alone would mean little:
//! machines differ, and are shared.
//!
//! Each pair of statements is measured by `pgbench` in turns, on the same data, and the medians are compared.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::Path;
use std::process::Command;

use percytech_tests::{APP, TestDatabase, directory_of, value};
use percytech_toolkit::cluster::{Installation, SUPERUSER};
use percytech_toolkit::output::table;

const ROUNDS: usize = 5;
const SECONDS: &str = "3";

/// A statement as the application runs it, and the same without row level security.
struct Pair {
    name: &'static str,
    target: f64,
    isolated: String,
    plain: String,
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

    let pairs = [
        Pair {
            name: "reading a thread",
            target: 1.1,
            isolated: format!(
                "select * from messages where conversation_id = '{conversation}' order by sent_at desc limit 50;"
            ),
            plain: format!(
                "select * from messages where brand_id = 'percymd' and conversation_id = '{conversation}' \
                 order by sent_at desc limit 50;"
            ),
        },
        Pair {
            name: "the inbox",
            target: 1.1,
            isolated:
                "select * from conversations where status = 'active' order by last_message_at desc limit 20;"
                    .to_owned(),
            plain: "select * from conversations where brand_id = 'percymd' and status = 'active' \
                    order by last_message_at desc limit 20;"
                .to_owned(),
        },
    ];
    let rows: Vec<_> = pairs.iter().map(|pair| compare(&database, pair)).collect();
    println!("{}", table(&["", "isolated (ms)", "plain (ms)", "ratio", "target"], &rows));
}

fn compare(database: &TestDatabase, pair: &Pair) -> Vec<String> {
    let scripts = directory_of(&[("isolated.sql", &pair.isolated), ("plain.sql", &pair.plain)]);
    let (mut isolated, mut plain) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("{}, round {round} of {ROUNDS}", pair.name);
        isolated.push(latency(database, APP, &scripts.path().join("isolated.sql")));
        plain.push(latency(database, SUPERUSER, &scripts.path().join("plain.sql")));
    }
    let (isolated, plain) = (median(isolated), median(plain));
    vec![
        pair.name.to_owned(),
        format!("{isolated:.3}"),
        format!("{plain:.3}"),
        format!("{:.2}", isolated / plain),
        format!("{:.2}", pair.target),
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
