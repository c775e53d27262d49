//! `percytech report`: a brand's own numbers, on a page that loads nothing.

use std::fs;
use std::path::Path;

use percytech_tests::{Ran, TestDatabase, login_of, run};
use serde_json::{Value, json};

/// A customer of the brand in context who came so many days ago and moved so many days after that.
fn customer(client: &mut postgres::Client, source: &str, came: i32, moves: &[(&str, i32)]) {
    let insert = format!(
        "insert into customers (email, source, created_at)
         values (gen_random_uuid() || '@example.com', '{source}', now() - make_interval(hours => 24 * {came}))
         returning id::text"
    );
    let id: String = client.query_one(&insert, &[]).unwrap().get(0);
    for (stage, after) in moves {
        client
            .batch_execute(&format!(
                "select transition_stage(
                   '{id}', '{stage}', occurred_at => now() - make_interval(hours => 24 * ({came} - {after}))
                 )"
            ))
            .unwrap();
    }
}

/// Of gnymble four customers, of percymd one, of percytext none.
fn database() -> TestDatabase {
    let database = TestDatabase::migrated();
    let mut gnymble = database.app_of("gnymble");
    customer(&mut gnymble, "referral", 200, &[("marketing", 1), ("trial", 3), ("active", 10)]);
    customer(&mut gnymble, "referral", 200, &[("marketing", 2), ("trial", 5), ("active", 20)]);
    customer(&mut gnymble, "website", 200, &[]);
    customer(&mut gnymble, "website", 5, &[]);
    customer(&mut database.app_of("percymd"), "social", 100, &[]);
    database
}

fn report(database: &TestDatabase, arguments: &[&str]) -> Ran {
    let arguments: Vec<_> = ["report"].iter().chain(arguments).copied().collect();
    run(&mut database.percytech(&arguments))
}

fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let arguments: Vec<_> = arguments.iter().chain(&["--format", "json"]).copied().collect();
    serde_json::from_str(&report(database, &arguments).expect(0).stdout).unwrap()
}

/// The page that is written to a file.
fn page_of(database: &TestDatabase, brand: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.html");
    let ran = report(database, &["--brand", brand, "--out", path.to_str().unwrap()]).expect(0);
    assert!(
        ran.stdout.starts_with(&format!("the report of {brand} is in {}", path.display())),
        "{}",
        ran.stdout
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    fs::read_to_string(path).unwrap()
}

/// Fails unless every element ends, in the right order.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("<{tag} does not end"));
        assert!(!text.contains('>'), "{text}");
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in <{tag}>");
        } else if !VOID.contains(&name) && !name.starts_with("!--") && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [] as [&str; 0]);
}

