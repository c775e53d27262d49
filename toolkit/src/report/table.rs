//! The numbers as tables, the same for a page and for a terminal.

use super::words::{count, day_of, days, duration_or_none, label, limits, percent, percent_or_none, ranked};
use super::{FunnelStep, Report, RetentionCell};

/// A table. The first column names the row; the others hold numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The names of its columns.
    pub header: Vec<String>,
    /// Its rows, each as long as the header.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell, with what colours it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How high a share it is, in tenths.
    pub heat: Option<u8>,
    /// Whether what it counts is over.
    pub is_open: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Table {
    fn new(caption: impl Into<String>, header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self {
            caption: caption.into(),
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.into_iter().map(|row| row.into_iter().map(Cell::from).collect()).collect(),
        }
    }

    /// Whether cells of it are coloured.
    pub fn has_heat(&self) -> bool {
        self.rows.iter().flatten().any(|cell| cell.heat.is_some())
    }
}

pub fn funnel(report: &Report) -> Table {
    let rows = report.journey_funnel.iter().map(|step| {
        vec![
            label(Some(&step.stage)),
            count(step.customers),
            count(step.undecided),
            percent_or_none(step.conversion),
            percent_or_none(step.step_conversion),
            duration_or_none(step.median_seconds),
        ]
    });
    Table::new(
        "The stages of the funnel: shares of all and of the stage before, of those whose window is over, and the median time from it",
        &["Stage", "Reached", "May still", "Of all", "Of before", "Median"],
        rows.collect(),
    )
}

pub fn funnel_by_source(report: &Report) -> Table {
    let steps = &report.journey_funnel_by_source;
    let of_source = |source: &Option<String>| -> Vec<&FunnelStep> {
        steps.iter().filter(|step| step.source == *source).collect()
    };
    let mut sources: Vec<_> = steps.iter().map(|step| &step.source).collect();
    sources.dedup();
    let stages: Vec<String> = sources.first().map_or_else(Vec::new, |source| {
        of_source(source).iter().map(|step| label(Some(&step.stage))).collect()
    });
    let header: Vec<&str> = ["Source"]
        .into_iter()
        .chain(stages.iter().map(String::as_str))
        .chain(["May still", "Of those over"])
        .collect();
    let rows = sources.iter().map(|source| {
        let steps = of_source(source);
        let last = steps.last();
        [label(source.as_deref())]
            .into_iter()
            .chain(steps.iter().map(|step| count(step.customers)))
            .chain([
                last.map_or_else(String::new, |step| count(step.undecided)),
                last.map_or_else(String::new, |step| percent_or_none(step.conversion)),
            ])
            .collect()
    });
    Table::new("The funnel of each source: how many reached the stages", &header, rows.collect())
}

pub fn stages(report: &Report) -> Table {
    let rows = report.stage_durations.iter().map(|line| {
        vec![
            label(Some(&line.stage)),
            count(line.entries),
            count(line.still_there),
            duration_or_none(line.median_seconds),
            duration_or_none(line.mean_seconds),
            duration_or_none(line.p90_seconds),
        ]
    });
    Table::new(
        "How long stays took that are over",
        &["Stage", "Stays", "Not over", "Median", "Mean", "Nine of ten within"],
        rows.collect(),
    )
}

