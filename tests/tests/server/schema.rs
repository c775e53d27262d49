//! The schema that the migrations make, and the way back.

use percytech_tests::{
    ALL_TABLES, BRANDS, TABLES, TestDatabase, changed, dump, fill, migrate_up, refusal, sql, value, values,
};
use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::config::Config;
use percytech_toolkit::database;
use percytech_toolkit::migrate::file;
use percytech_toolkit::owner::pin_search_path;
use postgres::Client;
use postgres::error::SqlState;

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn every_table_has_brand_id_second_and_not_null() {
    let mut superuser = TestDatabase::migrated().superuser();
    let tables: Vec<String> = values(
        &mut superuser,
        "select relname::text
         from pg_class
         join pg_attribute on attrelid = pg_class.oid
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and attnum = 2 and attname = 'brand_id' and attnotnull and atttypid = 'public.brand_id'::regtype
         order by relname",
    );
    let mut expected = ALL_TABLES.to_vec();
    expected.sort_unstable();
    assert_eq!(tables, expected);
}

#[test]
fn everything_is_owned_by_the_owner() {
    let mut superuser = TestDatabase::migrated().superuser();
    let others = values::<String>(
        &mut superuser,
        "select pg_describe_object(classid, objid, 0)
         from (
           select 'pg_class'::regclass as classid, oid as objid, relowner as owner, relnamespace as schema from pg_class
           union all select 'pg_type'::regclass, oid, typowner, typnamespace from pg_type
           union all select 'pg_proc'::regclass, oid, proowner, pronamespace from pg_proc
         ) as objects
         where schema in ('public'::regnamespace, 'percytech_migrations'::regnamespace)
           and owner <> 'percytech_owner'::regrole
         union all
         select 'schema percytech_migrations'
         from pg_namespace
         where nspname = 'percytech_migrations' and nspowner <> 'percytech_owner'::regrole",
    );
    assert_eq!(others, nothing());
}

#[test]
fn the_owner_is_bound_by_row_level_security_and_cannot_log_in() {
    let mut superuser = TestDatabase::migrated().superuser();
    for role in ["percytech_owner", "percytech_app"] {
        let harmless: bool = value(
            &mut superuser,
            &format!(
                "select not (rolsuper or rolbypassrls or rolcanlogin or rolcreaterole or rolcreatedb)
                 from pg_roles where rolname = '{role}'"
            ),
        );
        assert!(harmless, "{role}");
    }
}

#[test]
fn every_table_view_type_and_function_is_described() {
    let mut superuser = TestDatabase::migrated().superuser();
    let silent: Vec<String> = values(
        &mut superuser,
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
           and obj_description(oid, 'pg_class') is null
         union all
         select typname::text from pg_type
         where typnamespace = 'public'::regnamespace and typtype = 'e' and obj_description(oid, 'pg_type') is null
         union all
         select proname::text from pg_proc
         where pronamespace = 'public'::regnamespace and obj_description(oid, 'pg_proc') is null",
    );
    assert_eq!(silent, nothing());
}

#[test]
fn nobody_but_the_owner_and_the_application_holds_a_privilege_and_analysts_one() {
    let mut superuser = TestDatabase::migrated().superuser();
    let grantees: Vec<String> = values(
        &mut superuser,
        "select distinct case when grantee = 0 then 'public' else grantee::regrole::text end
         from (
           select (aclexplode(relacl)).grantee from pg_class where relnamespace = 'public'::regnamespace
           union all
           select (aclexplode(coalesce(proacl, acldefault('f', proowner)))).grantee
           from pg_proc where pronamespace = 'public'::regnamespace
         ) as grants
         order by 1",
    );
    assert_eq!(grantees, ["percytech_analyst", "percytech_app", "percytech_owner"]);
    let of_analysts: Vec<String> = values(
        &mut superuser,
        "select proname::text from pg_proc, aclexplode(proacl) where grantee = 'percytech_analyst'::regrole
         union all select relname::text from pg_class, aclexplode(relacl) where grantee = 'percytech_analyst'::regrole",
    );
    assert_eq!(of_analysts, ["brand_overview"]);
}

