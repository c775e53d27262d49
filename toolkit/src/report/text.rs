//! The report for a terminal: the same sentences and tables, with bars and a curve of characters.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table as TextTable};
use owo_colors::OwoColorize;

use super::table::{self, Cell, Table};
use super::words::{self, followed, share};
use super::{MONTHS, Report};
use crate::output;

/// Where there is no terminal to ask.
pub const DEFAULT_WIDTH: usize = 120;

/// What is around the content of a column.
const GAP: usize = 3;

const NARROWEST_BAR: usize = 8;
const WIDEST_BAR: usize = 40;
const CURVE_HEIGHT: u32 = 8;

/// What a column of the triangle takes: a share, a mark and the space around them.
const MONTH_WIDTH: usize = 8;
const COHORT_WIDTH: usize = 31;

/// How wide the terminal is.
#[must_use]
pub fn terminal_width() -> usize {
    TextTable::new().width().map_or(DEFAULT_WIDTH, usize::from)
}

/// The report, for so many columns.
#[must_use]
pub fn page(report: &Report, width: usize) -> String {
    let mut text = String::new();
    line(&mut text, &format!("{}: the journey of its customers", report.brand.bold()));
    line(
        &mut text,
        &format!("{}; read at {}", words::period(report), words::read_at(report)).dimmed().to_string(),
    );
    if report.is_empty() {
        line(&mut text, &format!("\n{}", words::empty(report)));
        return text;
    }
    heading(&mut text, "The funnel", &words::funnel(report), width);
    funnel(&mut text, report, width);
    rows(&mut text, &table::funnel_by_source(report), width);

    heading(&mut text, "Who stays", &words::retention(report), width);
    retention(&mut text, report, width);

    heading(&mut text, "How long it takes to subscribe", &words::time_to_subscription(report), width);
    if let Some(curve) = curve(report, width) {
        line(&mut text, &curve);
    }
    if followed(&report.time_to_subscription).0 > 0 {
        rows(&mut text, &table::quartiles(report), width);
    }

    heading(&mut text, "Where customers come from", &words::sources(report), width);
    rows(&mut text, &table::sources(report), width);

    heading(&mut text, "How long customers stay in a stage", &words::stages(report), width);
    rows(&mut text, &table::stages(report), width);
    text.truncate(text.trim_end().len());
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn heading(text: &mut String, heading: &str, sentence: &str, width: usize) {
    // The units stay with their numbers where a browser breaks lines; here it would only be in the way.
    let _ = writeln!(text, "\n{}\n{}", heading.bold(), wrapped(&sentence.replace('\u{a0}', " "), width));
}

/// Broken between words, so that no line is wider.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

fn rows(text: &mut String, table: &Table, width: usize) {
    if !table.rows.is_empty() {
        let _ = writeln!(text, "\n{}\n{}", wrapped(&table.caption, width).dimmed(), fitted(table, width));
    }
}

fn laid_out(table: &Table) -> TextTable {
    let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.text.replace('\u{a0}', " ")).collect())
        .collect();
    let mut laid_out = output::table(&header, &cells);
    for column in laid_out.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    laid_out
}

/// A table whose cells are broken where it would be too wide.
fn fitted(table: &Table, width: usize) -> TextTable {
    let mut laid_out = laid_out(table);
    laid_out
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    laid_out
}

/// The funnel, with a bar for each stage where there is space for one.
fn funnel(text: &mut String, report: &Report, width: usize) {
    let mut table = table::funnel(report);
    let taken: usize =
        laid_out(&table).column_max_content_widths().iter().map(|&width| usize::from(width) + GAP).sum();
    let all = report.journey_funnel.first().map_or(0, |first| first.customers);
    let space = width.saturating_sub(taken + GAP + 1).min(WIDEST_BAR);
    if space < NARROWEST_BAR || all == 0 {
        rows(text, &table, width);
        return;
    }
    let part = |number: i64| round(share(number, all).clamp(0.0, 1.0), space);
    table.header.push(String::new());
    for (row, step) in table.rows.iter_mut().zip(&report.journey_funnel) {
        let reached = part(step.customers);
        let waiting = part(step.customers + step.undecided).saturating_sub(reached);
        row.push(Cell::from("█".repeat(reached) + &"░".repeat(waiting)));
    }
    let mut laid_out = laid_out(&table);
    if let Some(bars) = laid_out.column_iter_mut().last() {
        bars.set_cell_alignment(CellAlignment::Left);
    }
    let caption = format!("{} (█ reached it, ░ may still)", table.caption);
    let _ = writeln!(text, "\n{}\n{laid_out}", wrapped(&caption, width).dimmed());
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "it is from 0 to the width of a terminal"
)]
fn round(share: f64, width: usize) -> usize {
    (share * width as f64).round() as usize
}

