//! Somebody's code that runs in the course of another's maintenance: the functions of an index, the query of a materialized
//! view. PostgreSQL runs them as the table's owner, but the session is a superuser's or autovacuum's.

use std::time::{Duration, Instant};

use percytech_tests::{TestDatabase, fill, login_of, migrate_up, policies_apply, sql, value};
use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::database;
use postgres::Client;

/// What gnymble's login does to have others collect percymd's customers for it.
const TRAP: &str = "
    create schema trap;
    create table trap.loot (email text);
    create function trap.collect(bait text) returns text language plpgsql as $$
      begin
        begin
          perform set_config('app.current_brand', 'percymd', true);
        exception when others then null;
        end;
        insert into trap.loot select email from public.customers;
        return bait;
      exception when others then return bait;
      end $$;
    create function trap.harmless(bait text) returns text language sql immutable as 'select trap.collect(bait)';
    create table trap.bait (bait text);
    insert into trap.bait select number::text from generate_series(1, 100) as number;
    create index on trap.bait (trap.harmless(bait));
    create statistics trap.spread on (trap.harmless(bait)) from trap.bait;
    create materialized view trap.seen as select trap.collect('x') as bait, * from public.customers;
    delete from trap.loot;
";

fn set_trap(client: &mut Client, superuser: &mut Client, login: &str) {
    let database: String = value(superuser, "select current_database()::text");
    superuser.batch_execute(&format!("grant create on database {database} to {login}")).unwrap();
    client.batch_execute(TRAP).unwrap();
    // The bait is touched, so that there is something to analyze.
    client.batch_execute("update trap.bait set bait = bait || '.'; delete from trap.loot").unwrap();
}

fn loot(superuser: &mut Client) -> i64 {
    value(superuser, "select (select count(*) from trap.loot) + (select count(email) from trap.seen)")
}

#[test]
fn code_that_maintenance_runs_for_somebody_has_no_brand() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    let login = login_of("gnymble");
    set_trap(&mut database.connect(&login), &mut superuser, &login);
    for maintenance in [
        "analyze trap.bait",
        "vacuum analyze trap.bait",
        "reindex table trap.bait",
        "refresh materialized view trap.seen",
        "cluster trap.bait using bait_harmless_idx",
        "create index on trap.bait (trap.harmless(bait || 'x'))",
    ] {
        // As a superuser is, with no brand and with the one that is wanted.
        for context in ["reset app.current_brand", "set app.current_brand = 'percymd'"] {
            superuser.batch_execute(context).unwrap();
            superuser.batch_execute(maintenance).unwrap_or_else(|error| panic!("{maintenance}: {error:?}"));
            assert_eq!(loot(&mut superuser), 0, "{maintenance}, {context}");
        }
    }
    superuser
        .batch_execute(
            "begin; select percytech.set_brand_context('percymd', seal => true); analyze trap.bait",
        )
        .unwrap();
    assert_eq!(loot(&mut superuser), 0, "sealed");
}

#[test]
fn nor_does_code_that_autovacuum_runs() {
    let settings = ["autovacuum=on", "autovacuum_naptime=1", "track_counts=on"];
    let cluster = Cluster::start(&Installation::find().unwrap(), &settings).unwrap();
    let connect = |user| database::connect(Some(&cluster.url(user, "postgres")), "percytech tests").unwrap();
    let mut superuser = connect(SUPERUSER);
    migrate_up(&mut superuser, &sql("migrations"));
    policies_apply(&mut superuser, &sql("policies"));
    fill(&mut superuser);
    superuser.batch_execute("create role shop login in role percytech_app, brand_gnymble").unwrap();
    set_trap(&mut connect("shop"), &mut superuser, "shop");
    let analyzed = "select autoanalyze_count > 0 from pg_stat_all_tables where relid = 'trap.bait'::regclass";
    let start = Instant::now();
    while !value::<bool>(&mut superuser, analyzed) {
        assert!(start.elapsed() < Duration::from_mins(1), "autovacuum has not come");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(loot(&mut superuser), 0);
}

#[test]
fn what_is_ones_own_is_maintained_within_ones_own_brand() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    superuser
        .batch_execute(&format!("grant create on database {} to test_gnymble", database.name()))
        .unwrap();
    let mut client = database.connect("test_gnymble");
    client
        .batch_execute(
            "create schema own;
             set app.current_brand = 'gnymble';
             create materialized view own.emails as select email from public.customers",
        )
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from own.emails"), 2);
    client.batch_execute("refresh materialized view own.emails").unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from own.emails"), 2);
    // Another's maintenance is no occasion to look.
    superuser
        .batch_execute("set app.current_brand = 'percymd'; refresh materialized view own.emails")
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from own.emails"), 0);
}