#[test]
fn updated_at_is_kept_and_is_active_follows_the_stage() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut app = database.app_of("gnymble");
    for table in TABLES {
        assert!(changed(&mut app, &format!("update {table} set metadata = '{{}}'")) > 0);
        let kept: bool = value(&mut app, &format!("select bool_and(updated_at > created_at) from {table}"));
        assert!(kept, "{table}");
    }
    for (stage, active) in [
        ("lead", true),
        ("marketing", true),
        ("trial", true),
        ("active", true),
        ("churned", false),
        ("dormant", false),
    ] {
        let insert = format!(
            "insert into customers (email, stage) values ('{stage}@example.com', '{stage}') returning is_active"
        );
        assert_eq!(value::<bool>(&mut app, &insert), active, "{stage}");
    }
    let written = "update customers set is_active = true";
    assert_eq!(refusal(&mut app, written), SqlState::GENERATED_ALWAYS);
}

/// Customers, conversations and messages enough for an index to pay.
fn many_rows(client: &mut Client) {
    client
        .batch_execute(
            "insert into customers (brand_id, email, phone, first_name, last_name, stage, trial_started_at, created_at)
             select brand, 'user' || number || '@example.com', '+1' || (2125000000 + number), 'First' || number % 500, 'Last' || number,
               (enum_range(null::customer_stage))[1 + number % 6], now() - number * interval '1 minute',
               now() - number * interval '1 minute'
             from unnest(enum_range(null::brand_id)) as brand, generate_series(1, 4000) as number;
             insert into conversations (brand_id, customer_id, customer_phone, brand_phone, status, last_message_at)
             select brand_id, id, phone, '+15559999999',
               (case when right(phone, 1) = '0' then 'active' else 'archived' end)::conversation_status, created_at
             from customers;
             insert into messages (brand_id, conversation_id, direction, content, sent_at)
             select brand_id, id, (case when number = 1 then 'inbound' else 'outbound' end)::message_direction, 'Hello',
               created_at + number * interval '1 second'
             from conversations, generate_series(1, 5) as number;
             update messages set external_id = 'SM' || id where id < '80000000-0000-0000-0000-000000000000';
             insert into messages (brand_id, conversation_id, direction, content, status, due_at)
             select brand_id, id, 'outbound', 'Hello', 'pending', created_at from conversations;
             insert into brand_phone_numbers (brand_id, phone)
             select brand, '+1' || (4150000000 + 10000 * place + number)
             from unnest(enum_range(null::brand_id)) with ordinality as brands (brand, place),
               generate_series(2000001, 2001000) as number;
             insert into consent_events (brand_id, phone, kind, outcome, scope, source, actor, occurred_at, message_id)
             select brand_id, customer_phone_e164, 'opt_out', 'applied', 'brand', 'manual', 'test', now(),
               (select id from messages where messages.brand_id = conversations.brand_id and conversation_id = conversations.id limit 1)
             from conversations;
             insert into opt_outs (brand_id, phone, opted_out_at, source, event_id, confirmation_message_id)
             select brand_id, phone, occurred_at, source, id, message_id from consent_events;
             insert into message_delivery_events (brand_id, external_id, status, occurred_at)
             select brand_id, external_id, 'delivered', now() from messages where external_id is not null;
             analyze",
        )
        .unwrap();
}