/// The triangle, as far as it fits.
fn retention(text: &mut String, report: &Report, width: usize) {
    let fitting = (width.saturating_sub(COHORT_WIDTH) / MONTH_WIDTH).max(2);
    let months = i32::try_from(fitting - 1).unwrap_or(MONTHS).min(MONTHS);
    rows(text, &table::retention(report, months), width);
    if report.cohort_retention.iter().any(|cell| !cell.is_complete && cell.period_number <= months) {
        line(text, "* not over yet");
    }
    if report.cohort_retention.iter().any(|cell| cell.period_number > months) {
        line(text, &format!("The months after {months} are in the page: --out FILE.html"));
    }
}

/// The share that has subscribed, in percent, drawn with characters.
fn curve(report: &Report, width: usize) -> Option<String> {
    let curve = &report.time_to_subscription;
    let last = curve.last().filter(|last| last.days > 0 && last.waiting < 1.0)?;
    let columns = u32::try_from(width.saturating_sub(12).clamp(20, 72)).ok()?;
    let series = (0..columns).map(|column| {
        let day = f64::from(last.days) * f64::from(column) / f64::from(columns - 1);
        let before = curve.iter().take_while(|point| f64::from(point.days) <= day).last();
        before.map_or(0.0, |point| (1.0 - point.waiting) * 100.0)
    });
    let config = rasciigraph::Config::default().with_height(CURVE_HEIGHT).with_offset(8);
    let plot = rasciigraph::plot(series.collect(), config);
    let plot: Vec<_> = plot.lines().map(str::trim_end).collect();
    let columns = usize::try_from(columns).ok()?;
    let end = format!("day {}", words::count(last.days.into()));
    let days = format!("{:8}day 0{end:>1$}", "", columns.saturating_sub(5));
    Some(format!("\n{}\n{}\n{days}", "% of the customers who have subscribed".dimmed(), plot.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CurvePoint, FunnelStep};

    fn plain(report: &Report, width: usize) -> String {
        anstream::adapter::strip_str(&page(report, width)).to_string()
    }

    fn step(step: i32, stage: &str, customers: i64, undecided: i64) -> FunnelStep {
        FunnelStep {
            step,
            stage: stage.to_owned(),
            source: None,
            customers,
            undecided,
            conversion: Some(0.5),
            step_conversion: None,
            median_seconds: None,
        }
    }

    #[test]
    fn nobody_is_said_to_be_nobody() {
        let report = Report { brand: "gnymble".to_owned(), ..Report::default() };
        assert!(plain(&report, 80).ends_with("\n\ngnymble has no customers yet.\n"));
    }

    #[test]
    fn bars_are_as_long_as_there_is_space() {
        let report = Report {
            journey_funnel: vec![step(1, "lead", 10, 0), step(2, "active", 4, 2)],
            ..Report::default()
        };
        let wide = plain(&report, 160);
        assert!(
            wide.contains(&"█".repeat(40)) && wide.contains(&("█".repeat(16) + &"░".repeat(8))),
            "{wide}"
        );
        let narrow = plain(&report, 60);
        assert!(!narrow.contains('█'), "{narrow}");
        for width in [80, 100, 120] {
            let text = plain(&report, width);
            let bars: Vec<_> =
                text.lines().filter(|line| line.ends_with("█  ") || line.ends_with("░  ")).collect();
            assert!(!bars.is_empty() && bars.iter().all(|line| line.chars().count() <= width), "{text}");
        }
    }

    #[test]
    fn the_curve_rises_to_what_has_subscribed() {
        let point = |days, waiting| CurvePoint {
            days,
            at_risk: 4,
            subscribed: 1,
            censored: 0,
            waiting,
            lower_limit: None,
            upper_limit: None,
        };
        let report =
            Report { time_to_subscription: vec![point(3, 0.75), point(30, 0.5)], ..Report::default() };
        let drawn = curve(&report, 80).unwrap();
        assert!(
            drawn.contains("50.00    ┤") && drawn.contains("0.00    ┼") && drawn.contains("day 30"),
            "{drawn}"
        );
    }
}
