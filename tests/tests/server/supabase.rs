//! On Supabase: requests of PostgREST, rows for Realtime, and the roles that both run as.

use percytech_tests::{BRANDS, TABLES, TestDatabase, changed, fill, refusal, run, value, values};
use postgres::error::SqlState;
use postgres::{Client, Transaction};

fn filled() -> TestDatabase {
    let database = TestDatabase::supabase();
    fill(&mut database.superuser());
    database
}

/// A token's claims with this at the brand's place.
fn claims(role: &str, brand_id: &str) -> String {
    format!(r#"{{"role": "{role}", "sub": "7d3b", "app_metadata": {{"brand_id": {brand_id}}}}}"#)
}

/// A request as PostgREST begins it: read only as a GET is, the role, the claims and the headers local to it.
fn request<'a>(client: &'a mut Client, role: &str, claims: &str, headers: &str) -> Transaction<'a> {
    let mut transaction = client.build_transaction().read_only(true).start().unwrap();
    impersonate(&mut transaction, role, claims, headers);
    transaction
}

fn impersonate(transaction: &mut Transaction<'_>, role: &str, claims: &str, headers: &str) {
    transaction
        .query(
            "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true),
               set_config('request.headers', $3, true), set_config('search_path', '\"public\"', true)",
            &[&role, &claims, &headers],
        )
        .unwrap();
}

const NO_HEADERS: &str = r#"{"accept": "application/json"}"#;