/// What is asked of numbers, of the queue and of consent, and by which index it is found.
fn queries_of_consent(conversation: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "customers_brand_id_phone_e164_idx",
            "select * from customers where phone_e164 = '+12125000007'".into(),
        ),
        (
            "conversations_brand_id_customer_phone_e164_idx",
            "select * from conversations where customer_phone_e164 = '+12125000007'".into(),
        ),
        (
            "brand_phone_numbers_brand_id_phone_idx",
            "select * from brand_phone_numbers where phone = '+14155550100'".into(),
        ),
        (
            "messages_brand_id_due_at_queued_idx",
            "select * from messages where due_at <= now() and claimed_at is null and cancelled_at is null
             and status = 'pending' order by due_at, id limit 20"
                .into(),
        ),
        (
            "messages_brand_id_conversation_id_queued_idx",
            format!(
                "select * from messages where conversation_id = '{conversation}' and due_at is not null
                 and claimed_at is null and cancelled_at is null and status = 'pending'"
            ),
        ),
        (
            "messages_brand_id_external_id_outbound_key",
            "select * from messages where external_id = 'SM7' and direction = 'outbound'".into(),
        ),
        (
            "messages_brand_id_conversation_id_external_id_inbound_key",
            format!(
                "select * from messages where conversation_id = '{conversation}' and external_id = 'SM7'
                 and direction = 'inbound'"
            ),
        ),
        (
            "message_delivery_events_brand_id_external_id_idx",
            "select * from message_delivery_events where external_id = 'SM7'".into(),
        ),
        ("recipients_brand_id_phone_key", "select * from recipients where phone = '+12125000007'".into()),
        (
            "opt_outs_brand_id_phone_campaign_id_key",
            "select * from opt_outs where phone = '+12125000007'".into(),
        ),
        (
            "consent_events_brand_id_phone_occurred_at_idx",
            "select * from consent_events where phone = '+12125000007' order by occurred_at desc".into(),
        ),
        (
            "consent_events_brand_id_message_id_idx",
            format!("select * from consent_events where message_id = '{conversation}'"),
        ),
        (
            "consent_events_brand_id_reply_message_id_idx",
            format!("select * from consent_events where reply_message_id = '{conversation}'"),
        ),
    ]
}

/// What a key needs that is checked when a row it refers to is deleted, and tables of one row for each brand.
const FOR_CONSTRAINTS: [&str; 8] = [
    "brand_phone_numbers_phone_key",
    "consent_events_brand_id_conversation_id_idx",
    "consent_events_brand_id_customer_id_idx",
    "opt_out_policies_brand_id_effective_from_key",
    "opt_outs_brand_id_confirmation_message_id_idx",
    "opt_outs_brand_id_event_id_idx",
    "quiet_hours_brand_id_key",
    "reply_texts_brand_id_kind_language_key",
];

#[test]
fn each_index_serves_a_query_of_the_application() {
    let database = TestDatabase::migrated();
    many_rows(&mut database.superuser());
    let mut app = database.app_of("percymd");
    let customer: String = value(&mut app, "select id::text from customers limit 1");
    let conversation: String = value(&mut app, "select id::text from conversations limit 1");
    let mut queries = vec![
        ("customers_pkey", format!("select * from customers where id = '{customer}'")),
        ("customers_brand_id_email_key", "select * from customers where email = 'user7@example.com'".into()),
        ("customers_brand_id_phone_key", "select * from customers where phone = '+12125000007'".into()),
        (
            "customers_brand_id_created_at_idx",
            "select * from customers order by created_at desc limit 20".into(),
        ),
        (
            "customers_brand_id_created_at_lead_idx",
            "select * from customers where stage = 'lead' order by created_at desc limit 20".into(),
        ),
        (
            "customers_brand_id_trial_started_at_idx",
            "select * from customers where stage = 'trial' order by trial_started_at limit 20".into(),
        ),
        (
            "customers_brand_id_search_document_idx",
            "select * from search_customers('first7 last1007')".into(),
        ),
        (
            "conversations_brand_id_customer_phone_brand_phone_key",
            "select * from conversations where customer_phone = '+12125000007' and brand_phone = '+15559999999'"
                .into(),
        ),
        (
            "conversations_brand_id_customer_id_idx",
            format!("select * from conversations where customer_id = '{customer}'"),
        ),
        (
            "conversations_brand_id_last_message_at_active_idx",
            "select * from conversations where status = 'active' order by last_message_at desc limit 20"
                .into(),
        ),
        (
            "conversations_brand_id_last_message_at_idx",
            "select * from conversations order by last_message_at desc limit 20".into(),
        ),
        (
            "messages_brand_id_conversation_id_sent_at_idx",
            format!("select * from messages where conversation_id = '{conversation}' order by sent_at desc"),
        ),
        (
            "customer_stage_transitions_brand_id_customer_id_position_key",
            format!("select * from stage_history('{customer}')"),
        ),
        (
            "customer_stage_transitions_brand_id_idempotency_key_key",
            "select * from customer_stage_transitions where idempotency_key = 'order 7'".into(),
        ),
        ("messages_brand_id_sent_at_idx", "select * from messages order by sent_at desc limit 20".into()),
        (
            "messages_brand_id_sent_at_inbound_idx",
            "select * from messages where direction = 'inbound' order by sent_at desc limit 20".into(),
        ),
    ];
    queries.extend(queries_of_consent(&conversation));
    for (index, query) in &queries {
        let plan = values::<String>(&mut app, &format!("explain {query}")).join("\n");
        assert!(plan.contains(&format!(" {index} ")), "{query} does not use {index}:\n{plan}");
        // The context is asked once, before the scan, and not for each row.
        assert!(plan.contains("InitPlan"), "{plan}");
    }

    // The primary keys and the key of the rules serve the constraints; all others are in the list.
    let unexplained: Vec<String> = values::<String>(
        &mut database.superuser(),
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'i' order by 1",
    )
    .into_iter()
    .filter(|index| !queries.iter().any(|(used, _)| used == index))
    .filter(|index| !index.ends_with("_pkey") && !index.starts_with("stage_transition_rules_"))
    .filter(|index| !FOR_CONSTRAINTS.contains(&index.as_str()))
    .collect();
    assert_eq!(unexplained, nothing());
}