fn column(rows: &Value, name: &str) -> Vec<Value> {
    rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[test]
fn the_page_is_whole_and_loads_nothing() {
    let page = page_of(&database(), "gnymble");
    assert_well_formed(&page);
    for forbidden in
        ["http:", "https:", "//", "<script", "src=", "@import", "url(h", "style=", "<link", "<img"]
    {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(page.contains("default-src 'none'") && page.contains("<html lang=\"en\">"), "{page}");
    for id in ["funnel", "retention", "time-to-subscription", "sources", "stages"] {
        assert_eq!(page.matches(&format!("<section id=\"{id}\"")).count(), 1, "{id}");
    }
    for chart in ["Bar chart of the funnel", "Line chart that rises", "by source", "median days in a stage"] {
        assert!(page.contains(chart), "{chart}");
    }
    let page = page.replace('\u{a0}', " ");
    for sentence in [
        "Of 4 customers who came to the stage lead, 2 went on to marketing, trial and active in this order within 30 days: \
         67 % of those whose 30 days are over. 1 may still do so.",
        "Half of the customers subscribe within 21 days; of 50 % it is not known yet.",
        "Of the customers from referral whose 90 days are over, 100 % subscribed within them",
        "Of 1 customer it is not known yet.",
        "Of the stays that are over, those in",
    ] {
        assert!(page.contains(sentence), "{sentence:?} is missing");
    }
}

#[test]
fn a_report_has_the_numbers_of_its_brand_alone() {
    let database = database();
    let gnymble = json_of(&database, &["--brand", "gnymble"]);
    assert_eq!(column(&gnymble["journey_funnel"], "customers"), [4, 2, 2, 2]);
    assert_eq!(column(&gnymble["journey_funnel"], "undecided"), [0, 1, 1, 1]);
    assert_eq!(column(&gnymble["source_performance"], "source"), ["website", "referral"]);
    assert_eq!(column(&gnymble["source_performance"], "leads"), [2, 2]);
    assert_eq!(column(&gnymble["time_to_subscription"], "days"), [5, 10, 20, 200]);

    let percymd = json_of(&database, &["--brand", "percymd"]);
    assert_eq!(column(&percymd["journey_funnel"], "customers"), [1, 0, 0, 0]);
    assert_eq!(column(&percymd["source_performance"], "source"), ["social"]);
    let page = page_of(&database, "percymd");
    for of_another in ["gnymble", "percytext", "referral", "website"] {
        assert!(!page.contains(of_another), "{of_another} is in the page of percymd");
    }

    let page = page_of(&database, "percytext");
    assert_well_formed(&page);
    assert!(page.contains("percytext has no customers yet.") && !page.contains("<section"), "{page}");
}

#[test]
fn a_report_is_read_as_the_application_too_but_not_of_another_brand() {
    let database = database();
    let login = login_of("percymd");
    let read = |brand: &str| {
        let arguments = ["report", "--brand", brand, "--format", "json"];
        run(&mut database.percytech_as(&login, &arguments))
    };
    assert_eq!(
        serde_json::from_str::<Value>(&read("percymd").expect(0).stdout).unwrap()["journey_funnel"][0]["customers"],
        json!(1)
    );
    read("gnymble").expect(2).says(&["may not act as brand", "grant percytech_app, brand_gnymble to"]);
}

#[test]
fn a_report_can_be_of_a_time() {
    let database = database();
    let today: String = percytech_tests::value(
        &mut database.superuser(),
        "select to_char(now() at time zone 'UTC' - interval '50 days', 'YYYY-MM-DD')",
    );
    let late = json_of(&database, &["--brand", "gnymble", "--since", &today]);
    let early = json_of(&database, &["--brand", "gnymble", "--until", &today]);
    assert_eq!(late["journey_funnel"][0]["customers"], json!(1));
    assert_eq!(early["journey_funnel"][0]["customers"], json!(3));
    assert_eq!((&late["since"], &late["until"]), (&json!(today), &Value::Null));
    let ran = report(&database, &["--brand", "gnymble", "--until", "2001-01-01"]).expect(0);
    assert!(ran.stdout.contains("No customer of gnymble came"), "{}", ran.stdout);
    report(&database, &["--brand", "gnymble", "--since", "2026-02-01", "--until", "2026-01-01"])
        .expect(2)
        .says(&["ends on 2026-01-01, before it begins on 2026-02-01"]);
    report(&database, &["--brand", "gnymble", "--since", "yesterday"]).expect(2).says(&["2026-01-31"]);
}

#[test]
fn in_a_terminal_it_is_text() {
    let ran = report(&database(), &["--brand", "gnymble"]).expect(0);
    // Wherever the lines are broken.
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "gnymble: the journey of its customers",
        "Of 4 customers who came to the stage lead",
        "█ reached it, ░ may still",
        "% of the customers who have subscribed",
        "Half of the customers subscribe within 21 days",
        "referral",
    ] {
        assert!(words.contains(text), "{text:?} is missing in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}

#[test]
fn a_page_goes_to_standard_output_and_other_formats_to_files() {
    let database = database();
    let page = report(&database, &["--brand", "gnymble", "--out", "-"]).expect(0).stdout;
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    let other = report(&database, &["--brand", "gnymble", "--format", "html"]).expect(0).stdout;
    assert!(other.starts_with("<!DOCTYPE html>"), "{other}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    report(&database, &["--brand", "gnymble", "--format", "json", "--out", path.to_str().unwrap()]).expect(0);
    let written: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(written["brand"], json!("gnymble"));
    run(&mut database.percytech(&["verify", "--format", "html"])).expect(2).says(&["for percytech report"]);
}

#[test]
fn what_a_source_is_called_is_text_on_the_page() {
    let database = database();
    database
        .superuser()
        .batch_execute("alter type customer_source add value '<script>alert(1)</script>'")
        .unwrap();
    let mut app = database.app_of("percytext");
    customer(&mut app, "<script>alert(1)</script>", 200, &[("marketing", 1), ("trial", 3), ("active", 10)]);
    let page = page_of(&database, "percytext");
    assert_well_formed(&page);
    assert!(!page.contains("<script") && page.contains("alert(1)"), "{page}");
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let database = database();
    report(&database, &["--brand", "nobody"])
        .expect(2)
        .says(&["there is no brand \"nobody\"", "gnymble, percymd, percytext"]);
    report(&TestDatabase::empty(), &["--brand", "gnymble"])
        .expect(2)
        .says(&["no public.journey_funnel", "percytech migrate up"]);
    let missing = "/no/such/directory/report.html";
    report(&database, &["--brand", "gnymble", "--out", missing])
        .expect(2)
        .says(&[&format!("cannot write {missing}: No such file or directory"), "or - for standard output"]);
    assert!(!Path::new(missing).exists());
    // What is there stays as it was where it cannot be replaced.
    let directory = tempfile::tempdir().unwrap();
    report(&database, &["--brand", "gnymble", "--out", directory.path().to_str().unwrap()])
        .expect(2)
        .says(&["cannot write"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
