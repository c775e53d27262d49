//! The overview of all brands: who may ask for it, and that nobody stands out in it.

use std::collections::BTreeMap;

use percytech_tests::{APP, BRANDS, TestDatabase, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::analytics::{Random, SOURCE_LABELS, STAGES};
use crate::journey::error_of;

const OVERVIEW: &str = "select * from brand_overview()";

/// A login that may look across brands, and act as none.
fn analyst(database: &TestDatabase) -> String {
    let login = format!("analyst_of_{}", database.name());
    database
        .superuser()
        .batch_execute(&format!("create role {login} login in role percytech_analyst"))
        .unwrap();
    login
}

/// Customers of a brand in a stage, from a source.
fn customers(client: &mut Client, brand: &str, stage: &str, source: &str, count: u64) {
    client
        .batch_execute(&format!(
            "insert into customers (brand_id, email, stage, source)
             select '{brand}', gen_random_uuid() || '@example.com', '{stage}', '{source}' from generate_series(1, {count})"
        ))
        .unwrap();
}

/// A row of the overview.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    brand: String,
    dimension: String,
    value: String,
    customers: Option<i64>,
    share: Option<f64>,
    median: Option<f64>,
}

fn overview(client: &mut Client) -> Vec<Group> {
    let columns = "brand_id::text, dimension, value, customers, share, median_days_to_subscription";
    let rows = client.query(&format!("select {columns} from brand_overview()"), &[]).unwrap();
    rows.iter()
        .map(|row| Group {
            brand: row.get(0),
            dimension: row.get(1),
            value: row.get(2),
            customers: row.get(3),
            share: row.get(4),
            median: row.get(5),
        })
        .collect()
}

/// The counts of a brand in one respect, as value and count.
fn counts<'a>(groups: &'a [Group], brand: &str, dimension: &str) -> Vec<(&'a str, Option<i64>)> {
    groups
        .iter()
        .filter(|group| group.brand == brand && group.dimension == dimension)
        .map(|group| (group.value.as_str(), group.customers))
        .collect()
}