#[test]
fn every_index_leads_with_the_brand() {
    let mut superuser = TestDatabase::migrated().superuser();
    let others: Vec<String> = values(
        &mut superuser,
        "select indexrelid::regclass::text
         from pg_index
         join pg_class on pg_class.oid = indrelid
         join pg_attribute on attrelid = indrelid and attnum = indkey[0]
         where relnamespace = 'public'::regnamespace and attname <> 'brand_id'",
    );
    // A number is one brand's; only who keeps them, and not a brand, writes there.
    assert_eq!(others, ["brand_phone_numbers_phone_key"]);
}

fn found(app: &mut Client, query: &str) -> Vec<String> {
    let rows = app.query("select email from search_customers($1)", &[&query]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_customer_is_found_by_what_one_knows_of_them() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    app.batch_execute(
        "insert into customers (brand_id, email, first_name, last_name) values
           ('gnymble', 'will.may@example.com', 'Will', 'May'),
           ('gnymble', 'zoe_k+news@mail.example.org', 'Zoë', 'O''Brien-Kowalski'),
           ('gnymble', 'nameless@example.net', null, null)",
    )
    .unwrap();
    let will = ["will.may@example.com"];
    let zoe = ["zoe_k+news@mail.example.org"];
    for query in
        ["will", "Will May", "may will", "wi", "will m", "will.may@example.com", "WILL.MAY@EXAMPLE.COM"]
    {
        assert_eq!(found(&mut app, query), will, "{query}");
    }
    for query in [
        "zoë",
        "o'brien",
        "kowalski",
        "o'brien-kowalski",
        "zoe news",
        "mail.example.org",
        "example.org",
        "zoe_k+news@mail.example.org",
    ] {
        assert_eq!(found(&mut app, query), zoe, "{query}");
    }
    assert_eq!(found(&mut app, "nameless"), ["nameless@example.net"]);
    assert_eq!(found(&mut app, "example").len(), 3);
}

#[test]
fn a_search_for_nothing_or_for_nonsense_finds_nothing_and_raises_nothing() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut app = database.app_of("gnymble");
    let long = "word ".repeat(100_000);
    for query in ["", "   ", "&", "!", ":*", "'", "\\", "a & | !", "\u{1f600}", "%", "nobody", &long] {
        assert_eq!(found(&mut app, query), nothing(), "{query:.20}");
    }
    let none: i64 = value(&mut app, "select count(*) from search_customers(null)");
    assert_eq!(none, 0);
    let limited: i64 = value(&mut app, "select count(*) from search_customers('customer', 1)");
    assert_eq!(limited, 1);
}

#[test]
fn a_search_shows_one_brand_even_to_who_sees_all() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    let count = "select count(*) from search_customers('customer')";
    assert_eq!(value::<i64>(&mut superuser, count), 0);
    for brand in BRANDS {
        superuser.query("select percytech.set_brand_context($1, false)", &[&brand]).unwrap();
        assert_eq!(value::<i64>(&mut superuser, count), 2, "{brand}");
    }
}

