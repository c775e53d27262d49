//! No brand reaches another, and nobody reaches anything without a brand.

use percytech_tests::{BRANDS, TABLES, TestDatabase, changed, fill, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

fn filled() -> TestDatabase {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    database
}

/// Every table and view of the schema, and every function that returns rows of one.
fn readable(client: &mut Client) -> Vec<String> {
    let mut relations: Vec<String> = values(
        client,
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')",
    );
    assert!(relations.len() > TABLES.len(), "{relations:?}");
    relations.push("search_customers('customer')".into());
    relations
}

fn count(client: &mut Client, relation: &str) -> i64 {
    value(client, &format!("select count(*) from {relation}"))
}

#[test]
fn without_a_context_no_table_view_or_search_shows_a_row() {
    let database = filled();
    let relations = readable(&mut database.superuser());
    let mut app = database.app();
    for relation in &relations {
        assert_eq!(count(&mut app, relation), 0, "{relation}");
        app.batch_execute("set app.current_brand = ''").unwrap();
        assert_eq!(count(&mut app, relation), 0, "{relation}, with an empty setting");
        app.batch_execute("reset app.current_brand").unwrap();
    }
}

#[test]
fn without_a_context_the_owner_sees_nothing_either() {
    let database = filled();
    let mut owner = database.superuser();
    let relations = readable(&mut owner);
    owner.batch_execute("set role percytech_owner").unwrap();
    for relation in relations {
        assert_eq!(count(&mut owner, &relation), 0, "{relation}");
    }
}

#[test]
fn a_role_that_is_granted_everything_but_the_policies_sees_nothing_without_a_context() {
    let database = filled();
    let mut superuser = database.superuser();
    let role = format!("reporter_of_{}", database.name());
    superuser
        .batch_execute(&format!(
            "create role {role}; grant usage on schema public to {role}; grant all on all tables in schema public to {role}; set role {role}"
        ))
        .unwrap();
    for table in TABLES {
        assert_eq!(count(&mut superuser, table), 0, "{table}");
    }
}

#[test]
fn without_a_context_nothing_can_be_written() {
    let database = filled();
    let mut app = database.app();
    let insert = "insert into customers (brand_id, email) values ('gnymble', 'new@example.com')";
    assert_eq!(refusal(&mut app, insert), SqlState::INSUFFICIENT_PRIVILEGE);
    for table in TABLES {
        assert_eq!(changed(&mut app, &format!("update {table} set created_at = now()")), 0);
        assert_eq!(changed(&mut app, &format!("delete from {table}")), 0);
    }
}

#[test]
fn a_brand_sees_exactly_its_own_rows() {
    let database = filled();
    let mut superuser = database.superuser();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        for table in TABLES {
            let own: Vec<String> = values(
                &mut superuser,
                &format!("select id::text from {table} where brand_id = '{brand}' order by id"),
            );
            assert!(!own.is_empty());
            let seen: Vec<String> = values(&mut app, &format!("select id::text from {table} order by id"));
            assert_eq!(seen, own, "{table} of {brand}");
        }
        let brands: Vec<String> = values(&mut app, "select distinct brand_id::text from customer_analytics");
        assert_eq!(brands, [brand]);
        let found: Vec<String> = values(&mut app, "select brand_id::text from search_customers('customer')");
        assert_eq!(found, [brand, brand]);
    }
}

#[test]
fn a_brand_cannot_insert_for_another() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    let others_customer: String =
        value(&mut database.superuser(), "select id::text from customers where brand_id = 'percymd' limit 1");
    let statements = [
        "insert into customers (brand_id, email) values ('percymd', 'new@example.com')".to_owned(),
        "insert into customers (brand_id, email) values ('percymd', 'customer1@example.com') \
         on conflict (brand_id, email) do update set first_name = 'taken'"
            .to_owned(),
        "merge into customers using (values ('new@example.com')) as new (email) on customers.email = new.email \
         when not matched then insert (brand_id, email) values ('percymd', new.email)"
            .to_owned(),
        format!(
            "insert into conversations (brand_id, customer_id, customer_phone, brand_phone) \
             values ('percymd', '{others_customer}', '+15551111111', '+15552222222')"
        ),
        "insert into messages (brand_id, conversation_id, direction, content) \
         values ('percymd', gen_random_uuid(), 'inbound', 'Hello')"
            .to_owned(),
        "with new as (insert into customers (brand_id, email) values ('percymd', 'new@example.com') returning id) \
         select * from new"
            .to_owned(),
    ];
    for statement in statements {
        assert_eq!(refusal(&mut app, &statement), SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
    }
}

#[test]
fn a_brand_cannot_copy_rows_in_for_another() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    // COPY FROM is refused altogether where row level security binds: nothing comes in past the policies.
    let error = app.copy_in("copy customers (brand_id, email) from stdin").map(drop).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
}

#[test]
fn a_brand_copies_out_its_own_rows_only() {
    use std::io::Read;

    let database = filled();
    let mut app = database.app_of("gnymble");
    let mut text = String::new();
    app.copy_out("copy customers (brand_id) to stdout").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "gnymble\ngnymble\n");
}

#[test]
fn a_brand_cannot_move_a_row_to_another() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    for table in TABLES {
        let statement = format!("update {table} set brand_id = 'percymd'");
        assert_eq!(refusal(&mut app, &statement), SqlState::INSUFFICIENT_PRIVILEGE, "{table}");
    }
}

