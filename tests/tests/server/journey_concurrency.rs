//! Moves from many connections at once: none is lost, none is doubled, and none waits for ever.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use percytech_tests::{BRANDS, TestDatabase, value, values};
use postgres::Client;

const STAGES: [&str; 6] = ["lead", "marketing", "trial", "active", "churned", "dormant"];
const CLIENTS: usize = 8;

/// Numbers that look random, and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn new(seed: usize) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (seed as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Customers of the brand in context.
fn customers(client: &mut Client, count: usize) -> Vec<String> {
    values(
        client,
        &format!(
            "insert into customers (email, created_at)
             select number || '@example.com', now() - interval '1 day' from generate_series(1, {count}) as number
             returning id::text"
        ),
    )
}

/// What a refused move may be refused for: anything else, a deadlock above all, is a fault.
fn require_refusal(error: &postgres::Error, statement: &str) {
    let code = error.code().unwrap_or_else(|| panic!("{statement}: {error:?}")).code().to_owned();
    assert!(["23514", "PT409", "22023", "55000"].contains(&code.as_str()), "{statement}: {error:?}");
}

/// Customers whose stage, or whose times of coming to stages, are not what the fold of their history says.
const OUT_OF_STEP: &str = "
    with folded as (
      select
        customer_id,
        (array_agg(to_stage order by position desc))[1] as stage,
        min(occurred_at) filter (where to_stage = 'marketing') as marketing_qualified_at,
        min(occurred_at) filter (where to_stage = 'trial') as trial_started_at,
        min(occurred_at) filter (where to_stage = 'active') as subscribed_at,
        max(occurred_at) filter (where to_stage = 'churned') as churned_at,
        bool_and(position = place and from_stage is not distinct from previous and occurred_at >= coalesce(before, occurred_at))
          as is_chain
      from (
        select
          *,
          row_number() over moves as place,
          lag(to_stage) over moves as previous,
          lag(occurred_at) over moves as before
        from customer_stage_transitions
        window moves as (partition by customer_id order by position)
      ) as moves
      group by customer_id
    )
    select customers.id::text
    from customers
    left join folded on customer_id = customers.id
    where is_chain is not true
      or (customers.stage, customers.marketing_qualified_at, customers.trial_started_at, customers.subscribed_at, customers.churned_at)
        is distinct from (folded.stage, folded.marketing_qualified_at, folded.trial_started_at, folded.subscribed_at, folded.churned_at)";

/// A login of its own for each client, so that the history tells whose a move is.
fn mover(database: &TestDatabase, client: usize) -> String {
    format!("mover_{client}_of_{}", database.name())
}