#[test]
fn a_search_means_the_same_on_every_search_path() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    superuser
        .batch_execute(
            "create schema evil;
             create function evil.always(public.brand_id, public.brand_id) returns boolean language sql as 'select true';
             create operator evil.= (leftarg = public.brand_id, rightarg = public.brand_id, function = evil.always);
             create function evil.always(tsvector, tsquery) returns boolean language sql as 'select true';
             create operator evil.@@ (leftarg = tsvector, rightarg = tsquery, function = evil.always);
             create function evil.translate(text, text, text) returns text language sql as $$ select 'customer' $$;
             create function evil.prefix_query(text) returns tsquery language sql as $$ select 'customer'::tsquery $$;
             create table evil.customers (like public.customers);
             select percytech.set_brand_context('gnymble', false);
             set search_path = evil, pg_catalog, public",
        )
        .unwrap();
    let brands: Vec<String> =
        values(&mut superuser, "select pg_catalog.concat(brand_id) from public.search_customers('customer')");
    assert_eq!(brands, ["gnymble", "gnymble"]);
    assert_eq!(value::<i64>(&mut superuser, "select count(*) from public.search_customers('nobody')"), 0);
}

#[test]
fn a_search_follows_a_change_of_the_table() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    fill(&mut superuser);
    let mut app = database.app_of("gnymble");
    for change in ["add column segment text default 'new'", "drop column segment", "drop column metadata"] {
        superuser
            .batch_execute(&format!("alter table customers {change}"))
            .unwrap_or_else(|error| panic!("{change}: {error:?}"));
        assert_eq!(found(&mut app, "customer").len(), 2, "{change}");
    }
}

#[test]
fn the_leakproof_operator_matches_as_postgresqls_own() {
    let mut superuser = TestDatabase::migrated().superuser();
    let disagreements: i64 = value(
        &mut superuser,
        "select count(*)
         from unnest(array['a b c', 'a:1 b:2', 'b c', '', 'abc', 'a b b a']::tsvector[]) as document,
           unnest(array['a', 'a & b', 'a | c', '!a', 'a <-> b', 'a:*', '!a & !b']::tsquery[]) as query
         where (document operator(percytech.@@) query) is distinct from (document operator(pg_catalog.@@) query)",
    );
    assert_eq!(disagreements, 0);
}

#[test]
fn the_analytics_view_counts_as_a_plain_query_does() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    many_rows(&mut superuser);
    superuser.batch_execute("alter table customers disable trigger customers_note_stage").unwrap();
    changed(
        &mut superuser,
        "update customers set subscribed_at = created_at + (right(phone, 2)::integer % 9) * interval '1 day' where stage = 'active'",
    );
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        let rows = app
            .query("select stage::text, count, count_30d, avg_days_to_subscription::float8 from customer_analytics order by stage", &[])
            .unwrap();
        assert_eq!(rows.len(), 4, "the stages of active customers");
        for row in rows {
            let stage: String = row.get(0);
            let own = format!("from customers where brand_id = '{brand}' and stage = '{stage}'");
            assert_eq!(row.get::<_, i64>(1), value::<i64>(&mut superuser, &format!("select count(*) {own}")));
            let recent = format!("select count(*) {own} and created_at >= now() - interval '30 days'");
            assert_eq!(row.get::<_, i64>(2), value::<i64>(&mut superuser, &recent));
            let days =
                format!("select avg(extract(epoch from subscribed_at - created_at) / 86400)::float8 {own}");
            let (seen, expected) =
                (row.get::<_, Option<f64>>(3), value::<Option<f64>>(&mut superuser, &days));
            assert_eq!(seen.is_some(), stage == "active");
            assert!((seen.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9, "{seen:?} {expected:?}");
        }
    }
}

#[test]
fn every_migration_has_a_way_back_that_restores_what_was() {
    restores_what_was("");
}

#[test]
fn every_migration_has_a_way_back_on_supabase_too() {
    restores_what_was(percytech_tests::SUPABASE_ROLES);
}