#[test]
fn an_analyst_who_may_act_as_no_brand_sees_groups_and_no_rows() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    customers(&mut superuser, "gnymble", "lead", "website", 6);
    customers(&mut superuser, "gnymble", "trial", "referral", 7);
    customers(&mut superuser, "gnymble", "active", "referral", 2);
    customers(&mut superuser, "percymd", "lead", "website", 5);
    customers(&mut superuser, "percytext", "lead", "website", 4);
    let mut analyst = database.connect(&analyst(&database));
    assert_eq!(value::<Vec<String>>(&mut analyst, "select percytech.allowed_brands()"), [] as [String; 0]);
    let groups = overview(&mut analyst);
    // Two are too few, and with six they are enough.
    assert_eq!(counts(&groups, "gnymble", "stage"), [("trial", Some(7)), ("other", Some(8))]);
    assert_eq!(counts(&groups, "gnymble", "source"), [("website", Some(6)), ("referral", Some(9))]);
    assert_eq!(counts(&groups, "percymd", "stage"), [("lead", Some(5))]);
    assert_eq!(counts(&groups, "percytext", "stage"), [("other", None)], "a brand that is too small itself");
    assert_eq!(counts(&groups, "percytext", "source"), []);
    assert!((groups[0].share.unwrap() - 7.0 / 15.0).abs() < 1e-12);
    assert_eq!(groups.last().unwrap().share, None);
    // Afterwards as before.
    assert_eq!(value::<Option<String>>(&mut analyst, "select percytech.current_brand()"), None);
    for table in ["customers", "customer_stage_transitions"] {
        let read = format!("select * from {table}");
        assert_eq!(refusal(&mut analyst, &read), SqlState::INSUFFICIENT_PRIVILEGE, "{table}");
    }
    let inner = "select * from count_brand_overview('gnymble', 1)";
    assert_eq!(refusal(&mut analyst, inner), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn an_analyst_asks_by_a_token_whose_context_is_sealed_and_stays_so() {
    let database = TestDatabase::supabase();
    let mut superuser = database.superuser();
    customers(&mut superuser, "gnymble", "lead", "website", 6);
    customers(&mut superuser, "percymd", "trial", "website", 6);
    let role = format!("analyst_of_{}", database.name());
    superuser
        .batch_execute(&format!(
            "create role {role} nologin in role percytech_analyst; grant {role} to authenticator"
        ))
        .unwrap();
    let mut postgrest = database.connect("authenticator");
    // A token that names no brand, and one that names one.
    for (brand, seal) in [("null", None), ("\"percymd\"", Some("percymd"))] {
        let mut request = postgrest.build_transaction().read_only(true).start().unwrap();
        request
            .batch_execute(&format!(
                r#"set local role {role};
                   set local request.jwt.claims = '{{"role": "{role}", "app_metadata": {{"brand_id": {brand}}}}}';
                   select percytech.apply_request_context()"#
            ))
            .unwrap();
        let context = |request: &mut postgres::Transaction<'_>| -> (String, Option<String>) {
            let row = request
                .query_one("select percytech.brand_context()::text, percytech.current_brand()", &[])
                .unwrap();
            (row.get(0), row.get(1))
        };
        let before = context(&mut request);
        assert!(before.0.contains(r#""sealed": true"#), "{before:?}");
        assert_eq!(before.1.as_deref(), seal);
        let seen = request
            .query("select brand_id::text, customers from brand_overview() where dimension = 'stage'", &[])
            .unwrap();
        let seen: Vec<(String, Option<i64>)> = seen.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(
            seen,
            [
                ("gnymble".to_owned(), Some(6)),
                ("percymd".to_owned(), Some(6)),
                ("percytext".to_owned(), None)
            ]
        );
        assert_eq!(context(&mut request), before);
        for change in ["set_brand_context('gnymble')", "lend_brand('gnymble')"] {
            let mut inner = request.transaction().unwrap();
            let error = inner.batch_execute(&format!("select percytech.{change}")).unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{change}");
        }
        request.rollback().unwrap();
    }
    superuser.batch_execute(&format!("drop role {role}")).unwrap();
}

#[test]
fn nobody_but_an_analyst_is_shown_the_overview_whatever_is_granted() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    for login in [APP, "test_gnymble"] {
        let mut client = database.connect(login);
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
        assert_eq!(refusal(&mut client, OVERVIEW), SqlState::INSUFFICIENT_PRIVILEGE, "{login}");
    }
    superuser.batch_execute("grant execute on function brand_overview() to percytech_app").unwrap();
    for login in [APP, "test_gnymble"] {
        let mut client = database.connect(login);
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
        let error = error_of(&mut client, OVERVIEW);
        assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{login}");
        assert_eq!(error.message(), format!("no brand is lent to role \"{login}\""));
        assert_eq!(value::<String>(&mut client, "select percytech.current_brand()"), "gnymble");
    }
    assert_eq!(overview(&mut superuser).len(), BRANDS.len(), "a superuser is a member of every role");
}

#[test]
fn the_smallest_group_is_not_the_analysts_to_choose() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    customers(&mut superuser, "gnymble", "lead", "website", 3);
    let login = analyst(&database);
    for attempt in
        ["set percytech.smallest_group = 3", "select set_config('percytech.smallest_group', '3', false)"]
    {
        // Also as the first that a session does, before the library is there.
        let mut fresh = database.connect(&login);
        let _ = fresh.batch_execute(attempt);
        assert_eq!(counts(&overview(&mut fresh), "gnymble", "stage"), [("other", None)], "{attempt}");
        assert_eq!(refusal(&mut fresh, attempt), SqlState::INSUFFICIENT_PRIVILEGE, "{attempt}");
    }
    superuser
        .batch_execute(&format!("alter database {} set percytech.smallest_group = 3", database.name()))
        .unwrap();
    assert_eq!(counts(&overview(&mut database.connect(&login)), "gnymble", "stage"), [("lead", Some(3))]);
}

