//! The reports as the database computes them, row by row.

use chrono::NaiveDate;
use postgres::Transaction;
use serde::Serialize;

use super::Options;

/// The bounds of a period as PostgreSQL reads them.
pub struct Period {
    since: String,
    until: String,
}

impl Period {
    pub fn new(options: &Options) -> Self {
        let bound = |day: Option<NaiveDate>, without: &str| {
            day.map_or_else(|| without.to_owned(), |day| format!("{day} 00:00:00+00"))
        };
        Self { since: bound(options.since, "-infinity"), until: bound(options.until, "infinity") }
    }
}

/// A step of the funnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelStep {
    /// Its place, from 1.
    pub step: i32,
    /// The stage.
    pub stage: String,
    /// Where the customers came from; of the whole funnel, or where it is not known, none.
    pub source: Option<String>,
    /// How many reached it.
    pub customers: i64,
    /// How many have not, and still may.
    pub undecided: i64,
    /// Of those who entered and whose window is over, how many reached it.
    pub conversion: Option<f64>,
    /// Of those of them who reached the step before.
    pub step_conversion: Option<f64>,
    /// The median time from the step before.
    pub median_seconds: Option<f64>,
}

/// The stays in a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageLine {
    /// The stage.
    pub stage: String,
    /// How many stays began.
    pub entries: i64,
    /// How many of them are not over.
    pub still_there: i64,
    /// The median length of those that are.
    pub median_seconds: Option<f64>,
    /// Their mean length.
    pub mean_seconds: Option<f64>,
    /// What nine of ten of them were no longer than.
    pub p90_seconds: Option<f64>,
}

/// A cohort in one of the months after its customers subscribed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionCell {
    /// The first day of the month in which they subscribed.
    pub cohort: String,
    /// How many months later it is.
    pub period_number: i32,
    /// How many subscribed.
    pub customers: i64,
    /// How many of them were active at some moment of the later month.
    pub active: i64,
    /// The same as a share.
    pub rate: Option<f64>,
    /// Whether that month is over.
    pub is_complete: bool,
}

/// A day of the curve (Kaplan and Meier), after the customers came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurvePoint {
    /// How many days after.
    pub days: i32,
    /// How many had not subscribed before, and are followed so far.
    pub at_risk: i64,
    /// How many subscribed on it.
    pub subscribed: i64,
    /// How many are followed no further, since no more time has passed.
    pub censored: i64,
    /// The share that has not subscribed after it.
    pub waiting: f64,
    /// Its lower limit.
    pub lower_limit: Option<f64>,
    /// Its upper limit.
    pub upper_limit: Option<f64>,
}

/// What a source brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceLine {
    /// The source, where it is known.
    pub source: Option<String>,
    /// How many customers came.
    pub leads: i64,
    /// How many of them subscribed in time.
    pub subscribed: i64,
    /// How many have not, and still may.
    pub undecided: i64,
    /// Of how many the window is over.
    pub sample_size: i64,
    /// Of those, how many subscribed.
    pub conversion: Option<f64>,
    /// Its lower limit.
    pub lower_limit: Option<f64>,
    /// Its upper limit.
    pub upper_limit: Option<f64>,
    /// The median of how many days it took them.
    pub median_days: Option<f64>,
}

pub fn journey_funnel(
    transaction: &mut Transaction<'_>,
    period: &Period,
    days: i32,
    by_source: bool,
) -> Result<Vec<FunnelStep>, postgres::Error> {
    let rows = transaction
        .query(include_str!("journey_funnel.sql"), &[&period.since, &period.until, &days, &by_source])?;
    rows.iter()
        .map(|row| {
            Ok(FunnelStep {
                step: row.try_get("step")?,
                stage: row.try_get("stage")?,
                source: row.try_get("source")?,
                customers: row.try_get("customers")?,
                undecided: row.try_get("undecided")?,
                conversion: row.try_get("conversion")?,
                step_conversion: row.try_get("step_conversion")?,
                median_seconds: row.try_get("median_seconds")?,
            })
        })
        .collect()
}

pub fn stage_durations(
    transaction: &mut Transaction<'_>,
    period: &Period,
) -> Result<Vec<StageLine>, postgres::Error> {
    let rows = transaction.query(include_str!("stage_durations.sql"), &[&period.since, &period.until])?;
    rows.iter()
        .map(|row| {
            Ok(StageLine {
                stage: row.try_get("stage")?,
                entries: row.try_get("entries")?,
                still_there: row.try_get("still_there")?,
                median_seconds: row.try_get("median_seconds")?,
                mean_seconds: row.try_get("mean_seconds")?,
                p90_seconds: row.try_get("p90_seconds")?,
            })
        })
        .collect()
}

pub fn cohort_retention(
    transaction: &mut Transaction<'_>,
    period: &Period,
    months: i32,
) -> Result<Vec<RetentionCell>, postgres::Error> {
    let rows =
        transaction.query(include_str!("cohort_retention.sql"), &[&period.since, &period.until, &months])?;
    rows.iter()
        .map(|row| {
            Ok(RetentionCell {
                cohort: row.try_get("cohort")?,
                period_number: row.try_get("period_number")?,
                customers: row.try_get("customers")?,
                active: row.try_get("active")?,
                rate: row.try_get("rate")?,
                is_complete: row.try_get("is_complete")?,
            })
        })
        .collect()
}

pub fn time_to_subscription(
    transaction: &mut Transaction<'_>,
    period: &Period,
    confidence: f64,
) -> Result<Vec<CurvePoint>, postgres::Error> {
    let rows = transaction
        .query(include_str!("time_to_subscription.sql"), &[&period.since, &period.until, &confidence])?;
    rows.iter()
        .map(|row| {
            Ok(CurvePoint {
                days: row.try_get("days")?,
                at_risk: row.try_get("at_risk")?,
                subscribed: row.try_get("subscribed")?,
                censored: row.try_get("censored")?,
                waiting: row.try_get("waiting")?,
                lower_limit: row.try_get("lower_limit")?,
                upper_limit: row.try_get("upper_limit")?,
            })
        })
        .collect()
}

pub fn source_performance(
    transaction: &mut Transaction<'_>,
    period: &Period,
    days: i32,
) -> Result<Vec<SourceLine>, postgres::Error> {
    let rows =
        transaction.query(include_str!("source_performance.sql"), &[&period.since, &period.until, &days])?;
    rows.iter()
        .map(|row| {
            Ok(SourceLine {
                source: row.try_get("source")?,
                leads: row.try_get("leads")?,
                subscribed: row.try_get("subscribed")?,
                undecided: row.try_get("undecided")?,
                sample_size: row.try_get("sample_size")?,
                conversion: row.try_get("conversion")?,
                lower_limit: row.try_get("lower_limit")?,
                upper_limit: row.try_get("upper_limit")?,
                median_days: row.try_get("median_days")?,
            })
        })
        .collect()
}
