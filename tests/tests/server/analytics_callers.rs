//! The reports of the journey: who may ask, what they are shown, and what is refused.

use percytech_tests::{BRANDS, TestDatabase, fill, refusal, value, values};
use postgres::Client;
use postgres::error::SqlState;

use crate::analytics::rows;
use crate::journey::error_of;

const REPORTS: [&str; 5] =
    ["journey_funnel", "stage_durations", "cohort_retention", "time_to_subscription", "source_performance"];

#[test]
fn a_report_needs_a_brand_in_context_whoever_asks() {
    let database = TestDatabase::migrated();
    fill(&mut database.superuser());
    for mut client in [database.app(), database.superuser()] {
        for report in REPORTS {
            let error = error_of(&mut client, &format!("select * from {report}()"));
            assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{report}");
            assert!(error.hint().is_some(), "{report}");
        }
    }
}

#[test]
fn a_report_needs_a_grant_and_a_brand_that_the_caller_may_act_as() {
    let database = TestDatabase::supabase();
    fill(&mut database.superuser());
    let mut anon = database.connect("authenticator");
    anon.batch_execute("set role anon").unwrap();
    for report in REPORTS {
        let call = format!("select * from {report}()");
        assert_eq!(refusal(&mut anon, &call), SqlState::INSUFFICIENT_PRIVILEGE, "{report}");
    }
    let mut request = database.connect("authenticator");
    for role in ["authenticated", "service_role"] {
        for report in REPORTS {
            request
                .batch_execute(&format!(
                    r#"begin read only; set local role {role};
                       set local request.jwt.claims = '{{"app_metadata": {{"brand_id": "percymd"}}}}';
                       select percytech.apply_request_context();
                       select * from {report}();
                       commit"#
                ))
                .unwrap_or_else(|error| panic!("{role} {report}: {error:?}"));
        }
    }
}

/// The stage history of a few customers, whose report differs from that of others.
fn a_journey(client: &mut Client, brand: &str, customers: u32) {
    client
        .batch_execute(&format!(
            "select percytech.set_brand_context('{brand}', false);
             insert into customers (email, source, created_at)
             select number || '@example.com', 'referral', now() - interval '40 days' from generate_series(1, {customers}) as number;
             select transition_stage(id, 'trial', occurred_at => now() - interval '30 days') from customers where brand_id = '{brand}';
             select transition_stage(id, 'active', occurred_at => now() - interval '20 days') from customers where brand_id = '{brand}'"
        ))
        .unwrap();
}

#[test]
fn what_another_brand_has_changes_nothing_even_for_who_sees_all() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    a_journey(&mut superuser, "gnymble", 3);
    let calls = REPORTS.map(|report| format!("select * from {report}()"));
    let told = |client: &mut Client| {
        client.batch_execute("select percytech.set_brand_context('gnymble', false)").unwrap();
        calls.iter().map(|call| rows(client, call)).collect::<Vec<_>>()
    };
    let before = told(&mut database.app());
    assert!(before.iter().all(|rows| !rows.is_empty()));
    assert_eq!(told(&mut superuser), before, "a superuser is shown one brand");
    a_journey(&mut superuser, "percymd", 5);
    // Another brand may have customers of the same ids.
    superuser
        .batch_execute(
            "set session_replication_role = replica;
             insert into customers (id, brand_id, email) select id, 'percytext', email from customers where brand_id = 'gnymble';
             insert into customer_stage_transitions (brand_id, customer_id, position, from_stage, to_stage, actor, occurred_at)
             select 'percytext', customer_id, position, from_stage, to_stage, actor, occurred_at - interval '3 days'
             from customer_stage_transitions where brand_id = 'gnymble'",
        )
        .unwrap();
    assert_eq!(told(&mut database.app()), before);
    assert_eq!(told(&mut superuser), before);
}

