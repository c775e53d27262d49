//! `percytech report`

use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate};
use clap::Args;

use super::{AskedFormat, Common, Failure, Outcome, connect};
use crate::report::{self, Options, Report, file, html, text};
use crate::{output, say};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Whose customers
    #[arg(long)]
    brand: String,
    /// Write it to a file, as a page unless --format says otherwise; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// From this day on: YYYY-MM-DD, in UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<NaiveDate>,
    /// Before this day: YYYY-MM-DD, in UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<NaiveDate>,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|day| (1..=9999).contains(&day.year()))
        .ok_or_else(|| "a day is written as 2026-01-31".to_owned())
}

/// Does what is asked.
pub fn run(common: &Common, arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = Options { brand: arguments.brand.clone(), since: arguments.since, until: arguments.until };
    let mut client = connect(common, "percytech report")?;
    let report = output::busy("reading the reports", || report::read(&mut client, &options))?;
    let out = arguments.out.as_deref();
    let format =
        common.asked_format.unwrap_or(if out.is_some() { AskedFormat::Html } else { AskedFormat::Text });
    match out.filter(|path| *path != Path::new("-")) {
        None => say!("{}", rendered(&report, format, text::terminal_width())?),
        Some(path) => {
            let text = rendered(&report, format, text::DEFAULT_WIDTH)?;
            let text = anstream::adapter::strip_str(&text).to_string() + "\n";
            file::write(path, &text)?;
            say!(
                "the report of {} is in {} ({} kB)",
                report.brand,
                path.display(),
                text.len().div_ceil(1000)
            );
        }
    }
    Ok(Outcome::Fine)
}

/// The report without the end of its last line.
fn rendered(report: &Report, format: AskedFormat, width: usize) -> Result<String, Failure> {
    let text = match format {
        AskedFormat::Html => html::page(report)
            .map_err(|error| miette::miette!("the report cannot be written as a page: {error}"))?,
        AskedFormat::Json => serde_json::to_string_pretty(report)
            .map_err(|error| miette::miette!("the report cannot be written as JSON: {error}"))?,
        AskedFormat::Text => text::page(report, width),
    };
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_our_calendar() {
        assert_eq!(day("2026-01-31"), Ok(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap()));
        for text in
            ["", "2026-02-30", "31.01.2026", "2026-01-31T00:00", "yesterday", "+12026-01-01", "0000-01-01"]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
