//! Who may act as which brand: each way that there is to set the context, tried by those who may not.

use percytech_tests::{APP, BRANDS, TestDatabase, fill, login_of, refusal, value};
use percytech_toolkit::cluster::SUPERUSER;
use percytech_toolkit::database;
use postgres::Client;
use postgres::error::SqlState;

pub fn filled() -> TestDatabase {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    database
}

pub fn current(client: &mut Client) -> Option<String> {
    value(client, "select percytech.current_brand()")
}

/// How many customers of brands other than gnymble are seen.
pub fn others(client: &mut Client) -> i64 {
    value(client, "select count(*) from customers where brand_id <> 'gnymble'")
}

/// A connection with `options` in its startup packet.
pub fn connect_with(database: &TestDatabase, user: &str, options: &str) -> Client {
    let url = format!("{} options='{options}'", database.url(user));
    database::connect(Some(&url), "percytech tests").unwrap()
}

/// Each way to have this session, or one to come, act as percymd.
pub fn routes(database: &TestDatabase) -> Vec<String> {
    let name = database.name();
    let own = login_of("gnymble");
    let claims = r#"{"app_metadata": {"brand_id": "percymd"}}"#;
    [
        "set app.current_brand = 'percymd'",
        "set session app.current_brand to percymd",
        "set local app.current_brand = 'percymd'",
        "select set_config('app.current_brand', 'percymd', false)",
        "select set_config('app.current_brand', 'percymd', true)",
        "select set_config('APP.Current_Brand', 'percymd', true)",
        "update pg_settings set setting = 'percymd' where name = 'app.current_brand'",
        "select percytech.set_brand_context('percymd')",
        "select percytech.set_brand_context('percymd', is_local => false)",
        "select percytech.set_brand_context('percymd', seal => true)",
        "select public.set_brand_context('percymd')",
        "do $$ begin perform set_config('app.current_brand', 'percymd', false); end $$",
        "do $$ begin set local app.current_brand = 'percymd'; end $$",
        "create function pg_temp.f() returns text language sql set app.current_brand = 'percymd' as 'select percytech.current_brand()'; select pg_temp.f()",
        "set role test_percymd",
        "set session authorization test_percymd",
        "set percytech.trusted_logins = 'test_gnymble'",
        "set percytech.brand_claim = 'brand'",
        "set percytech.seal = 'sealed:percymd'",
        "select set_config('percytech.seal', 'sealed:percymd', true)",
        "grant brand_percymd to test_gnymble",
        "load 'percytech'",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("alter role {own} set app.current_brand = 'percymd'"),
        format!("alter role {own} in database {name} set app.current_brand = 'percymd'"),
        format!("alter role {own} set percytech.trusted_logins = '{own}'"),
        format!("alter database {name} set app.current_brand = 'percymd'"),
        format!("select set_config('request.jwt.claims', '{claims}', false), percytech.set_brand_context('percymd')"),
    ])
    .collect()
}

#[test]
fn a_role_of_one_brand_reaches_no_other_by_any_route() {
    let database = filled();
    let mut client = database.connect(&login_of("gnymble"));
    // The library is loaded by the first call.
    assert_eq!(current(&mut client), None);
    for route in routes(&database) {
        client.batch_execute("begin; select percytech.set_brand_context('gnymble'); savepoint s").unwrap();
        assert_eq!(refusal(&mut client, &route), SqlState::INSUFFICIENT_PRIVILEGE, "{route}");
        client.batch_execute("rollback to s").unwrap();
        assert_eq!(current(&mut client).as_deref(), Some("gnymble"), "{route}");
        assert_eq!(others(&mut client), 0, "{route}");
        client.batch_execute("rollback").unwrap();
        assert_eq!(others(&mut client), 0, "{route}");
    }
    let for_all = "alter system set app.current_brand = 'percymd'";
    assert_eq!(refusal(&mut client, for_all), SqlState::INSUFFICIENT_PRIVILEGE);
}

/// Whether the library is loaded in this session: its settings are none that somebody has made up.
pub fn is_loaded(client: &mut Client) -> bool {
    value(client, "select exists (select from pg_settings where name = 'percytech.trusted_logins')")
}

#[test]
fn the_refusal_says_who_what_and_how_to_mend_it() {
    let mut client = TestDatabase::migrated().connect(&login_of("gnymble"));
    current(&mut client);
    for route in ["select percytech.set_brand_context('percymd')", "set app.current_brand = 'percymd'"] {
        let error = client.batch_execute(route).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.message(), "role \"test_gnymble\" may not act as brand \"percymd\"");
        assert_eq!(error.detail(), Some("It may act as gnymble."));
        assert!(error.hint().unwrap().contains("GRANT \"brand_percymd\" TO \"test_gnymble\""));
    }
}

