//! Dated migrations, applied once each, in order, and recorded with what they change or not at all.
//!
//! Refinery plans, checks and records; what it lacks is here: names with dates, the rollback part, one transaction for
//! a migration and its history row, the owner's role, and a lock so that one runner works at a time.

pub mod file;
pub mod lock;
pub mod run;
mod session;
pub mod status;

pub use run::up;
pub use status::status;

/// Where the history is kept: a schema of its own, which no API exposes.
pub const HISTORY_SCHEMA: &str = "percytech_migrations";
/// Refinery's table of what was applied.
pub const HISTORY_TABLE: &str = "percytech_migrations.refinery_schema_history";

/// Why migrations could not be read, compared or applied.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A file is not as it should be.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] file::Error),
    /// A migration is no SQL, or the server refused it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Script(#[from] Box<crate::script::Error>),
    /// No connection, or a statement of ours failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] crate::database::Error),
    /// Another runner holds the lock.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] lock::Error),
    /// Files and history do not agree.
    #[error("{} applied migration{} no longer as applied: {}", names.len(), if names.len() == 1 { " is" } else { "s are" }, names.join(", "))]
    #[diagnostic(help(
        "nothing was run. Put the file back as it was (git log -p -- FILE shows how) and write a new migration for \
         what is to change; percytech migrate status shows all of them"
    ))]
    Diverged {
        /// Which, and how.
        names: Vec<String>,
    },
    /// A new file sorts before one that is applied.
    #[error("{} would come before {after}, which is applied", names.join(", "))]
    #[diagnostic(help(
        "nothing was run. Other databases would apply them in another order: give the file today's date, or a \
         number that sorts last"
    ))]
    OutOfOrder {
        /// The files.
        names: Vec<String>,
        /// The last applied migration.
        after: String,
    },
    /// The role that owns everything is not there yet, or not for this user.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Owner(#[from] crate::owner::Error),
    /// The history was not made by us.
    #[error("the history in {HISTORY_SCHEMA} is not one that percytech keeps")]
    #[diagnostic(help(
        "nothing was run. The schema or the table belongs to a role that is neither the owner of the schema, nor you, \
         nor a superuser, or somebody has put a trigger, a rule or row level security on the table: look at it with \
         \\d+ in psql, and find out who did that"
    ))]
    ForeignHistory,
    /// Refinery refused what our own checks let through.
    #[error("the migration engine refused: {0}")]
    #[diagnostic(help("percytech migrate status shows how files and history compare"))]
    Engine(String),
    /// The lock's session is not the one that the transaction ran in.
    #[error("the connection changes its server session between transactions")]
    #[diagnostic(help(
        "this is a pooler in transaction mode, where no lock holds: connect to the server itself, or to a pooler in \
         session mode (at Supabase: port 5432, not 6543)"
    ))]
    Pooled,
}
