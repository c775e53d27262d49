//! The roles that the migrations make, and what they set for the database.

use percytech_tests::{
    ADMIN, BRANDS, TestDatabase, fill, login_of, migrate_up, percytech, refusal, run, sql, value, values,
};
use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::database;
use percytech_toolkit::migrate::file;
use postgres::Client;
use postgres::error::SqlState;

const ROLES: [&str; 7] = [
    "brand_all",
    "brand_gnymble",
    "brand_percymd",
    "brand_percytext",
    "percytech_analyst",
    "percytech_app",
    "percytech_owner",
];

/// A server of its own, since roles are the server's.
fn migrated_cluster(settings: &[&str]) -> (Cluster, Client) {
    let cluster = Cluster::start(&Installation::find().unwrap(), settings).unwrap();
    let mut client = superuser_of(&cluster);
    migrate_up(&mut client, &sql("migrations"));
    (cluster, client)
}

fn superuser_of(cluster: &Cluster) -> Client {
    database::connect(Some(&cluster.url(SUPERUSER, "postgres")), "percytech tests").unwrap()
}

#[test]
fn the_roles_cannot_log_in_and_hold_no_power_but_their_name() {
    let (_cluster, mut client) = migrated_cluster(&[]);
    let roles: Vec<String> = values(
        &mut client,
        "select rolname::text from pg_roles
         where rolname ~ '^(brand|percytech)_'
           and not (rolsuper or rolbypassrls or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication)
           and shobj_description(oid, 'pg_authid') is not null
         order by 1",
    );
    assert_eq!(roles, ROLES);
    let memberships: Vec<String> = values(
        &mut client,
        "select roleid::regrole || ' to ' || member::regrole from pg_auth_members
         where roleid::regrole::text ~ '^(brand|percytech)_' order by 1",
    );
    assert_eq!(memberships, ["brand_all to percytech_owner"]);
}

#[test]
fn the_migrations_take_roles_that_exist_as_they_are() {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    let mut client = superuser_of(&cluster);
    client
        .batch_execute(
            "create role brand_gnymble; create role shop login in role brand_gnymble; create role brand_all",
        )
        .unwrap();
    migrate_up(&mut client, &sql("migrations"));
    let kept: bool = value(&mut client, "select pg_has_role('shop', 'brand_gnymble', 'member')");
    assert!(kept);
}

#[test]
fn a_brands_role_that_would_see_every_brand_is_refused() {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    let mut client = superuser_of(&cluster);
    for attribute in ["bypassrls", "superuser"] {
        client
            .batch_execute(&format!(
                "drop role if exists brand_percymd; create role brand_percymd {attribute}"
            ))
            .unwrap();
        let mut command = percytech(&["migrate", "up"]);
        command.env("DATABASE_URL", cluster.url(SUPERUSER, "postgres"));
        run(&mut command).expect(2).says(&[
            "2026-11-22-10-brand-roles.sql:",
            "role brand_percymd would see every brand",
            "alter role brand_percymd nosuperuser nobypassrls;",
        ]);
    }
}

#[test]
fn a_new_brand_is_a_label_and_a_role() {
    let (cluster, mut client) = migrated_cluster(&[]);
    let connect =
        |user: &str| database::connect(Some(&cluster.url(user, "postgres")), "percytech tests").unwrap();
    client.batch_execute("create role every_shop login in role percytech_app, brand_all").unwrap();
    client.batch_execute("alter type brand_id add value 'percypets'").unwrap();
    let choose = "select percytech.set_brand_context('percypets', false)";
    connect("every_shop").batch_execute(choose).unwrap();
    client
        .batch_execute(
            "create role brand_percypets nologin; create role pet_shop login in role percytech_app, brand_percypets",
        )
        .unwrap();
    let mut shop = connect("pet_shop");
    shop.batch_execute(choose).unwrap();
    assert_eq!(value::<Vec<String>>(&mut shop, "select percytech.allowed_brands()"), ["percypets"]);
    let other = "select percytech.set_brand_context('gnymble')";
    assert_eq!(refusal(&mut shop, other), SqlState::INSUFFICIENT_PRIVILEGE);
}

/// What the database has every session load.
fn preloaded(client: &mut Client) -> Vec<String> {
    values(
        client,
        "select setting from pg_db_role_setting, unnest(setconfig) as setting
         where setting like 'session\\_preload%'
           and setdatabase = (select oid from pg_database where datname = current_database())",
    )
}