/// The triangle: cohorts by month.
pub fn retention(report: &Report, months: i32) -> Table {
    let cells = &report.cohort_retention;
    let last = cells.iter().map(|cell| cell.period_number).max().unwrap_or(0).min(months);
    let numbers: Vec<String> = (0..=last).map(|number| number.to_string()).collect();
    let header: Vec<&str> =
        ["Subscribed in", "Customers"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let mut table = Table::new(
        "Of the customers who subscribed in a month, how many were active so many months later",
        &header,
        vec![],
    );
    for cohort in cells.chunk_by(|left, right| left.cohort == right.cohort) {
        let mut row = vec![
            Cell::from(cohort[0].cohort.get(..7).unwrap_or(&cohort[0].cohort).to_owned()),
            Cell::from(count(cohort[0].customers)),
        ];
        row.extend((0..=last).map(|number| {
            cohort.iter().find(|cell| cell.period_number == number).map_or_else(Cell::default, retention_cell)
        }));
        table.rows.push(row);
    }
    table
}

fn retention_cell(cell: &RetentionCell) -> Cell {
    let Some(rate) = cell.rate else {
        return Cell::from("-".to_owned());
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 10")]
    let heat = (rate.clamp(0.0, 1.0) * 10.0).round() as u8;
    let open = if cell.is_complete { "" } else { "*" };
    Cell { text: percent(rate) + open, heat: Some(heat), is_open: !cell.is_complete }
}

/// By when a quarter, half and three quarters subscribe.
pub fn quartiles(report: &Report) -> Table {
    let curve = &report.time_to_subscription;
    let day = |day: Option<i32>| day.map_or_else(|| "not yet known".to_owned(), days);
    let rows = [("a quarter", 0.75), ("half", 0.5), ("three quarters", 0.25)].map(|(name, waiting)| {
        let earliest = day_of(curve, waiting, |point| point.lower_limit);
        let latest = day_of(curve, waiting, |point| point.upper_limit);
        vec![
            name.to_owned(),
            day(day_of(curve, waiting, |point| Some(point.waiting))),
            match (earliest, latest) {
                (None, None) => "-".to_owned(),
                (None, Some(latest)) => format!("at most {}", days(latest)),
                (Some(earliest), None) => format!("at least {}", days(earliest)),
                (Some(earliest), Some(latest)) => format!("{} to {}", count(earliest.into()), days(latest)),
            },
        ]
    });
    Table::new(
        "By when customers subscribe",
        &["Of the customers", "Have subscribed after (whole days)", &confident(report)],
        rows.to_vec(),
    )
}

fn confident(report: &Report) -> String {
    format!("{} limits", percent(report.confidence))
}

pub fn curve(report: &Report) -> Table {
    let rows = report.time_to_subscription.iter().map(|point| {
        vec![
            count(point.days.into()),
            count(point.at_risk),
            count(point.subscribed),
            count(point.censored),
            percent(1.0 - point.waiting),
            limits(point.upper_limit.map(|upper| 1.0 - upper), point.lower_limit.map(|lower| 1.0 - lower)),
        ]
    });
    Table::new(
        "The curve, day by day",
        &[
            "Days after they came",
            "Not subscribed before",
            "Subscribed",
            "Not known further",
            "Have subscribed",
            &confident(report),
        ],
        rows.collect(),
    )
}

pub fn sources(report: &Report) -> Table {
    let rows = ranked(&report.source_performance).into_iter().map(|line| {
        vec![
            label(line.source.as_deref()),
            count(line.leads),
            count(line.subscribed),
            count(line.undecided),
            count(line.sample_size),
            percent_or_none(line.conversion),
            limits(line.lower_limit, line.upper_limit),
            duration_or_none(line.median_days.map(|days| days * 86_400.0)),
        ]
    });
    let header = [
        "Source",
        "Customers",
        "Subscribed",
        "May still",
        "Window over",
        "Of those",
        &format!("{} limits", percent(0.95)),
        "Median time",
    ];
    Table::new(
        format!("Who subscribed within {} of coming", days(report.source_window_days)),
        &header,
        rows.collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cohort: &str, period_number: i32, active: i64, is_complete: bool) -> RetentionCell {
        let rate = Some(crate::report::words::share(active, 10));
        RetentionCell { cohort: cohort.to_owned(), period_number, customers: 10, active, rate, is_complete }
    }

    #[test]
    fn cohorts_make_a_triangle_that_says_what_is_not_over() {
        let report = Report {
            cohort_retention: vec![
                cell("2026-01-01", 0, 10, true),
                cell("2026-01-01", 1, 8, false),
                cell("2026-02-01", 0, 10, false),
            ],
            ..Report::default()
        };
        let table = retention(&report, 12);
        assert_eq!(table.header, ["Subscribed in", "Customers", "0", "1"]);
        let text = |row: usize| {
            table.rows[row].iter().map(|cell| cell.text.replace('\u{a0}', " ")).collect::<Vec<_>>()
        };
        assert_eq!(text(0), ["2026-01", "10", "100 %", "80 %*"]);
        assert_eq!(text(1), ["2026-02", "10", "100 %*", ""]);
        assert_eq!(table.rows[0][3].heat, Some(8));
        assert!(table.rows[1][2].is_open && table.rows[1][3].heat.is_none());
        assert_eq!(retention(&report, 0).header.len(), 3);
    }

    #[test]
    fn without_rows_there_are_tables_without_rows() {
        let report = Report::default();
        for table in
            [funnel(&report), funnel_by_source(&report), stages(&report), curve(&report), sources(&report)]
        {
            assert!(table.rows.is_empty(), "{table:?}");
        }
        assert_eq!(quartiles(&report).rows.len(), 3);
    }
}
