//! `percytech report`: how the customers of a brand come, subscribe and stay; as a page, as text, as JSON.
//!
//! Everything is read in one snapshot, in the context of one brand that is sealed, in a transaction that cannot write.
//! What is not known yet of a customer is shown as that, never as a loss.

mod chart;
pub mod file;
pub mod html;
mod query;
mod table;
pub mod text;
mod words;

use chrono::NaiveDate;
use miette::Diagnostic;
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, Transaction};
use serde::Serialize;

use crate::database::{self, SqlError};
pub use query::{CurvePoint, FunnelStep, RetentionCell, SourceLine, StageLine};

/// How long a customer has to go through the funnel.
const FUNNEL_DAYS: i32 = 30;

/// How long a customer has to subscribe, where sources are compared.
const SOURCE_DAYS: i32 = 90;

/// For how many months a cohort is followed.
const MONTHS: i32 = 12;

/// How sure the limits of an estimate are.
const CONFIDENCE: f64 = 0.95;

/// Why there is no report.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The schema, or the part of it that reports, is not there.
    #[error("database {database} has no {}", names.join(", no "))]
    #[diagnostic(help(
        "run percytech migrate up, which makes them; or name another database: --database-url, DATABASE_URL"
    ))]
    Missing {
        /// The database.
        database: String,
        /// The functions that it lacks.
        names: Vec<String>,
    },
    /// There is no such brand.
    #[error("there is no brand {brand:?}")]
    #[diagnostic(help("the brands of this database are: {}", known.join(", ")))]
    UnknownBrand {
        /// The brand that was asked for.
        brand: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The role may not read the reports, or not as this brand.
    #[error("{role} may not read the reports of {brand}: {reason}")]
    #[diagnostic(help(
        "connect as a role that may, or let this one: grant percytech_app, {brand_role} to {role}"
    ))]
    NotPermitted {
        /// Who asks.
        role: String,
        /// Whose reports.
        brand: String,
        /// The role whose members may act as the brand.
        brand_role: String,
        /// What the server said.
        reason: String,
    },
    /// The period ends before it begins.
    #[error("the period ends on {until}, before it begins on {since}")]
    #[diagnostic(help("--since is the first day, --until the first day that is not in it any more"))]
    Backward {
        /// The first day.
        since: NaiveDate,
        /// The day after the last.
        until: NaiveDate,
    },
    /// No connection, or a statement of ours failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] database::Error),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Of whom, and of when.
#[derive(Debug, Clone)]
pub struct Options {
    /// The brand.
    pub brand: String,
    /// The first day, in UTC; without it, all of the past.
    pub since: Option<NaiveDate>,
    /// The first day that is not in it any more, in UTC; without it, up to now.
    pub until: Option<NaiveDate>,
}

/// The numbers, as the SQL functions of the same names return them. Times are in seconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Whose customers.
    pub brand: String,
    /// When it was read (RFC 3339, UTC).
    pub read_at: String,
    /// The first day (YYYY-MM-DD, UTC).
    pub since: Option<String>,
    /// The day after the last.
    pub until: Option<String>,
    /// How many days a customer has to go through the funnel.
    pub funnel_window_days: i32,
    /// How many days a customer has to subscribe, where sources are compared.
    pub source_window_days: i32,
    /// How sure the limits of the curve are.
    pub confidence: f64,
    /// The funnel.
    pub journey_funnel: Vec<FunnelStep>,
    /// The same for each source.
    pub journey_funnel_by_source: Vec<FunnelStep>,
    /// How long customers stay in a stage.
    pub stage_durations: Vec<StageLine>,
    /// How many of those who subscribed in a month were active in later ones.
    pub cohort_retention: Vec<RetentionCell>,
    /// How long it takes until a customer subscribes.
    pub time_to_subscription: Vec<CurvePoint>,
    /// What the sources bring.
    pub source_performance: Vec<SourceLine>,
}

impl Report {
    /// Whether there is nothing to tell: nobody came, moved or subscribed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.journey_funnel.iter().all(|step| step.customers == 0)
            && self.stage_durations.is_empty()
            && self.cohort_retention.is_empty()
            && self.time_to_subscription.is_empty()
            && self.source_performance.is_empty()
    }
}

/// Reads the report of a brand.
pub fn read(client: &mut Client, options: &Options) -> Result<Report, Error> {
    if let (Some(since), Some(until)) = (options.since, options.until)
        && until < since
    {
        return Err(Error::Backward { since, until });
    }
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    transaction.batch_execute("set local search_path = pg_catalog, pg_temp")?;
    let row = transaction.query_one(include_str!("report/prerequisites.sql"), &[&options.brand])?;
    let missing: Vec<String> = row.get("missing");
    if !missing.is_empty() {
        return Err(Error::Missing { database: row.get("database"), names: missing });
    }
    let known: Vec<String> = row.get("brands");
    if !known.contains(&options.brand) {
        return Err(Error::UnknownBrand { brand: options.brand.clone(), known });
    }
    read_in_context(&mut transaction, options, row.get("read_at")).map_err(|error| {
        if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return error.into();
        }
        Error::NotPermitted {
            role: row.get("role"),
            brand: options.brand.clone(),
            brand_role: row.get("brand_role"),
            reason: SqlError::from(error).message,
        }
    })
}

fn read_in_context(
    transaction: &mut Transaction<'_>,
    options: &Options,
    read_at: String,
) -> Result<Report, postgres::Error> {
    transaction.query("select percytech.set_brand_context($1, seal => true)", &[&options.brand])?;
    let period = query::Period::new(options);
    Ok(Report {
        brand: options.brand.clone(),
        read_at,
        since: options.since.map(|day| day.to_string()),
        until: options.until.map(|day| day.to_string()),
        funnel_window_days: FUNNEL_DAYS,
        source_window_days: SOURCE_DAYS,
        confidence: CONFIDENCE,
        journey_funnel: query::journey_funnel(transaction, &period, FUNNEL_DAYS, false)?,
        journey_funnel_by_source: query::journey_funnel(transaction, &period, FUNNEL_DAYS, true)?,
        stage_durations: query::stage_durations(transaction, &period)?,
        cohort_retention: query::cohort_retention(transaction, &period, MONTHS)?,
        time_to_subscription: query::time_to_subscription(transaction, &period, CONFIDENCE)?,
        source_performance: query::source_performance(transaction, &period, SOURCE_DAYS)?,
    })
}