#[test]
fn a_function_whose_set_clause_names_a_brand_is_refused_to_who_may_not_act_as_it() {
    let database = filled();
    database
        .superuser()
        .batch_execute(
            "create function count_percymd() returns bigint language sql set app.current_brand = 'percymd' as
             'select count(*) from public.customers'",
        )
        .unwrap();
    let mut gnymble = database.connect(&login_of("gnymble"));
    let mut percymd = database.connect(&login_of("percymd"));
    assert_eq!(current(&mut gnymble), None);
    assert_eq!(refusal(&mut gnymble, "select count_percymd()"), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(value::<i64>(&mut percymd, "select count_percymd()"), 2);
    assert_eq!(current(&mut percymd), None, "the clause ends with the function");
    // Before the library is loaded it is let pass, and opens nothing.
    let mut fresh = database.connect(&login_of("gnymble"));
    assert_eq!(value::<i64>(&mut fresh, "select count_percymd()"), 0);
}

#[test]
fn a_security_definer_does_not_lend_its_owners_brands() {
    let database = filled();
    let mut superuser = database.superuser();
    for (owner, label) in [("percytech_owner", "owner"), (SUPERUSER, "super"), ("test_percymd", "percymd")] {
        superuser
            .batch_execute(&format!(
                "create schema {label};
                 create function {label}.choose() returns text language sql security definer as
                   $$ select percytech.set_brand_context('percymd') $$;
                 create function {label}.count_within() returns bigint language sql security definer
                   set app.current_brand = 'percymd' as 'select count(*) from public.customers';
                 create function {label}.brand() returns text language sql security definer as
                   'select percytech.current_brand()';
                 create function {label}.role() returns void language sql security definer as
                   $$ select set_config('role', 'test_percymd', true) $$;
                 alter function {label}.choose owner to {owner};
                 alter function {label}.count_within owner to {owner};
                 alter function {label}.brand owner to {owner};
                 alter function {label}.role owner to {owner};
                 grant usage on schema {label} to public"
            ))
            .unwrap();
        let mut client = database.connect(&login_of("gnymble"));
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
        for function in ["choose", "count_within", "role"] {
            let call = format!("select {label}.{function}()");
            assert_eq!(refusal(&mut client, &call), SqlState::INSUFFICIENT_PRIVILEGE, "{call}");
        }
        let brand = value::<String>(&mut client, &format!("select {label}.brand()"));
        assert_eq!(brand, "gnymble", "the caller's context holds within");
        assert_eq!(others(&mut client), 0);
    }
}

#[test]
fn a_superusers_function_that_sets_what_it_is_told_to_lends_no_brand_either() {
    let database = filled();
    database
        .superuser()
        .batch_execute(
            "create function set_anything(name text, value text) returns text language sql security definer as
             'select set_config(name, value, true)'",
        )
        .unwrap();
    let mut client = database.connect(&login_of("gnymble"));
    let claims = r#"{"app_metadata": {"brand_id": "percymd"}}"#;
    for (setting, value) in [
        ("app.current_brand", "percymd"),
        ("percytech.seal", "sealed:percymd"),
        ("percytech.trusted_logins", "test_gnymble"),
        ("percytech.brand_claim", "brand"),
    ] {
        client
            .batch_execute(&format!("begin; set local request.jwt.claims = '{claims}'; select percytech.current_brand(); savepoint s"))
            .unwrap();
        let attempt = format!("select set_anything('{setting}', '{value}')");
        assert_eq!(refusal(&mut client, &attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
        client.batch_execute("rollback to s").unwrap();
        assert_eq!(customers(&mut client), 0, "{attempt}");
        client.batch_execute("rollback").unwrap();
    }
    // Whom a superuser has given the right to set one may use it.
    let role = format!("setter_in_{}", database.name());
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "create role {role} login; grant set on parameter percytech.brand_claim to {role}"
        ))
        .unwrap();
    let mut setter = database.connect(&role);
    assert_eq!(current(&mut setter), None);
    setter.batch_execute("set percytech.brand_claim = 'brand'").unwrap();
    superuser.batch_execute(&format!("revoke set on parameter percytech.brand_claim from {role}")).unwrap();
}

fn customers(client: &mut Client) -> i64 {
    value(client, "select count(*) from customers")
}

#[test]
fn a_security_definer_of_the_owner_works_within_its_callers_brand() {
    let database = filled();
    database
        .superuser()
        .batch_execute(
            "create function brands_seen() returns text[] language sql security definer set search_path = '' as
               'select array_agg(distinct brand_id::text) from public.customers';
             alter function brands_seen owner to percytech_owner",
        )
        .unwrap();
    let mut client = database.connect(&login_of("gnymble"));
    assert_eq!(value::<Option<Vec<String>>>(&mut client, "select brands_seen()"), None);
    client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    assert_eq!(value::<Vec<String>>(&mut client, "select brands_seen()"), ["gnymble"]);
}

/// A login that may become the login of gnymble, or that of percymd.
fn two_faced(database: &TestDatabase) -> String {
    let login = format!("two_faced_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!("create role {login} login noinherit in role test_gnymble, test_percymd"))
        .unwrap();
    login
}

#[test]
fn a_context_does_not_come_along_to_a_role_that_may_not_have_it() {
    let database = filled();
    let mut client = database.connect(&two_faced(&database));
    client
        .batch_execute("set role test_percymd; select percytech.set_brand_context('percymd', false)")
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 2);
    client.batch_execute("set role test_gnymble").unwrap();
    assert_eq!(current(&mut client), None);
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
    let error = client.batch_execute("select percytech.require_brand()").unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().detail(),
        Some("The setting app.current_brand is \"percymd\", which role \"test_gnymble\" may not act as.")
    );
    client.batch_execute("set role test_percymd").unwrap();
    assert_eq!(current(&mut client).as_deref(), Some("percymd"));
}

