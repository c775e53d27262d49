//! Ways round the rules and the history of the journey, by plain SQL.

use percytech_tests::{TestDatabase, changed, fill, login_of, refusal, value, values};
use postgres::error::SqlState;

use crate::journey::{customer_in, error_of, history_of, stage_of};

#[test]
fn a_temporary_type_is_not_taken_for_postgresqls_own_by_what_runs_as_the_owner() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let mut client = database.connect(&login_of("gnymble"));
    client
        .batch_execute(
            "select percytech.set_brand_context('gnymble', false);
             create function pg_temp.evil(v anyelement) returns boolean language plpgsql as $$ begin
               if current_user = 'percytech_owner' then raise 'I am the owner' using errcode = 'XX999'; end if;
               return true;
             end $$",
        )
        .unwrap();
    for name in ["text", "timestamptz", "uuid", "jsonb", "record", "interval", "integer", "boolean"] {
        let base = if name == "record" { "text" } else { name };
        client
            .batch_execute(&format!(
                "create domain pg_temp.{name} as pg_catalog.{} check (pg_temp.evil(value))",
                match base {
                    "integer" => "int4",
                    "boolean" => "bool",
                    other => other,
                }
            ))
            .unwrap();
    }
    // Each function and trigger that runs as the owner.
    let customer: String =
        value(&mut client, "select id::pg_catalog.text from customers where stage = 'active'");
    for statement in [
        format!("update customers set stage = 'churned' where id = '{customer}'"),
        format!("select transition_stage('{customer}', 'trial', idempotency_key => 'k')"),
        format!(
            r#"select transition_stages('[{{"customer_id": "{customer}", "to_stage": "active", "metadata": {{}}}}, 7]')"#
        ),
        "insert into customers (email) values ('new@example.com')".to_owned(),
        "select mark_dormant('1 second')".to_owned(),
    ] {
        client.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

#[test]
fn a_customer_is_not_moved_twice_by_one_statement() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    app.batch_execute(
        "create function pg_temp.move(customer uuid, to_stage customer_stage) returns text language sql as
         $$ update customers set stage = to_stage where id = customer returning 'moved' $$",
    )
    .unwrap();
    let customer = customer_in(&mut app, "lead");
    for statement in [
        format!("with moved as (update customers set stage = 'marketing' where id = '{customer}' returning id) select transition_stage(id, 'trial') from moved"),
        format!("update customers set stage = 'marketing' where id = '{customer}' returning transition_stage(id, 'trial')"),
        format!("update customers set stage = 'churned' where id = '{customer}' returning pg_temp.move(id, 'marketing')"),
        format!(
            r#"with moved as (update customers set stage = 'marketing' where id = '{customer}' returning id)
               select outcome from moved, transition_stages('[{{"customer_id": "{customer}", "to_stage": "trial"}}]')"#
        ),
        "insert into customers (email) values ('new@example.com') returning pg_temp.move(id, 'marketing')".to_owned(),
        "with new as (insert into customers (email) values ('new@example.com') returning id) select transition_stage(id, 'trial') from new".to_owned(),
    ] {
        let error = error_of(&mut app, &statement);
        assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{statement}: {error:?}");
        assert_eq!(error.message(), "the customer is moved twice by one statement");
        assert_eq!(history_of(&mut app, &customer), [">lead"], "{statement}");
        assert_eq!(stage_of(&mut app, &customer), "lead");
    }
}