#[test]
fn a_migrated_database_checks_a_brand_from_the_first_statement_on() {
    let database = TestDatabase::empty();
    run(&mut database.percytech(&["migrate", "up"])).expect(0);
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    fill(&mut database.superuser());
    assert_eq!(preloaded(&mut database.superuser()), ["session_preload_libraries=percytech"]);
    for brand in BRANDS {
        let set = format!("set app.current_brand = '{brand}'");
        let mut own = database.connect(&login_of(brand));
        own.batch_execute(&set).unwrap();
        assert_eq!(value::<i64>(&mut own, "select count(*) from customers"), 2);
        let other = if brand == "gnymble" { "percymd" } else { "gnymble" };
        let mut stranger = database.connect(&login_of(other));
        assert_eq!(refusal(&mut stranger, &set), SqlState::INSUFFICIENT_PRIVILEGE);
    }
}

#[test]
fn what_was_loaded_already_is_loaded_as_before() {
    let own = ["session_preload_libraries=auto_explain, percytech"];
    let (cluster, mut client) = migrated_cluster(&["session_preload_libraries=auto_explain"]);
    assert_eq!(preloaded(&mut client), own);
    let loaded: String = value(&mut superuser_of(&cluster), "show auto_explain.log_min_duration");
    assert_eq!(loaded, "-1");

    for (before, after) in [
        ("auto_explain", "auto_explain, percytech"),
        ("auto_explain, percytech", "auto_explain, percytech"),
        ("percytech, auto_explain", "percytech, auto_explain"),
        ("'$libdir/percytech'", "\"$libdir/percytech\""),
    ] {
        let database = TestDatabase::empty();
        let mut superuser = database.superuser();
        superuser
            .batch_execute(&format!(
                "alter database {} set session_preload_libraries = {before}",
                database.name()
            ))
            .unwrap();
        run(&mut database.percytech(&["migrate", "up"])).expect(0);
        assert_eq!(preloaded(&mut superuser), [format!("session_preload_libraries={after}")]);
        // A library that is not found would let nobody in.
        drop(database.superuser());
    }
}

#[test]
fn who_may_not_have_a_library_loaded_is_told_and_migrates_all_the_same() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create extension percytech; create schema extensions; grant usage on schema extensions to public;
             create extension btree_gin with schema extensions; create extension moddatetime with schema extensions;
             alter database {} owner to {ADMIN}; grant percytech_owner to {ADMIN}",
            database.name()
        ))
        .unwrap();
    let ran = run(&mut database.percytech_as(ADMIN, &["migrate", "up"])).expect(0);
    let advice = format!("alter database {} set session_preload_libraries", database.name());
    ran.says(&["warning: session_preload_libraries stays as it is", &advice]);
    assert_eq!(preloaded(&mut superuser), [] as [String; 0]);

    // Who may set it may not read it, and so cannot say again what it says already.
    superuser.batch_execute(&format!("grant set on parameter session_preload_libraries to {ADMIN}")).unwrap();
    let preload = file::read_all(&sql("migrations")).unwrap().pop().unwrap();
    assert_eq!(preload.name(), "2026-11-22-14-preload");
    let mut admin = database.connect(ADMIN);
    admin.batch_execute(&preload.up).unwrap();
    assert_eq!(preloaded(&mut superuser), [] as [String; 0]);
    superuser.batch_execute(&format!("grant pg_read_all_settings to {ADMIN}")).unwrap();
    admin.batch_execute(&preload.up).unwrap();
    assert_eq!(preloaded(&mut superuser), ["session_preload_libraries=percytech"]);
    admin.batch_execute(preload.rollback.as_ref().unwrap()).unwrap();
    assert_eq!(preloaded(&mut superuser), [] as [String; 0]);
    superuser
        .batch_execute(&format!(
            "revoke set on parameter session_preload_libraries from {ADMIN}; revoke pg_read_all_settings from {ADMIN}"
        ))
        .unwrap();

    // Without it, what may not be set is dropped at the first query.
    run(&mut database.percytech_as(ADMIN, &["policies", "apply"])).expect(0);
    fill(&mut superuser);
    let mut client = database.connect(&login_of("gnymble"));
    client.batch_execute("set app.current_brand = 'percymd'").unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
}