#[test]
fn what_is_lent_to_the_overview_is_nobodys_when_it_ends() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    customers(&mut superuser, "gnymble", "lead", "website", 6);
    let login = analyst(&database);
    // An analyst who is an application of gnymble, too.
    superuser.batch_execute(&format!("grant percytech_app, brand_gnymble to {login}")).unwrap();
    customers(&mut superuser, "percytext", "lead", "website", 6);
    // A function of the owner's that tells what it would be lent, and one that borrows and fails on the way.
    superuser
        .batch_execute(
            "create function brand_within() returns text language sql security definer set search_path = '' as
               'select percytech.current_brand()';
             create function borrow_and_fail() returns void language plpgsql security definer set search_path = '' as
               $$ begin perform percytech.lend_brand('percytext'); raise division_by_zero; end $$;
             create function borrow() returns text language plpgsql security definer set search_path = '' as
               $$ begin perform percytech.lend_brand('percytext'); return public.brand_within(); end $$;
             create function borrow_as_invoker() returns void language sql as 'select percytech.lend_brand($$percytext$$)';
             alter function brand_within() owner to percytech_owner;
             alter function borrow_and_fail() owner to percytech_owner;
             alter function borrow() owner to percytech_owner",
        )
        .unwrap();
    let mut client = database.connect(&login);
    client.batch_execute("begin; select percytech.set_brand_context('gnymble')").unwrap();
    assert_eq!(overview(&mut client).len(), 5);
    let (within, count) =
        ("select brand_within()", "select count(*) from customers where brand_id <> 'gnymble'");
    assert_eq!(value::<String>(&mut client, within), "gnymble");
    assert_eq!(value::<String>(&mut client, "select borrow()"), "percytext", "while it runs");
    assert_eq!(value::<String>(&mut client, within), "gnymble");
    assert_eq!(value::<i64>(&mut client, count), 0);
    client
        .batch_execute(
            "do $$ begin perform borrow_and_fail(); exception when division_by_zero then null; end $$",
        )
        .unwrap();
    assert_eq!(value::<String>(&mut client, within), "gnymble");
    client.batch_execute("commit").unwrap();
    for call in ["lend_brand('percytext')", "lend_brand('gnymble')"] {
        let call = format!("select percytech.{call}");
        assert_eq!(refusal(&mut client, &call), SqlState::INSUFFICIENT_PRIVILEGE, "{call}");
    }
    assert_eq!(refusal(&mut client, "select borrow_as_invoker()"), SqlState::INSUFFICIENT_PRIVILEGE);
    let by_hand = "set percytech.lent_brand = 'percytext'";
    assert_eq!(refusal(&mut client, by_hand), SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(value::<i64>(&mut client, "select count(*) from customers where brand_id <> 'gnymble'"), 0);
}

/// What the overview is to show of these counts: said here once more, one group after the other.
fn shown(raw: &BTreeMap<String, i64>, smallest: i64) -> BTreeMap<String, i64> {
    let mut left = raw.clone();
    if left.values().all(|&count| count >= smallest) {
        return left;
    }
    let mut others = left.remove("other").unwrap_or(0);
    loop {
        let next = left.iter().map(|(value, &count)| (count, value.clone())).min();
        match next {
            Some((count, value)) if count < smallest || others < smallest => {
                others += count;
                left.remove(&value);
            }
            _ => break,
        }
    }
    left.insert("other".to_owned(), others);
    left
}

