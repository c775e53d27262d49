//! When the library is loaded: before a value is set, after it, or with the server. What could not be checked when it was
//! set is checked when it is read.

use std::process::Command;

use percytech_tests::{login_of, refusal, value};
use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::database;
use postgres::error::SqlState;

use crate::brand_authority::{connect_with, current, filled, is_loaded, others, routes};

#[test]
fn no_route_that_is_tried_before_the_library_is_loaded_reaches_another_brand() {
    let database = filled();
    let mut let_pass = 0;
    for route in routes(&database) {
        let mut client = database.connect(&login_of("gnymble"));
        client.batch_execute("begin; savepoint s").unwrap();
        assert!(!is_loaded(&mut client));
        // A setting that nobody knows yet may be set to anything; it is dropped when the library is loaded.
        match client.batch_execute(&route) {
            Ok(()) => let_pass += 1,
            Err(_) => client.batch_execute("rollback to s").unwrap(),
        }
        assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0, "{route}");
        assert!(is_loaded(&mut client));
        assert_eq!(current(&mut client), None, "{route}");
        client.batch_execute("commit").unwrap();
        assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0, "{route}");
        let mut next = database.connect(&login_of("gnymble"));
        assert_eq!(current(&mut next), None, "{route}, in the next session");
    }
    assert!(let_pass >= 8, "{let_pass} routes were open before the library was loaded");
}

#[test]
fn where_the_library_is_loaded_first_the_first_statement_is_refused() {
    let database = filled();
    let name = database.name();
    database
        .superuser()
        .batch_execute(&format!("alter database {name} set session_preload_libraries = 'percytech'"))
        .unwrap();
    for route in routes(&database) {
        let mut client = database.connect(&login_of("gnymble"));
        client.batch_execute("begin").unwrap();
        assert_eq!(refusal(&mut client, &route), SqlState::INSUFFICIENT_PRIVILEGE, "{route}");
    }
}

#[test]
fn a_brand_that_was_stored_for_a_role_is_its_context_only_where_it_may_act_as_it() {
    let database = filled();
    let mut superuser = database.superuser();
    let name = database.name();
    let role = format!("stored_for_{name}");
    superuser
        .batch_execute(&format!("create role {role} login in role percytech_app, brand_gnymble"))
        .unwrap();
    let preload = format!("alter database {name} set session_preload_libraries = 'percytech'");
    let no_preload = format!("alter database {name} reset session_preload_libraries");
    for (target, brand, preload) in [
        (format!("role {role}"), "percymd", &no_preload),
        (format!("role {role}"), "percymd", &preload),
        (format!("role {role} in database {name}"), "percymd", &no_preload),
        (format!("database {name}"), "percymd", &preload),
        (format!("role {role}"), "gnymble", &no_preload),
        (format!("database {name}"), "gnymble", &preload),
    ] {
        superuser
            .batch_execute(&format!("{preload}; alter {target} set app.current_brand = '{brand}'"))
            .unwrap();
        let mut client = database.connect(&role);
        let expected = (brand == "gnymble").then_some("gnymble");
        assert_eq!(current(&mut client).as_deref(), expected, "{target}, {preload}");
        assert_eq!(others(&mut client), 0, "{target}, {preload}");
        superuser.batch_execute(&format!("alter {target} reset app.current_brand")).unwrap();
    }
}

#[test]
fn a_connection_option_is_a_context_only_where_the_login_may_act_as_it() {
    let database = filled();
    let name = database.name();
    for (brand, expected, preload) in [
        ("gnymble", Some("gnymble"), "reset session_preload_libraries"),
        ("gnymble", Some("gnymble"), "set session_preload_libraries = 'percytech'"),
        ("percymd", None, "reset session_preload_libraries"),
        ("percymd", None, "set session_preload_libraries = 'percytech'"),
    ] {
        database.superuser().batch_execute(&format!("alter database {name} {preload}")).unwrap();
        let options = format!("-c app.current_brand={brand}");
        let mut client = connect_with(&database, &login_of("gnymble"), &options);
        assert_eq!(value::<i64>(&mut client, "select count(*) from customers") > 0, expected.is_some());
        assert_eq!(current(&mut client).as_deref(), expected);
        client.batch_execute("reset app.current_brand").unwrap();
        assert_eq!(current(&mut client).as_deref(), expected);
        assert_eq!(others(&mut client), 0);
    }
    for option in [
        "percytech.trusted_logins=test_gnymble",
        "percytech.seal=sealed:percymd",
        "percytech.brand_claim=brand",
    ] {
        let mut client = connect_with(&database, &login_of("gnymble"), &format!("-c {option}"));
        client
            .batch_execute(
                r#"set request.jwt.claims = '{"brand": "percymd", "app_metadata": {"brand_id": "percymd"}}'"#,
            )
            .unwrap();
        assert_eq!(current(&mut client), None, "{option}");
        assert_eq!(others(&mut client), 0, "{option}");
    }
}

#[test]
fn a_value_that_was_let_pass_as_a_superuser_is_no_context_for_who_may_not_have_it() {
    let database = filled();
    let mut client = database.superuser();
    client
        .batch_execute(
            "set role test_gnymble; set app.current_brand = 'percymd'; reset role; load 'percytech'; set role test_gnymble",
        )
        .unwrap();
    assert_eq!(value::<String>(&mut client, "show app.current_brand"), "percymd");
    assert_eq!(current(&mut client), None);
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
}

#[test]
fn a_server_that_loads_the_library_at_its_start_refuses_the_connection_itself() {
    let cluster =
        Cluster::start(&Installation::find().unwrap(), &["shared_preload_libraries=percytech"]).unwrap();
    let mut superuser =
        database::connect(Some(&cluster.url(SUPERUSER, "postgres")), "percytech tests").unwrap();
    percytech_tests::migrate_up(&mut superuser, &percytech_tests::sql("migrations"));
    superuser.batch_execute("create role shop login in role percytech_app, brand_gnymble").unwrap();
    let connect = |brand: &str| {
        let url = format!("{} options='-c app.current_brand={brand}'", cluster.url("shop", "postgres"));
        database::connect(Some(&url), "percytech tests")
    };
    let refused = format!("{:?}", connect("percymd").map(drop).unwrap_err());
    assert!(refused.contains("role \\\"shop\\\" may not act as brand \\\"percymd\\\""), "{refused}");
    assert_eq!(current(&mut connect("gnymble").unwrap()).as_deref(), Some("gnymble"));
    // A connection for replication has no database, and so no brands.
    let replication = format!(
        "{} replication=true options='-c app.current_brand=percymd'",
        cluster.url(SUPERUSER, "postgres")
    );
    let output = Command::new(Installation::find().unwrap().program("psql"))
        .args(["--no-psqlrc", "--command", "IDENTIFY_SYSTEM", &replication])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    // What a configuration file says is nobody's choice: it counts for those who may act as it.
    superuser.batch_execute("alter system set app.current_brand = 'percymd'").unwrap();
    superuser.batch_execute("select pg_reload_conf()").unwrap();
    let mut shop = database::connect(Some(&cluster.url("shop", "postgres")), "percytech tests").unwrap();
    for _ in 0..100 {
        if value::<String>(&mut shop, "show app.current_brand") == "percymd" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(value::<String>(&mut shop, "show app.current_brand"), "percymd");
    assert_eq!(current(&mut shop), None);
}
