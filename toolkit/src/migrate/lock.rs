//! One runner at a time, by an advisory lock of the session.
//!
//! It is polled: a session that *waits* for a lock is in a transaction that CREATE INDEX CONCURRENTLY, run by whoever
//! holds the lock, would wait for in turn.

use std::time::{Duration, Instant};

use miette::Diagnostic;
use postgres::Client;

use crate::database;

/// The lock that every runner takes, in every database its own: advisory locks are kept apart by database.
const KEY: i64 = i64::from_be_bytes(*b"percytec");

const POLL: Duration = Duration::from_millis(200);

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Somebody else kept it for too long.
    #[error("another migration is running in this database: {holder}")]
    #[diagnostic(help(
        "waited {} s for it. When it has ended, try again, or wait longer with --lock-wait SECONDS; when it hangs, \
         its session can be ended with pg_terminate_backend",
        waited.as_secs()
    ))]
    Held {
        /// Who has it, as far as the server tells.
        holder: String,
        /// How long we asked.
        waited: Duration,
    },
    /// The server could not be asked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] database::Error),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Takes the lock, asking for it for as long as `patience`; returns the server process that holds it for us.
pub fn acquire(client: &mut Client, patience: Duration) -> Result<i32, Error> {
    let start = Instant::now();
    loop {
        let row = client.query_one("select pg_try_advisory_lock($1), pg_backend_pid()", &[&KEY])?;
        if row.get(0) {
            return Ok(row.get(1));
        }
        if start.elapsed() >= patience {
            return Err(Error::Held { holder: holder(client)?, waited: patience });
        }
        std::thread::sleep(POLL.min(patience.saturating_sub(start.elapsed())));
    }
}

/// Gives the lock back. When this fails the server does it, at the end of the session.
pub fn release(client: &mut Client) -> Result<(), postgres::Error> {
    client.execute("select pg_advisory_unlock($1)", &[&KEY]).map(drop)
}

fn holder(client: &mut Client) -> Result<String, postgres::Error> {
    let found = client.query_opt(include_str!("lock_holder.sql"), &[&KEY])?;
    Ok(found.map_or("it has ended just now".to_owned(), |row| row.get(0)))
}