#[test]
fn what_no_report_can_answer_is_refused_with_a_hint() {
    let database = TestDatabase::migrated();
    let mut app = database.app_of("gnymble");
    let refused = [
        "journey_funnel(null)",
        "journey_funnel('{}')",
        "journey_funnel('{lead,null}')",
        "journey_funnel('{lead,trial,lead}')",
        "journey_funnel('{{lead,trial},{active,churned}}')",
        "journey_funnel(within_window => null)",
        "journey_funnel(within_window => '-1 second')",
        "journey_funnel(within_window => '1 month')",
        "journey_funnel(within_window => '1 year -1 day')",
        "journey_funnel(within_window => '-1 month 60 days')",
        "journey_funnel(by_source => null)",
        "time_to_subscription(by_source => null)",
        "time_to_subscription(confidence => null)",
        "time_to_subscription(confidence => 0)",
        "time_to_subscription(confidence => 1)",
        "time_to_subscription(confidence => 95)",
        "time_to_subscription(confidence => 'NaN')",
        "source_performance(within_window => null)",
        "source_performance(within_window => '-1 day')",
        "source_performance(within_window => '3 months')",
        "cohort_retention(null)",
        "cohort_retention('fortnight')",
        "cohort_retention('months')",
        "cohort_retention(periods => null)",
        "cohort_retention(periods => -1)",
        "cohort_retention(time_zone => null)",
        "cohort_retention(time_zone => 'America/Nowhere')",
        "cohort_retention(time_zone => '')",
    ]
    .map(str::to_owned);
    let spans = REPORTS.iter().flat_map(|report| {
        [
            "since => null",
            "until => null",
            "since => 'tomorrow', until => 'today'",
            "since => 'infinity', until => '-infinity'",
        ]
        .map(|span| format!("{report}({span})"))
    });
    for call in refused.into_iter().chain(spans) {
        let error = error_of(&mut app, &format!("select * from {call}"));
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{call}: {error:?}");
        assert!(
            error.hint().is_some_and(|hint| hint.ends_with('.') || hint.ends_with("}'.")),
            "{call}: {error:?}"
        );
        assert!(!error.message().ends_with('.'), "{call}: {error:?}");
    }
    let months = error_of(&mut app, "select * from journey_funnel(within_window => '1 month')");
    assert_eq!(months.hint(), Some("A month has no fixed length: write days."));
    // Years and months that come to nothing, and a span of nothing.
    for call in [
        "journey_funnel(within_window => '1 year -12 months 3 days')",
        "journey_funnel(since => 'today', until => 'today')",
        "source_performance(within_window => '0')",
        "cohort_retention('year', periods => 2147483647, time_zone => 'EST5EDT')",
    ] {
        app.batch_execute(&format!("select * from {call}"))
            .unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
}

#[test]
fn reports_run_as_their_callers_and_their_rows_are_described() {
    let mut superuser = TestDatabase::migrated().superuser();
    let definers: Vec<String> = values(
        &mut superuser,
        "select proname::text from pg_proc
         where pronamespace = 'public'::regnamespace and prosecdef
           and proname in ('journey_funnel', 'stage_durations', 'cohort_retention', 'time_to_subscription', 'source_performance', 'brand_overview')",
    );
    assert_eq!(definers, ["brand_overview"]);
    let odd: Vec<String> = values(
        &mut superuser,
        "select proname::text from pg_proc
         where pronamespace = 'public'::regnamespace
           and proname in ('journey_funnel', 'stage_durations', 'cohort_retention', 'time_to_subscription', 'source_performance', 'brand_overview')
           and (provolatile <> 's' or proconfig <> array['search_path=pg_catalog, pg_temp'] or not proretset)",
    );
    assert_eq!(odd, [] as [String; 0]);
    let silent: Vec<String> = values(
        &mut superuser,
        "select typname || '.' || attname from pg_proc
         join pg_type on pg_type.oid = prorettype
         join pg_attribute on attrelid = typrelid and attnum > 0 and not attisdropped
         where pronamespace = 'public'::regnamespace
           and proname in ('journey_funnel', 'stage_durations', 'cohort_retention', 'time_to_subscription', 'source_performance', 'brand_overview')
           and (col_description(attrelid, attnum) is null or obj_description(pg_type.oid, 'pg_type') is null)",
    );
    assert_eq!(silent, [] as [String; 0]);
    let columns: i64 = value(
        &mut superuser,
        "select count(*) from pg_description
         join pg_class on pg_class.oid = objoid and relkind = 'c' and relnamespace = 'public'::regnamespace
         where classoid = 'pg_class'::regclass and objsubid > 0",
    );
    assert_eq!(columns, 8 + 6 + 6 + 8 + 9 + 6);
}

/// The scan of a table in a plan.
fn scan_of(plan: &serde_json::Value, table: &str) -> Option<serde_json::Value> {
    if plan["Relation Name"] == table {
        return Some(plan.clone());
    }
    plan["Plans"].as_array()?.iter().find_map(|below| scan_of(below, table))
}

#[test]
fn customer_analytics_reads_the_rows_of_its_brand_and_no_others() {
    let database = TestDatabase::migrated();
    database
        .superuser()
        .batch_execute(
            "insert into customers (brand_id, email)
             select brand, number || '@example.com'
             from unnest(enum_range(null::brand_id)) as brand, generate_series(1, 5000) as number;
             insert into customers (brand_id, email) select 'percymd', 'more' || number from generate_series(1, 20000) as number",
        )
        .unwrap();
    database.superuser().batch_execute("vacuum analyze customers").unwrap();
    for brand in BRANDS {
        let mut app = database.app_of(brand);
        // With so few brands a scan of the whole table may be cheaper; it would not be of many.
        app.batch_execute("set enable_seqscan = off; set max_parallel_workers_per_gather = 0").unwrap();
        let explained: serde_json::Value = {
            let text: String =
                rows(&mut app, "explain (analyze, format json) select * from customer_analytics")[0][0]
                    .clone()
                    .unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let scan = scan_of(&explained[0]["Plan"], "customers").unwrap_or_else(|| panic!("{explained:#}"));
        let text = scan.to_string();
        assert!(text.contains("(brand_id = ") && text.contains("\"Index Cond\""), "{scan:#}");
        let read = scan["Actual Rows"].as_f64().unwrap()
            + scan["Rows Removed by Filter"].as_f64().unwrap_or(0.0)
            + scan["Rows Removed by Index Recheck"].as_f64().unwrap_or(0.0);
        let own: i64 = value(&mut app, "select count(*) from customers");
        assert!(
            (read - f64::from(i32::try_from(own).unwrap())).abs() < 0.5,
            "{read} rows of {own}: {scan:#}"
        );
    }
}

#[test]
fn a_funnel_has_thirty_two_steps_at_most() {
    let database = TestDatabase::migrated();
    let mut superuser = database.superuser();
    for number in 1..=27 {
        superuser.batch_execute(&format!("alter type customer_stage add value 'stage_{number}'")).unwrap();
    }
    let mut app = database.app_of("gnymble");
    let steps =
        |count: usize| format!("select * from journey_funnel((enum_range(null::customer_stage))[1:{count}])");
    assert_eq!(rows(&mut app, &steps(32)).len(), 32);
    let error = error_of(&mut app, &steps(33));
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(error.message(), "a funnel has at most 32 steps");
}