#[test]
fn a_customer_is_not_taken_out_and_put_in_again_in_another_stage() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser
        .batch_execute("insert into customers (brand_id, email) values ('gnymble', 'kept@example.com')")
        .unwrap();
    let code = refusal(&mut superuser, "update customers set brand_id = 'percymd'");
    assert!(["23001", "23503"].contains(&code.code()), "who passes the policies by: {code:?}");
    let mut app = database.app_of("gnymble");
    let customer = customer_in(&mut app, "lead");
    for (statement, expected) in [
        (
            format!("with gone as (delete from customers where id = '{customer}' returning *)
                     insert into customers (id, email, stage) select id, email, 'active' from gone"),
            "23001",
        ),
        (format!("delete from customers where id = '{customer}'"), "23001"),
        (format!("update customers set id = gen_random_uuid() where id = '{customer}'"), "23514"),
        (
            format!("with away as (update customers set id = gen_random_uuid() where id = '{customer}' returning id)
                     insert into customers (id, email, stage) select '{customer}', 'b@example.com', 'active' from away"),
            "23514",
        ),
        ("insert into customers (email, created_at) values ('c@example.com', '-infinity')".to_owned(), "23514"),
        ("insert into customers (email, stage, trial_started_at) values ('c@example.com', 'trial', 'infinity')".to_owned(), "23514"),
    ] {
        let error = error_of(&mut app, &statement);
        // PostgreSQL 18 has a code of its own for RESTRICT; before, it is the foreign key's.
        let is_expected = error.code().code() == expected
            || expected == "23001" && error.code() == &SqlState::FOREIGN_KEY_VIOLATION;
        assert!(is_expected, "{statement}: {error:?}");
        assert_eq!(history_of(&mut app, &customer), [">lead"], "{statement}");
    }
}

#[test]
fn what_a_session_says_of_a_move_by_itself_is_held_to_the_same() {
    let mut app = TestDatabase::migrated().app_of("gnymble");
    let customer = customer_in(&mut app, "lead");
    let say = |occurred_at: &str| {
        format!(
            "set percytech.move = '{{\"customer_id\": \"{customer}\", \"reason\": \"by hand\", \"occurred_at\": \"{occurred_at}\"}}';
             update customers set stage = 'trial'"
        )
    };
    for occurred_at in ["2001-01-01", "2999-01-01"] {
        assert_eq!(refusal(&mut app, &say(occurred_at)), SqlState::INVALID_PARAMETER_VALUE);
    }
    let illegal = say("").replace(", \"occurred_at\": \"\"", "").replace("'trial'", "'active'");
    assert_eq!(refusal(&mut app, &illegal), SqlState::CHECK_VIOLATION);
    assert_eq!(history_of(&mut app, &customer), [">lead"]);
}

#[test]
fn the_history_is_written_once_for_everybody() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    let history =
        "select array_agg(row_to_json(h)::text order by id)::text from customer_stage_transitions as h";
    let before: String = value(&mut database.superuser(), history);
    for role in ["test_app", "percytech_owner", "postgres"] {
        let mut client = database.superuser();
        client
            .batch_execute(&format!("set role {role}; select percytech.set_brand_context('gnymble', false)"))
            .unwrap();
        for statement in [
            "update customer_stage_transitions set reason = 'x'",
            "update customer_stage_transitions set reason = 'x' where false",
            "delete from customer_stage_transitions",
            "truncate customer_stage_transitions",
            "truncate customers cascade",
            "merge into customer_stage_transitions using (values (1)) as x on true when matched then delete",
        ] {
            let code = refusal(&mut client, statement);
            if role == "postgres" {
                let as_replica = format!("begin; set local session_replication_role = replica; {statement}");
                let is_of_history = !statement.starts_with("truncate customers");
                if is_of_history {
                    assert_eq!(refusal(&mut client, &as_replica), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
                    client.batch_execute("rollback").unwrap();
                }
            }
            let expected = if role == "test_app" {
                SqlState::INSUFFICIENT_PRIVILEGE
            } else {
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            };
            assert_eq!(code, expected, "{role}: {statement}");
        }
        let customer: String =
            value(&mut client, "select customer_id::text from customer_stage_transitions limit 1");
        if role == "test_app" {
            let insert = format!(
                "insert into customer_stage_transitions (customer_id, position, from_stage, to_stage, actor, occurred_at)
                 values ('{customer}', 9, 'lead', 'trial', 'x', now())"
            );
            assert_eq!(refusal(&mut client, &insert), SqlState::INSUFFICIENT_PRIVILEGE);
        }
        // A customer is not forgotten along the way.
        client.batch_execute("delete from messages; delete from conversations").unwrap();
        let delete = format!("delete from customers where id = '{customer}'");
        let code = refusal(&mut client, &delete);
        assert!(["23001", "23503"].contains(&code.code()), "{role}: {code:?}");
    }
    assert_eq!(value::<String>(&mut database.superuser(), history), before);
}

#[test]
fn what_runs_as_the_owner_has_its_search_path_pinned_and_is_not_for_everybody() {
    let mut superuser = TestDatabase::migrated().superuser();
    let odd: Vec<String> = values(
        &mut superuser,
        "select oid::regprocedure::text from pg_proc
         where pronamespace = 'public'::regnamespace and prosecdef
           and (proowner <> 'percytech_owner'::regrole
             or proconfig is distinct from array['search_path=pg_catalog, pg_temp']
             or exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))",
    );
    assert_eq!(odd, [] as [String; 0]);
}

