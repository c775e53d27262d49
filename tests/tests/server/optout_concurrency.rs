//! The promise: once an opt-out has committed, no message to its number is claimed, but for the one confirmation.

use std::thread;

use percytech_tests::{APP, TestDatabase, isolationtester, value, values};

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
    let waited =
        permutations.iter().filter(|permutation| permutation.output.contains("<waiting ...>")).count();
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

/// Numbers that look random, and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One thing that a server of the brand does for one of a few numbers.
fn something(numbers: &mut Numbers, conversations: &[(String, String)]) -> String {
    let (phone, conversation) =
        &conversations[usize::try_from(numbers.below(conversations.len() as u64)).unwrap()];
    let inbound = |body: &str, id: String| {
        format!("select process_inbound_message('{phone}', '+14155550100', '{body}', '{id}')")
    };
    let claimed = "(select id from messages where claimed_by = 'worker' and external_id is null \
                   order by random() limit 1) as claimed";
    match numbers.below(15) {
        0 | 1 => inbound("STOP", format!("stop {}", numbers.below(1 << 40))),
        2 => inbound("STOP", "delivered again and again".to_owned()),
        3 | 4 => inbound("START", format!("start {}", numbers.below(1 << 40))),
        5 => inbound("See you", format!("word {}", numbers.below(1 << 40))),
        6..=8 => format!("select queue_message('{conversation}', 'queued')"),
        9 => format!("select process_opt_out('{phone}', 'called', 'phone')"),
        // A message that an application puts into the queue by itself, past every function.
        10 => format!(
            "insert into messages (conversation_id, direction, content, status, due_at) \
             values ('{conversation}', 'outbound', 'by hand', 'pending', now())"
        ),
        11 => format!("select record_sent(id, 'SM' || id) from {claimed}"),
        12 => format!("select record_failed(id, '21610') from {claimed}"),
        13 => format!("select record_delivery_status('SM' || id, 'failed', now(), '21610') from {claimed}"),
        _ => "begin; insert into claims (message_id) select message_id from claim_outbound(5, 'worker'); \
              select pg_sleep(random() * 0.01); commit"
            .to_owned(),
    }
}

#[test]
fn the_history_of_every_number_keeps_the_promise_under_load() {
    const CLIENTS: u64 = 24;
    const STATEMENTS: usize = 120;
    let database = watched();
    let mut app = database.app_of("gnymble");
    let conversations: Vec<(String, String)> = (0..16)
        .map(|_| {
            app.batch_execute("select new_subject()").unwrap();
            let row = app.query_one("select phone, conversation_id::text from subject", &[]).unwrap();
            (row.get(0), row.get(1))
        })
        .collect();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (database, conversations) = (&database, &conversations);
            scope.spawn(move || {
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (client + 1));
                let mut app = database.app_of("gnymble");
                for _ in 0..STATEMENTS {
                    let statement = something(&mut numbers, conversations);
                    if let Err(error) = app.batch_execute(&statement) {
                        let message = error.as_db_error().map_or("", postgres::error::DbError::message);
                        let is_expected = message == "the number has opted out"
                            || message.starts_with("the message was sent as");
                        assert!(is_expected, "{statement}: {error:?}");
                    }
                }
            });
        }
    });
    // What was passed over is claimed, or cancelled, when nobody else is there.
    for _ in 0..3 {
        app.batch_execute(
            "insert into claims (message_id) select message_id from claim_outbound(1000, 'last')",
        )
        .unwrap();
    }
    let mut superuser = database.superuser();
    superuser.batch_execute("analyze").unwrap();
    let violations: Vec<String> = values(&mut superuser, "select violation || ' ' || phone from violations");
    assert!(violations.is_empty(), "{violations:?}");
    for (what, at_least) in [
        ("from consent_events where outcome = 'applied' and kind = 'opt_out'", 50),
        ("from consent_events where outcome = 'applied' and kind = 'opt_in'", 50),
        ("from consent_events where outcome = 'repeated'", 50),
        ("from messages where cancel_reason = 'opted_out'", 50),
        ("from claims", 200),
    ] {
        let count: i64 = value(&mut superuser, &format!("select count(*) {what}"));
        assert!(count >= at_least, "too little happened: {count} {what}");
    }
    let redelivered = "select count(distinct conversation_id) = count(*) from messages \
                       where external_id = 'delivered again and again'";
    assert!(value::<bool>(&mut superuser, redelivered), "once for each number");
}
