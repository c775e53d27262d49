//! Behind PgBouncer in transaction mode, where the next transaction of a server connection is another client's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use percytech_tests::pgbouncer::PgBouncer;
use percytech_tests::{APP, BRANDS, TestDatabase, fill};
use postgres::{Client, SimpleQueryMessage};

const CLIENTS: usize = 12;
const TRANSACTIONS: usize = 100;
const CONNECTIONS: usize = 3;

/// What one server connection has served.
#[derive(Default)]
struct Served {
    clients: BTreeSet<usize>,
    brands: BTreeSet<&'static str>,
    transactions: usize,
}

/// The first column of what a simple query returns: the pool gives a prepared statement to whatever connection is free.
fn column(client: &mut Client, sql: &str) -> Vec<Option<String>> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn sees(client: &mut Client, brand: Option<&str>) {
    let brand: Vec<_> = brand.map(str::to_owned).into_iter().map(Some).collect();
    assert_eq!(column(client, "select distinct brand_id::text from customers"), brand);
    // Time for another client to come between.
    client.simple_query("select pg_sleep(0.0005)").unwrap();
    assert_eq!(column(client, "select distinct brand_id::text from messages"), brand);
    assert_eq!(
        column(client, "select percytech.current_brand() where percytech.current_brand() is not null"),
        brand
    );
}

/// Runs `transaction` for every client and brand in turns over a few server connections, and shows that these were shared.
fn interleave(
    database: &TestDatabase,
    user: &str,
    transaction: impl Fn(&mut Client, usize, &'static str) -> Option<&'static str> + Sync,
) {
    let pool = PgBouncer::before(database, &[user], CONNECTIONS);
    let served: Mutex<BTreeMap<String, Served>> = Mutex::default();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (pool, served, transaction) = (&pool, &served, &transaction);
            scope.spawn(move || {
                let mut connection = pool.connect(user);
                for turn in 0..TRANSACTIONS {
                    let brand = BRANDS[(client + turn * 2 + turn / 5) % BRANDS.len()];
                    connection.simple_query("begin").unwrap();
                    let backend = column(&mut connection, "select pg_backend_pid()").remove(0).unwrap();
                    let seen = transaction(&mut connection, client * 31 + turn * 7, brand);
                    let mut served = served.lock().unwrap();
                    let served = served.entry(backend).or_default();
                    served.transactions += 1;
                    served.clients.insert(client);
                    served.brands.extend(seen);
                }
            });
        }
    });
    let served = served.into_inner().unwrap();
    assert!(served.len() <= CONNECTIONS, "{} connections", served.len());
    assert_eq!(served.values().map(|served| served.transactions).sum::<usize>(), CLIENTS * TRANSACTIONS);
    // A connection that few came upon need not have seen all.
    let was_shared = |served: &Served| served.clients.len() > 1 && served.brands == BTreeSet::from(BRANDS);
    assert!(served.values().any(was_shared), "no connection served several clients and every brand");
}

#[test]
fn no_transaction_sees_or_inherits_the_brand_of_another() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    interleave(&database, APP, |client, kind, brand| {
        // Nothing has been left by whoever had the connection before.
        sees(client, None);
        let (choose, end) = match kind % 6 {
            0 => (format!("select percytech.set_brand_context('{brand}')"), "commit"),
            1 => (format!("select percytech.set_brand_context('{brand}', seal => true)"), "commit"),
            2 => (format!("set local app.current_brand = '{brand}'"), "rollback"),
            3 => (format!("select set_config('app.current_brand', '{brand}', true)"), "commit and chain"),
            4 => (
                format!("savepoint s; select percytech.set_brand_context('{brand}', seal => true)"),
                "rollback",
            ),
            _ => (String::new(), "commit"),
        };
        if choose.is_empty() {
            client.simple_query(end).unwrap();
            return None;
        }
        client.simple_query(&choose).unwrap();
        sees(client, Some(brand));
        if kind % 5 == 0 {
            client.simple_query("select 1 / 0").unwrap_err();
            client.simple_query("rollback").unwrap();
        } else {
            client.simple_query(end).unwrap();
            if end == "commit and chain" {
                sees(client, None);
                client.simple_query("commit").unwrap();
            }
        }
        Some(brand)
    });
}

#[test]
fn no_request_sees_or_inherits_the_brand_of_another() {
    let database = TestDatabase::supabase();
    fill(&mut database.superuser());
    interleave(&database, "authenticator", |client, kind, brand| {
        // Nothing has been left by whoever had the connection before.
        client.simple_query("select set_config('role', 'authenticated', true)").unwrap();
        sees(client, None);
        let claims = match kind % 3 {
            0 => format!(r#"{{"app_metadata": {{"brand_id": "{brand}"}}}}"#),
            1 => format!(r#"{{"app_metadata": {{"brand_id": ["{brand}"]}}}}"#),
            _ => r#"{"app_metadata": {}}"#.to_owned(),
        };
        client.simple_query(&format!("select set_config('request.jwt.claims', '{claims}', true)")).unwrap();
        if kind % 2 == 0 {
            client.simple_query("select percytech.apply_request_context()").unwrap();
        }
        let brand = (kind % 3 != 2).then_some(brand);
        sees(client, brand);
        client.simple_query(if kind % 5 == 0 { "rollback" } else { "commit" }).unwrap();
        brand
    });
}

#[test]
fn what_is_set_for_the_session_is_found_by_the_next_client() {
    // Why it must not be done, and that the tests above would see it.
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let pool = PgBouncer::before(&database, &[APP, "test_percymd"], 1);
    pool.connect(APP).simple_query("set app.current_brand = 'gnymble'").unwrap();
    sees(&mut pool.connect(APP), Some("gnymble"));
    // Not by a client that logs in as somebody else.
    sees(&mut pool.connect("test_percymd"), None);
}
