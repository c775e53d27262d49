//! The report as one page that loads nothing, runs nothing, and is read on a phone, in the dark, printed or aloud.

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::chart::{self, Chart};
use super::table::{self, Table};
use super::{MONTHS, Report, words};

/// The page without anything that changes. It is named by its hash, so that no other style applies.
const STYLE: &str = include_str!("page.css");

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    report: &'a Report,
    period: String,
    read_at: String,
    style: &'static str,
    policy: String,
    empty: Option<String>,
    sections: Vec<Section>,
}

/// A report with its heading.
struct Section {
    id: &'static str,
    heading: &'static str,
    sentence: String,
    note: String,
    chart: Option<Chart>,
    tables: Vec<View>,
}

/// A table, open or behind its caption.
struct View {
    table: Table,
    is_folded: bool,
}

fn open(table: Table) -> View {
    View { table, is_folded: false }
}

fn folded(table: Table) -> View {
    View { table, is_folded: true }
}

/// The page of a report.
pub fn page(report: &Report) -> Result<String, askama::Error> {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let is_empty = report.is_empty();
    Page {
        report,
        period: words::period(report),
        read_at: words::read_at(report),
        style: STYLE,
        policy: format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"),
        empty: is_empty.then(|| words::empty(report)),
        sections: if is_empty { Vec::new() } else { sections(report) },
    }
    .render()
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections =
        vec![funnel(report), retention(report), curve(report), sources(report), stages(report)];
    for section in &mut sections {
        // A table without rows says nothing that the sentence does not.
        section.tables.retain(|view| !view.table.rows.is_empty());
    }
    sections
}

fn funnel(report: &Report) -> Section {
    Section {
        id: "funnel",
        heading: "The funnel",
        sentence: words::funnel(report),
        note: format!(
            "Customers who came in this time, and how far they went within {}. Who has not reached a stage and still \
             may is not counted as lost. The percentages are of those whose window is over.",
            words::days(report.funnel_window_days)
        ),
        chart: chart::funnel(report),
        tables: vec![open(table::funnel(report)), folded(table::funnel_by_source(report))],
    }
}

fn retention(report: &Report) -> Section {
    Section {
        id: "retention",
        heading: "Who stays",
        sentence: words::retention(report),
        note: "Customers who first subscribed in this time, by month. They count as active in a month when they were \
               active at some moment of it; * marks a month that is not over."
            .to_owned(),
        chart: None,
        tables: vec![open(table::retention(report, MONTHS))],
    }
}

fn curve(report: &Report) -> Section {
    let (all, unknown) = words::followed(&report.time_to_subscription);
    let has_curve = all > 0;
    Section {
        id: "time-to-subscription",
        heading: "How long it takes to subscribe",
        sentence: words::time_to_subscription(report),
        note: format!(
            "Customers who came in this time: {}; not subscribed yet: {}. These count for as long as they have been \
             followed, and are not taken for lost.",
            words::count(all),
            words::count(unknown)
        ),
        chart: chart::curve(report),
        tables: if has_curve {
            vec![open(table::quartiles(report)), folded(table::curve(report))]
        } else {
            Vec::new()
        },
    }
}

fn sources(report: &Report) -> Section {
    Section {
        id: "sources",
        heading: "Where customers come from",
        sentence: words::sources(report),
        note: format!(
            "Customers who came in this time, and who of them subscribed within {}. The limits say how far chance may \
             have moved a share: the fewer customers, the wider they are.",
            words::days(report.source_window_days)
        ),
        chart: chart::sources(report),
        tables: vec![open(table::sources(report))],
    }
}

fn stages(report: &Report) -> Section {
    Section {
        id: "stages",
        heading: "How long customers stay in a stage",
        sentence: words::stages(report),
        note: "Stays that began in this time. The times are of those that are over; the others are counted beside them."
            .to_owned(),
        chart: chart::stages(report),
        tables: vec![open(table::stages(report))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CurvePoint, FunnelStep, RetentionCell, SourceLine, StageLine};

    const NAME: &str = "<script>alert('x')</script>\"&";

    fn report() -> Report {
        let step = FunnelStep {
            step: 1,
            stage: NAME.to_owned(),
            source: Some(NAME.to_owned()),
            customers: 3,
            undecided: 1,
            conversion: Some(1.0),
            step_conversion: None,
            median_seconds: None,
        };
        let point = CurvePoint {
            days: 2,
            at_risk: 3,
            subscribed: 2,
            censored: 1,
            waiting: 1.0 / 3.0,
            lower_limit: Some(0.1),
            upper_limit: Some(0.9),
        };
        let cell = RetentionCell {
            cohort: NAME.to_owned(),
            period_number: 0,
            customers: 2,
            active: 2,
            rate: Some(1.0),
            is_complete: false,
        };
        let source = SourceLine {
            source: Some(NAME.to_owned()),
            leads: 3,
            subscribed: 2,
            undecided: 1,
            sample_size: 2,
            conversion: Some(1.0),
            lower_limit: Some(0.3),
            upper_limit: Some(1.0),
            median_days: Some(2.0),
        };
        let stage = StageLine {
            stage: NAME.to_owned(),
            entries: 3,
            still_there: 1,
            median_seconds: Some(9.0),
            mean_seconds: Some(9.0),
            p90_seconds: Some(9.0),
        };
        Report {
            brand: NAME.to_owned(),
            read_at: NAME.to_owned(),
            since: Some(NAME.to_owned()),
            confidence: 0.95,
            journey_funnel: vec![step.clone()],
            journey_funnel_by_source: vec![step],
            stage_durations: vec![stage],
            cohort_retention: vec![cell],
            time_to_subscription: vec![point],
            source_performance: vec![source],
            ..Report::default()
        }
    }

    #[test]
    fn nothing_from_the_database_is_markup() {
        let page = page(&report()).unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.matches("script").count() > 20, "{page}");
        // No attribute is left either.
        assert!(!page.contains("alert('x')"), "{page}");
    }

    #[test]
    fn the_page_loads_nothing_and_has_every_part() {
        let page = page(&report()).unwrap();
        for forbidden in ["http:", "https:", "src=", "@import", "url(h", "style="] {
            assert!(!page.contains(forbidden), "{forbidden} is in {page}");
        }
        for id in ["funnel", "retention", "time-to-subscription", "sources", "stages"] {
            assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
        }
        assert_eq!(page.matches("role=\"img\"").count(), 4);
        assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
    }

    #[test]
    fn the_policy_names_the_style_that_is_there() {
        let page = page(&report()).unwrap();
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(page.contains(&format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(style)))));
    }

    #[test]
    fn a_brand_without_customers_has_a_page_that_says_so() {
        let page = page(&Report { brand: "gnymble".to_owned(), ..Report::default() }).unwrap();
        assert!(page.contains("gnymble has no customers yet.") && !page.contains("<section"), "{page}");
    }
}
