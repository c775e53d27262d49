//! PostgreSQL's `isolationtester`: runs the steps of a spec in every order, and says what each order led to.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use percytech_toolkit::cluster::Installation;

use crate::TestDatabase;

/// What one order of the steps led to.
#[derive(Debug)]
pub struct Permutation {
    /// The steps, in their order.
    pub steps: String,
    /// Everything that was printed, errors among it.
    pub output: String,
}

/// Runs a spec on a database as a user.
#[must_use]
pub fn run(database: &TestDatabase, user: &str, spec: &str) -> Vec<Permutation> {
    let mut tester = Command::new(program())
        .arg(format!("host={} dbname={} user={user}", database.host().display(), database.name()))
        // An order that cannot be played fails, rather than wait for minutes.
        .env("PGISOLATIONTIMEOUT", "30")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = tester.stdin.take().unwrap();
    input.write_all(spec.as_bytes()).unwrap();
    drop(input);
    let output = tester.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let permutations = text.split("starting permutation: ").skip(1);
    permutations
        .map(|part| {
            let (steps, output) = part.split_once('\n').unwrap();
            Permutation { steps: steps.to_owned(), output: output.to_owned() }
        })
        .collect()
}

/// It comes with the server's headers. An installation that lacks it borrows a distribution's: it is a client.
fn program() -> PathBuf {
    let output =
        Command::new(Installation::find().unwrap().program("pg_config")).arg("--pgxs").output().unwrap();
    let makefiles = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let own = makefiles
        .parent()
        .and_then(|path| path.parent())
        .map(|path| path.join("test/isolation/isolationtester"));
    let distributions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let borrowed =
        distributions.map(|major| major.path().join("lib/pgxs/src/test/isolation/isolationtester"));
    own.into_iter()
        .chain(borrowed)
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("isolationtester is missing: it is part of postgresql-server-dev"))
}
