//! The role that owns the schema: what we change, we change as it, so that everything is owned by it.

use miette::Diagnostic;
use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::config::Config;
use crate::database::SqlError;

/// Why we cannot act as the owner.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{task} as {owner} is not possible: {source}")]
#[diagnostic(help(
    "a user who is no superuser must be granted the role: grant {owner} to <user>. A migration that creates it comes \
     first and says -- as-invoker. Another owner is named in percytech.toml, as owner"
))]
pub struct Error {
    task: String,
    owner: String,
    source: SqlError,
}

/// Acts as the owner for the rest of the transaction, where the settings name one.
pub fn become_owner(transaction: &mut Transaction<'_>, config: &Config, task: &str) -> Result<(), Error> {
    let Some(owner) = &config.owner else { return Ok(()) };
    transaction
        .batch_execute(&format!("set local role {}", escape_identifier(owner)))
        .map_err(|error| Error { task: task.to_owned(), owner: owner.clone(), source: error.into() })
}

/// Pins the search path of a migration's transaction, so that it means the same whoever runs it. Temporary tables come
/// last: one that was left behind hides no table.
pub fn pin_search_path(transaction: &mut Transaction<'_>, config: &Config) -> Result<(), postgres::Error> {
    let path: Vec<_> = config
        .schemas
        .iter()
        .map(String::as_str)
        .chain(["extensions", "pg_temp"])
        .map(escape_identifier)
        .collect();
    transaction.batch_execute(&format!("set local search_path = {}", path.join(", ")))
}
