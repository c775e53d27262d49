//! `process_inbound_message` against `pgbench`'s built-in TPC-B-like script: transactions per second, on one server whose
//! commits are durable, with the same clients and settings, in turns.

use std::process::Command;

use percytech_tests::{APP, TestDatabase, directory_of};
use percytech_toolkit::cluster::{Installation, SUPERUSER};

use crate::{ROUNDS, median};

pub const NAME: &str = "process_inbound_message";

const SECONDS: &str = "5";
const CLIENTS: [usize; 2] = [1, 8];
/// `pgbench` says that it should be at least the number of clients, lest they wait for each other.
const SCALE: &str = "10";

/// From a customer of the brand, about something else, under an identifier that is new.
const MESSAGE: &str = r"\set number random(1, 20000)
\set id random(1, 1000000000000000)
select process_inbound_message('+1212' || (5000000 + :number), '+14155550100', 'See you tomorrow', 'SM' || :id);
";

/// For each number of clients: how many of each in a second, and the ratio.
pub fn measure() -> Vec<Vec<String>> {
    let database = TestDatabase::durable();
    let tpc_b = database.neighbour();
    eprintln!("loading 20,000 customers and conversations, and a TPC-B of scale {SCALE}");
    database.superuser().batch_execute(include_str!("inbound.sql")).unwrap();
    let initialised = pgbench()
        .args(["--initialize", "--quiet", "--scale", SCALE])
        .arg(tpc_b.url(SUPERUSER))
        .output()
        .unwrap();
    assert!(initialised.status.success(), "{initialised:?}");
    database.superuser().batch_execute("vacuum (analyze)").unwrap();
    database.superuser().batch_execute("checkpoint").unwrap();

    let script = directory_of(&[("inbound.sql", MESSAGE)]);
    let file = script.path().join("inbound.sql");
    let rows = CLIENTS.iter().map(|clients| {
        let (mut inbound, mut plain) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            eprintln!("{NAME}, {clients} clients, round {round} of {ROUNDS}");
            let mut ours = pgbench();
            ours.arg("--file").arg(&file);
            inbound.push(rate(ours, &database.url(APP), *clients));
            plain.push(rate(pgbench(), &tpc_b.url(SUPERUSER), *clients));
        }
        let (inbound, plain) = (median(inbound), median(plain));
        vec![
            format!("{NAME}, {clients} clients"),
            format!("{inbound:.0}"),
            format!("{plain:.0}"),
            format!("{:.2}", inbound / plain),
            "1.00".to_owned(),
        ]
    });
    rows.collect()
}

fn pgbench() -> Command {
    let mut command = Command::new(Installation::find().unwrap().program("pgbench"));
    command.env("PGOPTIONS", "-c app.current_brand=gnymble");
    command
}

/// Transactions per second.
fn rate(mut pgbench: Command, url: &str, clients: usize) -> f64 {
    let output = pgbench
        .args(["--no-vacuum", "--protocol=prepared", "--time", SECONDS, "--client", &clients.to_string()])
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}