#[test]
fn a_brand_cannot_change_or_delete_rows_of_another() {
    let database = filled();
    let mut superuser = database.superuser();
    let everything = "select array_agg(row_to_json(customers)::text order by id)::text from customers where brand_id <> 'gnymble'";
    let before: String = value(&mut superuser, everything);
    let mut app = database.app_of("gnymble");
    for table in TABLES {
        let own: i64 = value(&mut app, &format!("select count(*) from {table}"));
        for statement in [
            format!("update {table} set metadata = '{{}}' where brand_id = 'percymd'"),
            format!("delete from {table} where brand_id <> 'gnymble'"),
            format!(
                "merge into {table} using (select 'percymd'::brand_id as brand) as other on {table}.brand_id = other.brand \
                 when matched then delete"
            ),
        ] {
            assert_eq!(changed(&mut app, &statement), 0, "{statement}");
        }
        // Without a condition, a statement reaches the brand's rows and stops there.
        let statement = format!("update {table} set metadata = '{{\"seen\": true}}'");
        assert_eq!(changed(&mut app, &statement), u64::try_from(own).unwrap());
    }
    assert_eq!(changed(&mut app, "delete from messages"), 4);
    assert_eq!(value::<String>(&mut superuser, everything), before);
    assert_eq!(value::<i64>(&mut superuser, "select count(*) from messages"), 8);
}

#[test]
fn a_row_cannot_be_attached_to_another_brands_row() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    let others: String =
        value(&mut database.superuser(), "select id::text from customers where brand_id = 'percymd' limit 1");
    // The same answer whether the customer is another brand's or nobody's.
    for customer in [others.as_str(), "00000000-0000-0000-0000-000000000000"] {
        let insert = format!(
            "insert into conversations (brand_id, customer_id, customer_phone, brand_phone) \
             values ('gnymble', '{customer}', '+15551111111', '+15552222222')"
        );
        assert_eq!(refusal(&mut app, &insert), SqlState::FOREIGN_KEY_VIOLATION);
    }
}

#[test]
fn one_brand_does_not_hinder_another_with_an_equal_key() {
    let database = filled();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        let insert = format!(
            "insert into customers (brand_id, email, phone) values ('{brand}', 'same@example.com', '+15550001111')"
        );
        assert_eq!(changed(&mut app, &insert), 1);
        assert_eq!(refusal(&mut app, &insert), SqlState::UNIQUE_VIOLATION);
    }
}

#[test]
fn an_id_tells_nothing_of_another_brand() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    let others: String =
        value(&mut database.superuser(), "select id::text from customers where brand_id = 'percymd' limit 1");
    let insert = format!(
        "insert into customers (id, brand_id, email) values ('{others}', 'gnymble', 'same@example.com') on conflict do nothing"
    );
    assert_eq!(changed(&mut app, &insert), 1);
}

#[test]
fn the_owner_works_within_the_brand_in_context() {
    let database = filled();
    let mut owner = database.superuser();
    owner
        .batch_execute("set role percytech_owner; select percytech.set_brand_context('gnymble', false)")
        .unwrap();
    assert_eq!(changed(&mut owner, "update customers set first_name = 'Known'"), 2);
    let insert = "insert into customers (brand_id, email) values ('percymd', 'new@example.com')";
    assert_eq!(refusal(&mut owner, insert), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(changed(&mut owner, "delete from messages"), 4);
    assert_eq!(value::<i64>(&mut database.superuser(), "select count(*) from messages"), 8);
}

#[test]
fn a_policy_that_is_added_later_opens_nothing() {
    let database = filled();
    let mut superuser = database.superuser();
    for table in TABLES {
        superuser
            .batch_execute(&format!("create policy oops on {table} using (true) with check (true)"))
            .unwrap();
    }
    let mut app = database.app();
    let mut gnymble = database.app_of("gnymble");
    for table in TABLES {
        assert_eq!(count(&mut app, table), 0);
        let others: i64 =
            value(&mut gnymble, &format!("select count(*) from {table} where brand_id <> 'gnymble'"));
        assert_eq!(others, 0);
    }
}

#[test]
fn the_application_has_no_privilege_that_row_level_security_does_not_bind() {
    let database = filled();
    let mut app = database.app_of("gnymble");
    for table in TABLES {
        assert_eq!(refusal(&mut app, &format!("truncate {table} cascade")), SqlState::INSUFFICIENT_PRIVILEGE);
        for privilege in ["TRUNCATE", "REFERENCES", "TRIGGER"] {
            let held: bool =
                value(&mut app, &format!("select has_table_privilege('{table}', '{privilege}')"));
            assert!(!held, "{privilege} on {table}");
        }
    }
}

#[test]
fn conditions_of_a_caller_do_not_see_rows_of_another_brand() {
    let database = filled();
    let mut superuser = database.superuser();
    // A cheap function that tells whatever it is given: the planner would like to call it first.
    superuser
        .batch_execute(
            "create function tell(brand_id, text) returns boolean language plpgsql cost 0.0001 as
             $$ begin if $1 <> 'gnymble' then raise exception 'told % of %', $2, $1; end if; return true; end $$;
             grant execute on function tell to percytech_app",
        )
        .unwrap();
    let mut app = database.app();
    assert_eq!(
        values::<String>(&mut app, "select email from customers where tell(brand_id, email)"),
        [] as [String; 0]
    );
    let mut gnymble = database.app_of("gnymble");
    let query = "select email from customers where tell(brand_id, email) and brand_id <> 'gnymble'";
    assert_eq!(values::<String>(&mut gnymble, query), [] as [String; 0]);
}