#[test]
fn the_history_folded_is_the_customer_whoever_moved_it_when() {
    const MOVES: usize = 250;
    const OWN: &str = "select count(*) from customer_stage_transitions where actor = session_user";
    let database = TestDatabase::migrated();
    for client in 0..CLIENTS {
        let create =
            format!("create role {} login in role percytech_app, brand_all", mover(&database, client));
        database.superuser().batch_execute(&create).unwrap();
    }
    for brand in BRANDS {
        let all = customers(&mut database.app_of(brand), 6);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (database, all) = (&database, &all);
                scope.spawn(move || {
                    let mut numbers = Numbers::new(client);
                    let mut app = database.connect(&mover(database, client));
                    app.query("select percytech.set_brand_context($1, false)", &[&brand]).unwrap();
                    let mut recorded = 0;
                    for _ in 0..MOVES {
                        let (customer, stage) = (numbers.one_of(all), *numbers.one_of(&STAGES));
                        let statement = match numbers.below(8) {
                            6 => format!(
                                "with moved as (update customers set stage = '{stage}' where id = '{customer}' and stage <> '{stage}' returning id)
                                 select 1 from moved, move(moved.id, '{}')",
                                numbers.one_of(&STAGES)
                            ),
                            7 => "select mark_dormant(interval '20 ms', 2)".to_owned(),
                            0 => format!("update customers set stage = '{stage}' where id = '{customer}' and stage <> '{stage}' returning 1"),
                            1 => format!(
                                "select 1 from move('{customer}', '{stage}', expected_from => '{}')",
                                numbers.one_of(&STAGES)
                            ),
                            2 => format!("select 1 from move('{customer}', '{stage}', idempotency_key => 'key {}')", numbers.below(60)),
                            3 => format!(
                                "select 1 from move('{customer}', '{stage}', occurred_at => clock_timestamp() - interval '{} ms')",
                                numbers.below(40)
                            ),
                            4 => {
                                let list = [customer, numbers.one_of(all), numbers.one_of(all)]
                                    .map(|customer| format!(r#"{{"customer_id": "{customer}", "to_stage": "{}"}}"#, numbers.one_of(&STAGES)))
                                    .join(",");
                                format!("select 1 from transition_stages('[{list}]') where outcome = 'moved'")
                            }
                            _ => format!("select 1 from move('{customer}', '{stage}')"),
                        };
                        let statement = statement.replace("from move(", "from transition_stage(").replace("moved, move(", "moved, transition_stage(");
                        app.batch_execute("begin").unwrap();
                        let rolls_back = numbers.below(5) == 0;
                        match app.query(&statement, &[]) {
                            Ok(_) if !rolls_back => {
                                recorded = value(&mut app, OWN);
                                app.batch_execute("commit").unwrap();
                            }
                            Ok(_) => app.batch_execute("rollback").unwrap(),
                            Err(error) => {
                                require_refusal(&error, &statement);
                                app.batch_execute("rollback").unwrap();
                            }
                        }
                        // No move of this one's is lost or doubled, whatever the others do.
                        assert_eq!(value::<i64>(&mut app, OWN), recorded, "{statement}");
                    }
                });
            }
        });
        let mut app = database.app_of(brand);
        assert_eq!(values::<String>(&mut app, OUT_OF_STEP), [] as [String; 0], "{brand}");
        let moved: i64 =
            value(&mut app, "select count(*) from customer_stage_transitions where from_stage is not null");
        assert!(moved > 200, "{moved}");
        let keys: i64 = value(
            &mut app,
            "select count(idempotency_key) - count(distinct idempotency_key) from customer_stage_transitions",
        );
        assert_eq!(keys, 0);
    }
}

#[test]
fn ten_thousand_contended_moves_in_lists_do_not_deadlock() {
    const LISTS: usize = 25;
    const LENGTH: usize = 50;
    let database = TestDatabase::migrated();
    let all = customers(&mut database.app_of("percymd"), 60);
    let outcomes: Mutex<[usize; 3]> = Mutex::default();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (database, all, outcomes) = (&database, &all, &outcomes);
            scope.spawn(move || {
                let mut numbers = Numbers::new(100 + client);
                let mut app = database.app_of("percymd");
                for _ in 0..LISTS {
                    let list: Vec<_> = (0..LENGTH)
                        .map(|_| {
                            let (customer, stage) = (numbers.one_of(all), *numbers.one_of(&STAGES));
                            let key = match numbers.below(3) {
                                0 => format!(r#", "idempotency_key": "key {}""#, numbers.below(500)),
                                _ => String::new(),
                            };
                            format!(r#"{{"customer_id": "{customer}", "to_stage": "{stage}"{key}}}"#)
                        })
                        .collect();
                    let call = format!(
                        "select outcome, coalesce(error, '') from transition_stages('[{}]')",
                        list.join(",")
                    );
                    let rows = app.query(&call, &[]).unwrap();
                    assert_eq!(rows.len(), LENGTH);
                    let mut outcomes = outcomes.lock().unwrap();
                    for row in rows {
                        let (outcome, error): (&str, &str) = (row.get(0), row.get(1));
                        // A deadlock is no refusal.
                        let judged =
                            ["a customer cannot go from", "idempotency key", "the customer is in stage"];
                        assert!(
                            error.is_empty() || judged.iter().any(|words| error.starts_with(words)),
                            "{error}"
                        );
                        let place = ["moved", "unchanged", "refused"]
                            .iter()
                            .position(|known| *known == outcome)
                            .unwrap();
                        outcomes[place] += 1;
                    }
                }
            });
        }
    });
    let mut app = database.app_of("percymd");
    let [moved, unchanged, refused] = *outcomes.lock().unwrap();
    assert_eq!(moved + unchanged + refused, 10_000);
    let recorded: i64 =
        value(&mut app, "select count(*) from customer_stage_transitions where from_stage is not null");
    assert_eq!(usize::try_from(recorded).unwrap(), moved, "no move is lost, none is doubled");
    assert!(moved > 2_000 && refused > 1_000, "{moved} {unchanged} {refused}");
    assert_eq!(values::<String>(&mut app, OUT_OF_STEP), [] as [String; 0]);
}