#[test]
fn the_way_back_restores_the_libraries_that_the_database_loads() {
    restores_what_was(
        "alter database postgres set session_preload_libraries = auto_explain, '$libdir/btree_gin'",
    );
}

/// Applies the migrations one by one to a server where `given` was said first, takes them back one by one, and compares
/// what there is after each with what there was before it.
fn restores_what_was(given: &str) {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    let url = cluster.url(SUPERUSER, "postgres");
    database::connect(Some(&url), "percytech tests").unwrap().batch_execute(given).unwrap();
    let mut client = database::connect(Some(&url), "percytech tests").unwrap();
    let config = Config::default();
    let everything = |client: &mut Client| {
        let roles: Vec<String> = values(client, "select rolname::text from pg_roles order by 1");
        let settings: Vec<String> =
            values(client, "select unnest(setconfig) from pg_db_role_setting order by 1");
        let memberships: Vec<String> = values(
            client,
            "select roleid::regrole || ' to ' || member::regrole from pg_auth_members order by 1",
        );
        (dump(&url), roles, settings, memberships)
    };

    let mut states = Vec::new();
    let files = file::read_all(&sql("migrations")).unwrap();
    for last in 0..files.len() {
        states.push(everything(&mut client));
        let directory = tempfile::tempdir().unwrap();
        for file in &files[..=last] {
            std::fs::copy(&file.path, directory.path().join(file.path.file_name().unwrap())).unwrap();
        }
        migrate_up(&mut client, directory.path());
    }
    // The history is the owner's; a way back does not begin by forgetting what was applied, but this one ends there.
    client.batch_execute("drop schema percytech_migrations cascade").unwrap();

    for file in files.iter().rev() {
        let rollback = file.rollback.as_ref().unwrap_or_else(|| panic!("{} has no way back", file.name()));
        let mut transaction = client.transaction().unwrap();
        pin_search_path(&mut transaction, &config).unwrap();
        if file.run_as == file::RunAs::Owner {
            transaction.batch_execute("set local role percytech_owner").unwrap();
        }
        transaction.batch_execute(rollback).unwrap_or_else(|error| panic!("{}: {error:?}", file.name()));
        transaction.commit().unwrap();
        assert_eq!(everything(&mut client), states.pop().unwrap(), "{}", file.name());
    }
}

#[test]
fn a_way_back_keeps_roles_that_another_database_uses() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    let files = file::read_all(&sql("migrations")).unwrap();
    for file in files.iter().rev() {
        superuser.batch_execute(file.rollback.as_ref().unwrap()).unwrap();
    }
    let roles: Vec<String> =
        values(&mut superuser, "select rolname::text from pg_roles where rolname ~ '^percytech_' order by 1");
    assert_eq!(roles, ["percytech_analyst", "percytech_app", "percytech_owner"]);
    let kept = "select count(*) from pg_roles where rolname ~ '^brand_'";
    assert_eq!(value::<i64>(&mut superuser, kept), 4);
    let owner_acts: bool =
        value(&mut superuser, "select pg_has_role('percytech_owner', 'brand_all', 'member')");
    assert!(owner_acts, "another database's owner is still to act as its brands");
    // And the way forward is open where the roles exist already.
    superuser.batch_execute("drop schema percytech_migrations cascade").unwrap();
    migrate_up(&mut superuser, &sql("migrations"));
}

#[test]
fn a_role_that_would_see_every_brand_is_not_taken_for_the_owner() {
    let cluster = Cluster::start(&Installation::find().unwrap(), &[]).unwrap();
    let mut client = database::connect(Some(&cluster.url(SUPERUSER, "postgres")), "percytech tests").unwrap();
    client.batch_execute("create role percytech_owner bypassrls").unwrap();
    let mut command = percytech_tests::percytech(&["migrate", "up"]);
    command.env("DATABASE_URL", cluster.url(SUPERUSER, "postgres"));
    percytech_tests::run(&mut command).expect(2).says(&[
        "2026-11-22-02-roles.sql:",
        "role percytech_owner would see every brand",
        "alter role percytech_owner nosuperuser nobypassrls;",
    ]);
}