#[test]
fn a_reset_brings_back_no_brand_that_the_role_may_not_act_as() {
    let database = filled();
    let login = two_faced(&database);
    let mut client = connect_with(&database, &login, "-c app.current_brand=percymd");
    assert_eq!(current(&mut client).as_deref(), Some("percymd"));
    client
        .batch_execute("set role test_gnymble; select percytech.set_brand_context('gnymble', false)")
        .unwrap();
    for reset in ["reset app.current_brand", "reset all", "set app.current_brand to default"] {
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
        // It is checked when it is read.
        client.batch_execute(reset).unwrap();
        assert_eq!(value::<String>(&mut client, "show app.current_brand"), "percymd", "{reset}");
        client.batch_execute("set role test_gnymble").unwrap();
        assert_eq!(others(&mut client), 0, "{reset}");
        assert_eq!(current(&mut client), None, "{reset}");
    }
}

#[test]
fn discard_all_leaves_the_login_with_what_it_may_act_as() {
    let database = filled();
    // The role by which it may act as percymd, and with it the option that names that brand, is the login's no longer.
    let login = two_faced(&database);
    let mut client = connect_with(&database, &login, "-c app.current_brand=percymd");
    assert_eq!(current(&mut client).as_deref(), Some("percymd"));
    database.superuser().batch_execute(&format!("revoke test_percymd from {login}")).unwrap();
    client
        .batch_execute("set role test_gnymble; select percytech.set_brand_context('gnymble', false)")
        .unwrap();
    client.batch_execute("discard all").unwrap();
    assert_eq!(value::<String>(&mut client, "show app.current_brand"), "percymd");
    assert_eq!(current(&mut client), None);
    client.batch_execute("set role test_gnymble").unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
}

#[test]
fn savepoints_and_rollbacks_bring_back_no_brand_that_was_not_allowed() {
    let database = filled();
    for set in ["set local app.current_brand = 'percymd'", "set app.current_brand = 'percymd'"] {
        for end in ["rollback to a", "rollback to b", "release b; rollback to a", "rollback", "commit"] {
            let mut client = database.connect(&login_of("gnymble"));
            // What is set before the library is loaded stands below what is set after.
            client.batch_execute(&format!("begin; {set}; savepoint a")).unwrap();
            assert!(!is_loaded(&mut client));
            client
                .batch_execute("select percytech.set_brand_context('gnymble'); savepoint b; select percytech.clear_brand_context()")
                .unwrap();
            client.batch_execute(end).unwrap();
            assert_ne!(current(&mut client).as_deref(), Some("percymd"), "{set}; {end}");
            assert_eq!(others(&mut client), 0, "{set}; {end}");
            let _ = client.batch_execute("rollback");
            assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0, "{set}; {end}");
        }
    }
}

#[test]
fn who_is_no_longer_a_member_has_no_context_from_then_on() {
    let database = filled();
    let mut superuser = database.superuser();
    let role = format!("leaver_of_{}", database.name());
    superuser
        .batch_execute(&format!("create role {role} login in role percytech_app, brand_gnymble"))
        .unwrap();
    let mut client = database.connect(&role);
    client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 2);
    superuser.batch_execute(&format!("revoke brand_gnymble from {role}")).unwrap();
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
    assert_eq!(current(&mut client), None);
}

#[test]
fn a_role_without_brands_may_use_the_tables_and_sees_nothing() {
    let database = filled();
    let role = format!("brandless_of_{}", database.name());
    database.superuser().batch_execute(&format!("create role {role} login in role percytech_app")).unwrap();
    let mut client = database.connect(&role);
    for brand in BRANDS {
        let choose = format!("select percytech.set_brand_context('{brand}')");
        assert_eq!(refusal(&mut client, &choose), SqlState::INSUFFICIENT_PRIVILEGE);
    }
    assert_eq!(value::<Vec<String>>(&mut client, "select percytech.allowed_brands()"), [] as [String; 0]);
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 0);
}

