//! The promise: once an opt-out has committed, no message to its number is claimed, but for the one confirmation.

use percytech_tests::{APP, TestDatabase, isolationtester};

const SCHEMA: &str = include_str!("../../specs/opt_out.sql");
const EVERY_ORDER: &str = include_str!("../../specs/opt_out.spec");
const BY_LEVEL: &str = include_str!("../../specs/opt_out_isolation.spec");

fn watched() -> TestDatabase {
    let database = TestDatabase::migrated();
    database.superuser().batch_execute(SCHEMA).unwrap();
    database
}

/// Every order in which these sessions can take their steps, each in its own order.
fn orders(sessions: &[&[&'static str]]) -> Vec<Vec<&'static str>> {
    if sessions.iter().all(|steps| steps.is_empty()) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, steps) in sessions.iter().enumerate() {
        let Some((first, rest)) = steps.split_first() else { continue };
        let mut others = sessions.to_vec();
        others[index] = rest;
        all.extend(orders(&others).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

/// Whether an order can be played: a STOP that waits for a claim cannot be committed before the claim is.
fn can_be_played(order: &[&str]) -> bool {
    let place = |step| order.iter().position(|other| *other == step);
    !(place("claim") < place("stop") && place("stop_commit") < place("claim_commit"))
}

/// Runs a spec in every order of its steps, and fails unless each kept the promise, and ended in no error but these.
fn kept_in_every_order(spec: &str, sessions: &[&[&'static str]], errors: &[&str]) {
    let database = watched();
    let mut orders = orders(sessions);
    orders.retain(|order| can_be_played(order));
    let lines: Vec<_> = orders.iter().map(|order| format!("permutation {}", order.join(" "))).collect();
    let permutations = isolationtester::run(&database, APP, &format!("{spec}\n{}\n", lines.join("\n")));
    assert_eq!(permutations.len(), orders.len());
    let mut superuser = database.superuser();
    superuser.batch_execute("analyze").unwrap();
    let violations = superuser.query("select phone, violation from violations", &[]).unwrap();
    for permutation in &permutations {
        let subject = permutation.output.lines().find(|line| line.starts_with("+1212")).unwrap().trim();
        let broken: Vec<String> =
            violations.iter().filter(|row| row.get::<_, &str>(0) == subject).map(|row| row.get(1)).collect();
        assert!(broken.is_empty(), "{broken:?}: {permutation:#?}");
        for error in permutation.output.lines().filter(|line| line.contains("ERROR:")) {
            assert!(errors.iter().any(|expected| error.contains(expected)), "{permutation:#?}");
        }
    }
    assert!(violations.is_empty(), "{violations:?}");
    let waited = permutations.iter().filter(|permutation| permutation.output.contains("<waiting ...>")).count();
    assert!(waited > orders.len() / 10, "nothing was raced: {waited} of {}", orders.len());
}

#[test]
fn the_promise_is_kept_in_every_order_of_stop_redelivery_start_queue_and_claim() {
    kept_in_every_order(
        EVERY_ORDER,
        &[&["stop", "stop_commit"], &["stop_again"], &["start"], &["queue"], &["claim", "claim_commit"]],
        &["the number has opted out"],
    );
}

#[test]
fn the_promise_is_kept_by_transactions_that_see_what_was() {
    for level in ["repeatable read", "serializable"] {
        kept_in_every_order(
            &BY_LEVEL.replace("LEVEL", level),
            &[&["stop_begin", "stop", "stop_commit"], &["queue"], &["claim_begin", "claim", "claim_commit"]],
            &["the number has opted out", "could not serialize access", "current transaction is aborted"],
        );
    }
}
