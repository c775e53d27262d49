//! The proof that brands are kept apart: rules over the catalog, each of which finds one way to lose that.
//!
//! Everything is read in one snapshot, in a transaction that cannot write. What is not looked at is said.

mod catalog;
mod report;
mod rule;
pub mod rules;
mod scope;

use miette::Diagnostic;
use postgres::{Client, IsolationLevel};

use crate::config::Config;
use crate::database;
use catalog::Catalog;
pub use report::{Excepted, Report};
pub use rule::{Finding, Rule, Severity};

/// Why the database could not be verified.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// There is nothing to look at: most likely it is another database.
    #[error("there is no table in schema {schemas} of database {database}")]
    #[diagnostic(help(
        "check that this is the right database, and that the migrations are applied; other schemas are named in \
         percytech.toml, as schemas"
    ))]
    NoTables {
        /// Where we looked.
        schemas: String,
        /// In which database.
        database: String,
    },
    /// A schema does not exist.
    #[error("there is no schema {0}")]
    #[diagnostic(help("correct the name in percytech.toml, in schemas"))]
    NoSchema(String),
    /// The type of the brand column does not exist.
    #[error("there is no type {0}, which the brand column is to have")]
    #[diagnostic(help("name the type in percytech.toml: [brand] type = \"…\", with its schema"))]
    NoBrandType(String),
    /// The server is too old for what we ask of it.
    #[error("this server is PostgreSQL {0}")]
    #[diagnostic(help("PostgreSQL 15 or later is needed: before it, every view reads as its owner"))]
    TooOld(String),
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

const OLDEST_SERVER: i32 = 150_000;

/// Applies every rule to the database, and tells what was found and what was not looked at.
pub fn verify(client: &mut Client, config: &Config) -> Result<Report, Error> {
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    // With nothing on the path, the server writes every name with its schema.
    transaction.batch_execute("set local search_path = pg_catalog")?;

    let row = transaction.query_one(include_str!("verify/server.sql"), &[&config.brand.data_type])?;
    let (version, label, database, has_type): (i32, String, String, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    if version < OLDEST_SERVER {
        return Err(Error::TooOld(label));
    }
    if let Some(missing) =
        transaction.query_opt(include_str!("verify/missing_schema.sql"), &[&config.schemas])?
    {
        return Err(Error::NoSchema(missing.get(0)));
    }
    if !has_type {
        return Err(Error::NoBrandType(config.brand.data_type.clone()));
    }
    let mut catalog = Catalog::read(&mut transaction, config)?;
    if catalog.tables.is_empty() {
        return Err(Error::NoTables { schemas: config.schemas.join(", "), database });
    }
    let mut findings = Vec::new();
    for rule in rules::ALL {
        findings.extend(rule.find(&mut catalog)?);
    }
    Ok(Report::new(config, &catalog, &findings))
}