/// Runs a statement at once from every client; returns the first column of each, nothing where it was refused.
fn at_once(database: &TestDatabase, statement: impl Fn(usize) -> String + Sync) -> Vec<Option<String>> {
    let start = std::sync::Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (start, statement) = (&start, &statement);
                scope.spawn(move || {
                    let mut app = database.app_of("gnymble");
                    let statement = statement(client);
                    start.wait();
                    match app.query_one(&statement, &[]) {
                        Ok(row) => Some(row.get(0)),
                        Err(error) => {
                            require_refusal(&error, &statement);
                            None
                        }
                    }
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn a_key_that_is_used_by_all_at_once_moves_once_and_all_are_told_so() {
    let database = TestDatabase::migrated();
    let all = customers(&mut database.app_of("gnymble"), 60);
    for (number, customer) in all.iter().enumerate().take(20) {
        let answers = at_once(&database, |_| {
            format!(
                "select id::text from transition_stage('{customer}', 'trial', idempotency_key => 'key {number}')"
            )
        });
        assert!(answers[0].is_some());
        assert_eq!(answers.iter().collect::<BTreeSet<_>>().len(), 1, "{answers:?}");
    }
    // For one customer each: one has it, and the others are told that it is taken.
    for round in 0..5 {
        let answers = at_once(&database, |client| {
            let customer = &all[20 + round * CLIENTS + client];
            format!(
                "select id::text from transition_stage('{customer}', 'dormant', idempotency_key => 'shared {round}')"
            )
        });
        assert_eq!(answers.iter().flatten().count(), 1, "{answers:?}");
    }
}

#[test]
fn of_those_who_expect_the_same_stage_one_moves_the_customer() {
    let database = TestDatabase::migrated();
    for customer in customers(&mut database.app_of("gnymble"), 20) {
        let answers = at_once(&database, |client| {
            let stage = ["marketing", "trial", "dormant", "churned"][client % 4];
            format!(
                "select to_stage::text from transition_stage('{customer}', '{stage}', expected_from => 'lead')"
            )
        });
        assert_eq!(answers.iter().flatten().count(), 1, "{answers:?}");
    }
}

#[test]
fn the_dormant_are_marked_once_from_however_many_places() {
    let database = TestDatabase::migrated();
    database
        .app_of("gnymble")
        .batch_execute(
            "insert into customers (email, created_at)
             select number || '@example.com', now() - interval '1 year' from generate_series(1, 400) as number",
        )
        .unwrap();
    let marked = AtomicUsize::new(0);
    for _ in 0..10 {
        for answer in at_once(&database, |_| "select mark_dormant('30 days', 30)::text".to_owned()) {
            marked.fetch_add(answer.unwrap().parse().unwrap(), Ordering::Relaxed);
        }
    }
    assert_eq!(marked.into_inner(), 400);
    let mut app = database.app_of("gnymble");
    assert_eq!(value::<i64>(&mut app, "select count(*) from customers where stage = 'dormant'"), 400);
    assert_eq!(values::<String>(&mut app, OUT_OF_STEP), [] as [String; 0]);
}

#[test]
fn a_move_that_comes_too_late_for_its_snapshot_fails_and_is_not_called_refused() {
    let database = TestDatabase::migrated();
    let mut early = database.app_of("gnymble");
    let customer = customers(&mut early, 1).remove(0);
    for call in [
        format!("select transition_stage('{customer}', 'dormant')"),
        format!(r#"select transition_stages('[{{"customer_id": "{customer}", "to_stage": "dormant"}}]')"#),
        format!("update customers set stage = 'dormant' where id = '{customer}'"),
    ] {
        early.batch_execute("begin isolation level repeatable read; select count(*) from customers").unwrap();
        let stage: String = value(&mut database.app_of("gnymble"), "select stage::text from customers");
        let next = if stage == "lead" { "marketing" } else { "lead" };
        database
            .app_of("gnymble")
            .batch_execute(&format!("select transition_stage('{customer}', '{next}')"))
            .unwrap();
        assert_eq!(
            percytech_tests::refusal(&mut early, &call),
            postgres::error::SqlState::T_R_SERIALIZATION_FAILURE
        );
        early.batch_execute("rollback").unwrap();
    }
}