#[test]
fn a_member_of_a_member_may_act_as_the_brand_inheriting_or_not() {
    let database = filled();
    for inherits in ["inherit", "noinherit"] {
        let role = format!("{inherits}s_of_{}", database.name());
        database
            .superuser()
            .batch_execute(&format!("create role {role} login {inherits} in role test_gnymble"))
            .unwrap();
        let mut client = database.connect(&role);
        let allowed: Vec<String> = value(&mut client, "select percytech.allowed_brands()");
        assert_eq!(allowed, ["gnymble"], "{inherits}");
    }
}

#[test]
fn who_merely_administers_a_brands_role_may_not_act_as_it() {
    let database = filled();
    let mut superuser = database.superuser();
    if value::<i32>(&mut superuser, "select current_setting('server_version_num')::integer") < 160_000 {
        // Before PostgreSQL 16, who is granted a role with ADMIN OPTION is a member of it in every way.
        return;
    }
    let role = format!("admin_of_{}", database.name());
    superuser
        .batch_execute(&format!(
            "create role {role} login in role percytech_app;
             grant brand_gnymble to {role} with admin true, inherit false, set false"
        ))
        .unwrap();
    let mut client = database.connect(&role);
    let choose = "select percytech.set_brand_context('gnymble')";
    assert_eq!(refusal(&mut client, choose), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn the_functions_say_what_the_session_may_do_and_where_its_brand_comes_from() {
    let database = TestDatabase::migrated();
    let mut client = database.connect(&login_of("percymd"));
    let context = |client: &mut Client| value::<String>(client, "select percytech.brand_context()::text");
    assert_eq!(
        context(&mut client),
        r#"{"brand": null, "sealed": false, "source": "none", "allowed": ["percymd"]}"#
    );
    let error = client.batch_execute("select percytech.require_brand()").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(error.message(), "no brand is in context");
    assert!(error.hint().unwrap().contains("may act as percymd"), "{error:?}");
    client.batch_execute("begin; select percytech.set_brand_context('percymd', seal => true)").unwrap();
    assert_eq!(value::<String>(&mut client, "select percytech.require_brand()"), "percymd");
    assert_eq!(
        context(&mut client),
        r#"{"brand": "percymd", "sealed": true, "source": "setting", "allowed": ["percymd"]}"#
    );
    client.batch_execute("commit").unwrap();
    let allowed: Vec<String> = value(&mut database.app(), "select percytech.allowed_brands()");
    assert_eq!(allowed, BRANDS);
    let allowed: Vec<String> = value(&mut database.superuser(), "select percytech.allowed_brands()");
    assert_eq!(allowed, BRANDS);
}

#[test]
fn the_typed_functions_speak_of_brands() {
    let database = filled();
    let mut client = database.connect(&login_of("percymd"));
    client.batch_execute("begin").unwrap();
    let set: String = value(&mut client, "select pg_typeof(public.set_brand_context('percymd'))::text");
    assert_eq!(set, "brand_id");
    assert_eq!(value::<String>(&mut client, "select public.current_brand()::text"), "percymd");
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers"), 2);
    client.batch_execute("commit").unwrap();
    assert_eq!(value::<Option<String>>(&mut client, "select public.current_brand()::text"), None);
    let none: Option<String> = value(&mut client, "select public.set_brand_context(null)::text");
    assert_eq!(none, None);
    assert_eq!(
        refusal(&mut client, "select public.set_brand_context('acme')"),
        SqlState::INVALID_TEXT_REPRESENTATION
    );
}

#[test]
fn an_insert_need_not_name_its_brand() {
    let database = TestDatabase::migrated();
    let mut app = database.app();
    for brand in BRANDS {
        app.batch_execute(&format!(
            "begin;
             select percytech.set_brand_context('{brand}');
             with customer as (insert into customers (email) values ('new@example.com') returning id),
               conversation as (
                 insert into conversations (customer_id, customer_phone, brand_phone)
                 select id, '+15551111111', '+15552222222' from customer returning id
               )
             select from conversation;
             commit"
        ))
        .unwrap();
    }
    let brands: Vec<String> = percytech_tests::values(
        &mut database.superuser(),
        "select brand_id::text from customers order by brand_id",
    );
    assert_eq!(brands, BRANDS);
    let insert = "insert into customers (email) values ('nobodys@example.com')";
    assert_eq!(refusal(&mut app, insert), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(refusal(&mut database.connect(APP), insert), SqlState::INSUFFICIENT_PRIVILEGE);
}