#[test]
fn nobody_stands_out_and_everybody_is_counted_whatever_the_groups() {
    let database = TestDatabase::migrated();
    let login = analyst(&database);
    let mut client = database.superuser();
    let mut folded = 0;
    for seed in 1..=60 {
        let mut random = Random::new(seed);
        let smallest = i64::try_from(3 + random.below(8)).unwrap();
        client.batch_execute(&format!("begin; set local percytech.smallest_group = {smallest}")).unwrap();
        for brand in BRANDS {
            let most = 1 + random.below(14);
            for _ in 0..random.below(7) {
                let (stage, source) = (random.one_of(&STAGES), random.one_of(&SOURCE_LABELS));
                customers(&mut client, brand, stage, source, 1 + random.below(most));
            }
        }
        client
            .batch_execute(
                "update customers set stage = 'active' where stage = 'trial' and left(email, 1) < '8'",
            )
            .unwrap();
        let mut raw: BTreeMap<(String, String), BTreeMap<String, i64>> = BTreeMap::new();
        for (dimension, column) in [("stage", "stage"), ("source", "source")] {
            let counted =
                format!("select brand_id::text, {column}::text, count(*) from customers group by 1, 2");
            for row in client.query(&counted, &[]).unwrap() {
                raw.entry((row.get(0), dimension.to_owned())).or_default().insert(row.get(1), row.get(2));
            }
        }
        client.batch_execute(&format!("set local session authorization {login}")).unwrap();
        let groups = overview(&mut client);
        client.batch_execute("rollback").unwrap();

        for group in &groups {
            assert!(group.customers.is_none_or(|count| count >= smallest), "seed {seed}: {group:?}");
        }
        for brand in BRANDS {
            let stages = raw.get(&(brand.to_owned(), "stage".to_owned())).cloned().unwrap_or_default();
            let total: i64 = stages.values().sum();
            if total < smallest {
                let own: Vec<_> = groups.iter().filter(|group| group.brand == brand).collect();
                assert!(
                    own.len() == 1 && own[0].customers.is_none() && own[0].value == "other",
                    "seed {seed}: {own:?}"
                );
                assert!(own[0].share.is_none() && own[0].median.is_none(), "seed {seed}: {own:?}");
                continue;
            }
            for dimension in ["stage", "source"] {
                let raw = &raw[&(brand.to_owned(), dimension.to_owned())];
                let expected = shown(raw, smallest);
                folded += usize::from(&expected != raw);
                let seen = counts(&groups, brand, dimension);
                let as_map: BTreeMap<String, i64> =
                    seen.iter().map(|(value, count)| ((*value).to_owned(), count.unwrap())).collect();
                assert_eq!(
                    as_map, expected,
                    "seed {seed}: {brand} {dimension}, smallest {smallest}, of {raw:?}"
                );
                assert_eq!(seen.len(), expected.len(), "each once");
                assert_eq!(as_map.values().sum::<i64>(), total, "seed {seed}");
                let shares: f64 = groups
                    .iter()
                    .filter(|group| group.brand == brand && group.dimension == dimension)
                    .map(|group| group.share.unwrap())
                    .sum();
                assert!((shares - 1.0).abs() < 1e-9, "seed {seed}");
            }
        }
    }
    assert!(folded > 20, "{folded}");
}

#[test]
fn a_median_is_of_as_many_as_a_group_and_to_one_decimal() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "insert into customers (brand_id, email, stage, source, created_at)
             select 'gnymble', number || '@example.com', 'trial', case when number <= 6 then 'website' else 'referral' end::customer_source,
               now() - interval '100 days'
             from generate_series(1, 16) as number;
             select percytech.set_brand_context('gnymble', false);
             select transition_stage(id, 'active', occurred_at => created_at + split_part(email, '@', 1)::integer * interval '1 day 1 hour')
             from customers where split_part(email, '@', 1)::integer <= 10",
        )
        .unwrap();
    let medians: Vec<String> = values(
        &mut database.connect(&analyst(&database)),
        "select concat_ws(' ', value, customers, coalesce(median_days_to_subscription::text, 'NULL')) from brand_overview()
         where brand_id = 'gnymble'",
    );
    // Of six from the website the median is between the third and the fourth; of referrals four subscribed, who are too few.
    assert_eq!(medians, ["trial 6 NULL", "active 10 5.7", "website 6 3.6", "referral 10 NULL"]);
}