#[test]
fn who_passes_row_level_security_by_moves_customers_of_every_brand() {
    let database = TestDatabase::supabase();
    let mut superuser = database.superuser();
    superuser.batch_execute("insert into customers (brand_id, email) select brand, 'a@example.com' from unnest(enum_range(null::brand_id)) as brand").unwrap();
    assert_eq!(changed(&mut superuser, "update customers set stage = 'trial'"), 3);
    let mut postgrest = database.connect("authenticator");
    postgrest
        .batch_execute("begin; set local role service_role; select percytech.apply_request_context()")
        .unwrap();
    assert_eq!(changed(&mut postgrest, "update customers set stage = 'active'"), 3);
    let context: Option<String> = value(&mut postgrest, "select percytech.current_brand()");
    assert_eq!(context, None, "the brands were entered and left");
    postgrest.batch_execute("commit").unwrap();
    let recorded: i64 =
        value(&mut superuser, "select count(*) from customer_stage_transitions where to_stage = 'active'");
    assert_eq!(recorded, 3);
}

#[test]
fn what_is_said_of_a_move_cannot_change_while_it_is_made() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let customers: Vec<String> = values(
        &mut app,
        "insert into customers (email, created_at) select n || '@example.com', now() - interval '30 days'
         from generate_series(1, 2) as n returning id::text",
    );
    let (customer, other) = (&customers[0], &customers[1]);
    let said = format!(
        "jsonb_build_object('customer_id', '{customer}', 'occurred_at', now() - interval '10 days')::text"
    );
    app.batch_execute(
        "create function pg_temp.and_back(i uuid) returns text language plpgsql as $$
           declare r text;
           begin
             update customers set stage = 'lead' where id = i
             returning (transition_stage(i, 'marketing', occurred_at => now() - interval '10 days')).to_stage::text into r;
             return r;
           end $$",
    )
    .unwrap();
    for statement in [
        format!("update customers set stage = 'marketing' where id = '{customer}' returning set_config('percytech.move', {said}, true)"),
        format!("update customers set stage = 'churned' where id = '{customer}' returning set_config('percytech.move', {said}, true)"),
        format!(
            "select set_config('percytech.move', {said}, true);
             update customers set stage = 'marketing' where id = '{customer}' returning (transition_stage('{other}', 'trial')).to_stage"
        ),
        format!("update customers set stage = 'marketing' where id = '{customer}' returning pg_temp.and_back(id)"),
    ] {
        let error = error_of(&mut app, &format!("begin; {statement}"));
        assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{statement}: {error:?}");
        app.batch_execute("rollback").unwrap();
        assert_eq!(history_of(&mut app, customer), [">lead"], "{statement}");
    }
    for odd in [
        "set local percytech.move = 'junk'; update customers set stage = 'trial'",
        "select transition_stage(id, 'trial', idempotency_key => '') from customers",
        "select transition_stage(id, 'trial', metadata => '[]') from customers",
    ] {
        assert_eq!(
            error_of(&mut app, &format!("begin; {odd}")).code(),
            &SqlState::INVALID_PARAMETER_VALUE,
            "{odd}"
        );
        app.batch_execute("rollback").unwrap();
    }
}