fn chosen(brand: &str) -> String {
    format!(r#"{{"accept": "application/json", "x-brand-id": "{brand}"}}"#)
}

const APPLY: &str = "select percytech.apply_request_context()";

fn brands_seen(transaction: &mut Transaction<'_>) -> Vec<String> {
    let rows = transaction.query("select distinct brand_id::text from customers order by 1", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn current(transaction: &mut Transaction<'_>) -> Option<String> {
    transaction.query_one("select percytech.current_brand()", &[]).unwrap().get(0)
}

#[track_caller]
fn code(result: Result<(), postgres::Error>) -> SqlState {
    result.unwrap_err().code().unwrap().clone()
}

#[test]
fn a_request_sees_the_brand_of_its_token() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    for brand in BRANDS.iter().cycle().take(6) {
        let claims = claims("authenticated", &format!("\"{brand}\""));
        let mut request = request(&mut postgrest, "authenticated", &claims, NO_HEADERS);
        request.batch_execute(APPLY).unwrap();
        assert_eq!(brands_seen(&mut request), [*brand]);
        for table in TABLES {
            let others = format!("select count(*) from {table} where brand_id <> '{brand}'");
            assert_eq!(request.query_one(&others, &[]).unwrap().get::<_, i64>(0), 0);
        }
        let found: i64 =
            request.query_one("select count(*) from search_customers('customer')", &[]).unwrap().get(0);
        assert_eq!(found, 2);
        let analysed: i64 =
            request.query_one("select sum(count)::bigint from customer_analytics", &[]).unwrap().get(0);
        assert_eq!(analysed, 1, "one of the two is active");
        let typed: String = request.query_one("select current_brand()::text", &[]).unwrap().get(0);
        assert_eq!(typed, *brand);
        request.commit().unwrap();
    }
    assert_eq!(value::<Option<String>>(&mut postgrest, "select percytech.current_brand()"), None);
}

#[test]
fn a_request_writes_for_the_brand_of_its_token_without_naming_it() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let mut request = postgrest.transaction().unwrap();
    impersonate(&mut request, "authenticated", &claims("authenticated", "\"percymd\""), NO_HEADERS);
    request.batch_execute(APPLY).unwrap();
    let insert = "insert into customers (email) values ('new@example.com') returning brand_id::text";
    assert_eq!(request.query_one(insert, &[]).unwrap().get::<_, String>(0), "percymd");
    let other = "insert into customers (brand_id, email) values ('gnymble', 'new@example.com')";
    assert_eq!(code(request.batch_execute(other)), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn a_header_chooses_among_the_brands_of_the_token_and_never_beyond_them() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let two = claims("authenticated", r#"["gnymble", "percymd"]"#);
    for brand in ["gnymble", "percymd"] {
        let mut request = request(&mut postgrest, "authenticated", &two, &chosen(brand));
        request.batch_execute(APPLY).unwrap();
        assert_eq!(brands_seen(&mut request), [brand]);
    }
    for (claims, header, expected) in [
        (&two, "percytext", SqlState::INSUFFICIENT_PRIVILEGE),
        (&two, "acme", SqlState::INSUFFICIENT_PRIVILEGE),
        (&claims("authenticated", "\"gnymble\""), "percymd", SqlState::INSUFFICIENT_PRIVILEGE),
        (&claims("authenticated", "null"), "percymd", SqlState::INSUFFICIENT_PRIVILEGE),
        (&claims("service_role", "null"), "percymd", SqlState::INSUFFICIENT_PRIVILEGE),
        (&r#"{"role": "anon"}"#.to_owned(), "percymd", SqlState::INSUFFICIENT_PRIVILEGE),
    ] {
        let mut request = request(&mut postgrest, "authenticated", claims, &chosen(header));
        assert_eq!(code(request.batch_execute(APPLY)), expected, "{claims} {header}");
    }
    let mut request = request(&mut postgrest, "authenticated", &two, NO_HEADERS);
    request.batch_execute(APPLY).unwrap();
    assert_eq!(brands_seen(&mut request), [] as [String; 0]);
}

#[test]
fn a_trusted_login_without_a_brand_in_its_claims_sees_nothing() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    for claims in [
        String::new(),
        "{}".to_owned(),
        claims("authenticated", "null"),
        claims("authenticated", "[]"),
        claims("authenticated", "\"acme\""),
        r#"{"user_metadata": {"brand_id": "gnymble"}, "brand_id": "gnymble"}"#.to_owned(),
    ] {
        for apply in ["", APPLY] {
            let mut request = request(&mut postgrest, "authenticated", &claims, NO_HEADERS);
            request.batch_execute(apply).unwrap();
            assert_eq!(brands_seen(&mut request), [] as [String; 0], "{claims}");
            let choose = "select percytech.set_brand_context('gnymble')";
            assert_eq!(code(request.batch_execute(choose)), SqlState::INSUFFICIENT_PRIVILEGE, "{claims}");
        }
    }
}

#[test]
fn the_context_of_a_request_is_sealed_against_forged_claims() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let forged = claims("authenticated", "\"percymd\"");
    for own in ["\"gnymble\"", "null", r#"["gnymble", "percytext"]"#] {
        let mut request = request(&mut postgrest, "authenticated", &claims("authenticated", own), NO_HEADERS);
        request.batch_execute(APPLY).unwrap();
        let before = brands_seen(&mut request);
        assert_eq!(before, if own == "\"gnymble\"" { vec!["gnymble"] } else { vec![] });
        request
            .query(
                "select set_config('request.jwt.claims', $1, true), set_config('request.headers', $2, true)",
                &[&forged, &chosen("percymd")],
            )
            .unwrap();
        assert_eq!(brands_seen(&mut request), before);
        for attempt in
            [APPLY, "set local app.current_brand = 'percymd'", "select set_brand_context('percymd')"]
        {
            let mut savepoint = request.transaction().unwrap();
            assert_eq!(code(savepoint.batch_execute(attempt)), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
            savepoint.rollback().unwrap();
            assert_eq!(brands_seen(&mut request), before, "{attempt}");
        }
    }
}

#[test]
fn to_apply_the_same_request_again_changes_nothing() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    for own in ["\"gnymble\"", "null"] {
        let claims = claims("authenticated", own);
        let mut request = request(&mut postgrest, "authenticated", &claims, NO_HEADERS);
        request.batch_execute(APPLY).unwrap();
        let before = current(&mut request);
        request.batch_execute(APPLY).unwrap();
        assert_eq!(current(&mut request), before);
    }
}

#[test]
fn the_claims_of_a_login_that_is_not_trusted_are_ignored() {
    let database = filled();
    let everything = claims("authenticated", r#"["gnymble", "percymd", "percytext"]"#);
    let brandless = format!("brandless_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!("create role {brandless} login in role percytech_app, authenticated"))
        .unwrap();
    for (login, own) in [("test_gnymble", Some("gnymble")), (brandless.as_str(), None)] {
        let mut client = database.connect(login);
        for claims in [&everything, &claims("authenticated", "\"percymd\"")] {
            let mut transaction = client.transaction().unwrap();
            transaction
                .query(
                    "select set_config('request.jwt.claims', $1, true), set_config('request.headers', $2, true)",
                    &[claims, &chosen("percymd")],
                )
                .unwrap();
            assert_eq!(current(&mut transaction), None);
            assert_eq!(brands_seen(&mut transaction), [] as [String; 0]);
            let allowed: Vec<String> =
                transaction.query_one("select percytech.allowed_brands()", &[]).unwrap().get(0);
            assert_eq!(allowed, own.into_iter().collect::<Vec<_>>());
            let mut attempts = vec![
                "select percytech.set_brand_context('percymd')",
                "set app.current_brand = 'percymd'",
                APPLY,
            ];
            let trust = format!("set local percytech.trusted_logins = '{login}'");
            attempts.push(&trust);
            for attempt in attempts {
                let mut savepoint = transaction.transaction().unwrap();
                let refused = code(savepoint.batch_execute(attempt));
                assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE, "{login}: {attempt}");
            }
            assert_eq!(brands_seen(&mut transaction), [] as [String; 0]);
        }
    }
}

#[test]
fn realtime_sees_the_brand_of_a_subscribers_token_without_choosing_it() {
    let database = filled();
    let mut superuser = database.superuser();
    let login = format!("realtime_of_{}", database.name());
    superuser.batch_execute(&format!("create role {login} login superuser")).unwrap();
    // Realtime has a login of its own: it is listed beside PostgREST's.
    superuser
        .batch_execute(&format!(
            "alter database {} set percytech.trusted_logins = 'authenticator, {login}'",
            database.name()
        ))
        .unwrap();
    for login in ["authenticator", &login] {
        let mut realtime = database.connect(login);
        // It asks with one prepared statement for the subscribers of all brands, and sets no more than role and claims.
        let visible =
            "select count(*), min(brand_id::text) from public.customers where brand_id::text = any ($1)";
        let visible = realtime.prepare(visible).unwrap();
        for brand in BRANDS.iter().cycle().take(9) {
            let mut transaction = realtime.transaction().unwrap();
            transaction
                .query(
                    "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)",
                    &[&claims("authenticated", &format!("\"{brand}\""))],
                )
                .unwrap();
            let row = transaction.query_one(&visible, &[&BRANDS.to_vec()]).unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (2, *brand), "{login}");
            let source: String =
                transaction.query_one("select percytech.brand_context() ->> 'source'", &[]).unwrap().get(0);
            assert_eq!(source, "jwt");
            transaction.rollback().unwrap();
        }
    }
}

#[test]
fn the_claim_that_names_the_brand_can_be_another() {
    let database = filled();
    for (path, claims) in [
        ("brand", r#"{"brand": "percymd", "app_metadata": {"brand_id": "gnymble"}}"#),
        ("/https:~1~1example.com~1brand", r#"{"https://example.com/brand": ["percymd"]}"#),
    ] {
        database
            .superuser()
            .batch_execute(&format!(
                "alter database {} set percytech.brand_claim = '{path}'",
                database.name()
            ))
            .unwrap();
        let mut postgrest = database.connect("authenticator");
        let mut request = request(&mut postgrest, "authenticated", claims, NO_HEADERS);
        request.batch_execute(APPLY).unwrap();
        assert_eq!(brands_seen(&mut request), ["percymd"], "{path}");
    }
}

#[test]
fn odd_claims_and_headers_are_no_context_and_no_error() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let megabyte = "x".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let odd = [
        "not JSON".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        "\"gnymble\"".to_owned(),
        "\u{feff}{}".to_owned(),
        r#"{"app_metadata": "gnymble"}"#.to_owned(),
        r#"{"app_metadata": {"brand_id": "gnymble\u0000"}}"#.to_owned(),
        r#"{"app_metadata": {"brand_id": "\ud800"}}"#.to_owned(),
        claims("authenticated", "7"),
        claims("authenticated", "true"),
        claims("authenticated", "{}"),
        claims("authenticated", r#"["gnymble", null]"#),
        claims("authenticated", r#"[["gnymble"]]"#),
        claims("authenticated", &deep),
        claims("authenticated", &format!("\"{megabyte}\"")),
        megabyte,
        deep,
    ];
    for odd in &odd {
        for apply in ["", APPLY] {
            let mut request = request(&mut postgrest, "authenticated", odd, odd);
            assert_eq!(current(&mut request), None, "{odd:.80}");
            request.batch_execute(apply).unwrap();
            assert_eq!(current(&mut request), None, "{odd:.80}");
            assert_eq!(brands_seen(&mut request), [] as [String; 0], "{odd:.80}");
        }
    }
    // What is longer than four megabytes is not read to its end, so that nobody can exhaust the server's memory with it.
    let long = format!(r#"{{"app_metadata": {{"brand_id": "gnymble"}}, "x": "{}"}}"#, "x".repeat(4 << 20));
    assert_eq!(current(&mut request(&mut postgrest, "authenticated", &long, &long)), None);
    // Beside much that is odd, one brand is one brand.
    let big =
        format!(r#"{{"x": "{}", "app_metadata": {{"brand_id": "gnymble"}}}}"#, "\\u0000".repeat(200_000));
    assert_eq!(
        current(&mut request(&mut postgrest, "authenticated", &big, NO_HEADERS)).as_deref(),
        Some("gnymble")
    );
}

#[test]
fn anon_sees_nothing_and_may_do_nothing() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    for statement in [
        "select * from customers",
        "select * from conversations",
        "select * from messages",
        "select * from customer_analytics",
        "select * from search_customers('customer')",
        "select public.set_brand_context('gnymble')",
        "select public.current_brand()",
        "insert into customers (email) values ('x@example.com')",
        "delete from messages",
    ] {
        // A token of anon's own names no brand; one that does opens nothing either.
        for claims in [r#"{"role": "anon"}"#.to_owned(), claims("anon", "\"gnymble\"")] {
            let mut request = postgrest.transaction().unwrap();
            impersonate(&mut request, "anon", &claims, NO_HEADERS);
            request.batch_execute(APPLY).unwrap();
            assert_eq!(
                code(request.batch_execute(statement)),
                SqlState::INSUFFICIENT_PRIVILEGE,
                "{statement}"
            );
        }
    }
}

#[test]
fn a_stranger_does_not_find_out_which_brands_there_are() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let mut answer = |header: &str, sql: &str| -> String {
        let mut request = request(&mut postgrest, "anon", r#"{"role": "anon"}"#, &chosen(header));
        let error = request.batch_execute(sql).unwrap_err();
        let error = error.as_db_error().unwrap();
        let (message, detail, hint) = (error.message(), error.detail().unwrap(), error.hint().unwrap());
        format!("{:?} {message} {detail} {hint}", error.code()).replace(header, "it")
    };
    assert_eq!(answer("percymd", APPLY), answer("acme", APPLY));
    let asked = answer("acme", "select percytech.set_brand_context('acme')");
    assert!(BRANDS.iter().all(|brand| !asked.contains(brand)), "{asked}");
}

#[test]
fn a_request_is_checked_from_its_first_statement_on_whatever_its_login_loads_besides() {
    let database = TestDatabase::empty_supabase();
    run(&mut database.percytech(&["migrate", "up"])).expect(0);
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    let mut postgrest = database.connect("authenticator");
    for setting in ["auto_explain.log_min_duration", "percytech.brand_claim"] {
        value::<String>(&mut postgrest, &format!("show {setting}"));
    }
    postgrest.batch_execute("set role authenticated").unwrap();
    assert_eq!(
        refusal(&mut postgrest, "set app.current_brand = 'percymd'"),
        SqlState::INSUFFICIENT_PRIVILEGE
    );
}

#[test]
fn a_servers_own_request_says_itself_for_which_brand_it_works() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let mut request = postgrest.transaction().unwrap();
    impersonate(&mut request, "service_role", r#"{"role": "service_role"}"#, NO_HEADERS);
    request.batch_execute(APPLY).unwrap();
    assert_eq!(current(&mut request), None);
    request.batch_execute("select set_brand_context('percytext')").unwrap();
    assert_eq!(current(&mut request).as_deref(), Some("percytext"));
    request.batch_execute("insert into customers (email) values ('new@example.com')").unwrap();
    // BYPASSRLS is what it says.
    assert_eq!(brands_seen(&mut request), BRANDS);
    request.commit().unwrap();
    let customers = "select count(*) from customers where brand_id = 'percytext'";
    assert_eq!(value::<i64>(&mut database.superuser(), customers), 3);
}

#[test]
fn a_request_of_a_role_of_one_brand_is_not_turned_into_one_of_another_by_forged_claims() {
    let database = filled();
    let role = format!("of_gnymble_in_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!(
            "create role {role} in role percytech_app, brand_gnymble; grant {role} to authenticator"
        ))
        .unwrap();
    let mut postgrest = database.connect("authenticator");
    let mut request = request(&mut postgrest, &role, r#"{"role": "of_gnymble"}"#, NO_HEADERS);
    request.batch_execute(APPLY).unwrap();
    request
        .query("select set_config('request.jwt.claims', $1, true)", &[&claims(&role, "\"percymd\"")])
        .unwrap();
    assert_eq!(brands_seen(&mut request), [] as [String; 0]);
    let choose = "select percytech.set_brand_context('percymd')";
    assert_eq!(code(request.batch_execute(choose)), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn a_context_that_was_left_in_the_session_reaches_no_request_of_another_brand() {
    let database = filled();
    let mut postgrest = database.connect("authenticator");
    let mut first = postgrest.transaction().unwrap();
    impersonate(&mut first, "authenticated", &claims("authenticated", "\"gnymble\""), NO_HEADERS);
    first.batch_execute("select percytech.set_brand_context('gnymble', is_local => false)").unwrap();
    first.commit().unwrap();
    let other = claims("authenticated", "\"percymd\"");
    for (apply, seen) in [("", vec![]), (APPLY, vec!["percymd"])] {
        let mut request = request(&mut postgrest, "authenticated", &other, NO_HEADERS);
        request.batch_execute(apply).unwrap();
        assert_eq!(brands_seen(&mut request), seen);
    }
    // A server's own request does not begin with what another has left either.
    let mut request = request(&mut postgrest, "service_role", r#"{"role": "service_role"}"#, NO_HEADERS);
    request.batch_execute(APPLY).unwrap();
    assert_eq!(current(&mut request), None);
}

#[test]
fn the_roles_hold_what_an_application_holds_and_no_more() {
    let database = TestDatabase::supabase();
    let mut superuser = database.superuser();
    let held = |superuser: &mut Client, role: &str| -> Vec<String> {
        values(
            superuser,
            &format!(
                "select relname || ' ' || privilege_type from pg_class, aclexplode(relacl)
                 where relnamespace = 'public'::regnamespace and grantee = to_regrole('{role}')
                 union all
                 select proname || ' ' || privilege_type from pg_proc, aclexplode(proacl)
                 where pronamespace = 'public'::regnamespace and grantee = to_regrole('{role}')
                 order by 1"
            ),
        )
    };
    let of_app = held(&mut superuser, "percytech_app");
    assert!(of_app.len() > TABLES.len() * 4, "{of_app:?}");
    assert_eq!(held(&mut superuser, "authenticated"), of_app);
    assert_eq!(held(&mut superuser, "service_role"), of_app);
    assert_eq!(held(&mut superuser, "anon"), [] as [String; 0]);
    let everybody: i64 = value(
        &mut superuser,
        "select count(*) from (
           select aclexplode(relacl) as acl from pg_class where relnamespace = 'public'::regnamespace
           union all
           select aclexplode(coalesce(proacl, acldefault('f', proowner))) from pg_proc where pronamespace = 'public'::regnamespace
         ) as grants where (acl).grantee = 0",
    );
    assert_eq!(everybody, 0);
    run(&mut database.percytech(&["policies", "diff"])).expect(0);
    let verified = run(&mut database.percytech(&["verify"])).expect(0);
    assert!(verified.stdout.contains("0 isolation findings"), "{}", verified.stdout);
}

#[test]
fn policies_take_back_what_anon_was_granted_by_mistake() {
    let database = TestDatabase::supabase();
    let mut superuser = database.superuser();
    superuser
        .batch_execute("grant all on customers to anon; grant truncate on messages to authenticated")
        .unwrap();
    run(&mut database.percytech(&["policies", "diff"])).expect(1);
    run(&mut database.percytech(&["policies", "apply"])).expect(0);
    for held in [
        "select has_table_privilege('anon', 'customers', 'select')",
        "select has_table_privilege('authenticated', 'messages', 'truncate')",
    ] {
        assert!(!value::<bool>(&mut superuser, held), "{held}");
    }
}

#[test]
fn without_supabases_roles_nothing_is_said_of_them() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    let named: i64 = value(
        &mut superuser,
        "select count(*) from pg_policies where roles && array['authenticated', 'service_role', 'anon']::name[]",
    );
    assert_eq!(named, 0);
    run(&mut database.percytech(&["policies", "diff"])).expect(0);
    assert_eq!(refusal(&mut superuser, "set role authenticated"), SqlState::INVALID_PARAMETER_VALUE);
    fill(&mut superuser);
    assert_eq!(changed(&mut database.app_of("gnymble"), "delete from messages"), 4);
}
