//! The roles that the migrations make, and what they set for the database.

use percytech_tests::{
    BRANDS, TestDatabase, fill, login_of, migrate_up, percytech, refusal, run, sql, value, values,
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

fn nothing() -> Vec<String> {
    Vec::new()
}

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

/// A login that owns the database and may become the owner of the schema, where the extensions are.
fn bare_owner(database: &TestDatabase) -> String {
    let role = format!("bare_owner_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!(
            "create role {role} login;
             create extension percytech; create schema extensions; grant usage on schema extensions to public;
             create extension btree_gin with schema extensions; create extension moddatetime with schema extensions;
             alter database {} owner to {role}; grant percytech_owner to {role}",
            database.name()
        ))
        .unwrap();
    role
}

#[test]
fn who_may_not_have_a_library_loaded_is_told_and_migrates_all_the_same() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    let role = bare_owner(&database);
    let advice =
        format!("alter database {} set session_preload_libraries = ..., percytech;", database.name());
    run(&mut database.percytech_as(&role, &["migrate", "up"]))
        .expect(0)
        .says(&["warning: session_preload_libraries stays as it is", &advice]);
    assert_eq!(preloaded(&mut superuser), nothing());

    // Without it, what may not be set is dropped at the first query.
    run(&mut database.percytech_as(&role, &["policies", "apply"])).expect(0);
    fill(&mut superuser);
    let mut client = database.connect(&login_of("gnymble"));
    client.batch_execute("set app.current_brand = 'percymd'").unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
}

#[test]
fn who_may_have_a_library_loaded_needs_to_know_which_are() {
    let database = TestDatabase::empty();
    let mut superuser = database.superuser();
    let role = bare_owner(&database);
    let files = file::read_all(&sql("migrations")).unwrap();
    let preload = files.iter().find(|file| file.name() == "2026-11-22-14-preload").unwrap();
    let rollback = preload.rollback.as_ref().unwrap();
    superuser.batch_execute(&format!("grant set on parameter session_preload_libraries to {role}")).unwrap();
    let mut owner = database.connect(&role);
    owner.batch_execute(&preload.up).unwrap();
    assert_eq!(preloaded(&mut superuser), nothing());
    // What the database says can be read, and yet not be said again.
    let name = database.name();
    superuser
        .batch_execute(&format!("alter database {name} set session_preload_libraries = auto_explain"))
        .unwrap();
    owner.batch_execute(&preload.up).unwrap();
    assert_eq!(preloaded(&mut superuser), ["session_preload_libraries=auto_explain"]);

    superuser.batch_execute(&format!("grant pg_read_all_settings to {role}")).unwrap();
    owner.batch_execute(&preload.up).unwrap();
    assert_eq!(preloaded(&mut superuser), ["session_preload_libraries=auto_explain, percytech"]);
    owner.batch_execute(rollback).unwrap();
    assert_eq!(preloaded(&mut superuser), ["session_preload_libraries=auto_explain"]);

    // The way back does not stop at what another has set.
    superuser
        .batch_execute(&format!(
            "revoke set on parameter session_preload_libraries from {role};
             alter database {name} set session_preload_libraries = percytech"
        ))
        .unwrap();
    owner.batch_execute(rollback).unwrap();
    assert_eq!(preloaded(&mut superuser), ["session_preload_libraries=percytech"]);
}

#[test]
fn a_bare_owner_goes_all_the_way_back() {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    let mut superuser = superuser_of(&cluster);
    let readme = std::fs::read_to_string(percytech_tests::root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sql\n").skip(1).filter_map(|part| part.split("```").next());
    let block = blocks.find(|block| block.contains("create extension percytech;")).unwrap();
    superuser.batch_execute("create role bare login").unwrap();
    superuser.batch_execute("create database bare owner bare").unwrap();
    superuser.batch_execute(percytech_tests::SUPABASE_ROLES).unwrap();
    let connect = |user| database::connect(Some(&cluster.url(user, "bare")), "percytech tests").unwrap();
    connect(SUPERUSER).batch_execute(&block.replace("<user>", "bare")).unwrap();
    let mut bare = connect("bare");
    // Supabase's role needs a superuser to be let act as the brands; the migration says so, and goes on.
    migrate_up(&mut bare, &sql("migrations"));
    let service: bool = value(&mut superuser, "select pg_has_role('service_role', 'brand_all', 'member')");
    assert!(!service);

    let files = file::read_all(&sql("migrations")).unwrap();
    for file in files.iter().skip(3).rev() {
        let mut transaction = bare.transaction().unwrap();
        transaction.batch_execute("set local search_path = public, extensions").unwrap();
        if file.run_as == file::RunAs::Owner {
            transaction.batch_execute("set local role percytech_owner").unwrap();
        }
        let rollback = file.rollback.as_ref().unwrap();
        transaction.batch_execute(rollback).unwrap_or_else(|error| panic!("{}: {error:?}", file.name()));
        transaction.commit().unwrap();
    }
    let tables: i64 =
        value(&mut bare, "select count(*) from pg_class where relnamespace = 'public'::regnamespace");
    assert_eq!(tables, 0);
    let kept: i64 =
        value(&mut superuser, "select count(*) from pg_roles where rolname ~ '^(brand|percytech)_'");
    assert_eq!(kept, 7, "what he may not drop stays");
}

#[test]
fn a_brands_role_that_can_log_in_is_pointed_out() {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    superuser_of(&cluster).batch_execute("create role brand_percymd login").unwrap();
    let mut command = percytech(&["migrate", "up"]);
    command.env("DATABASE_URL", cluster.url(SUPERUSER, "postgres"));
    run(&mut command)
        .expect(0)
        .says(&["warning: role brand_percymd can log in", "alter role brand_percymd nologin;"]);
}
