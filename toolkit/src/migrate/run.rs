//! Applying what is pending.

use std::time::{Duration, Instant};

use pg_query::NodeEnum;
use postgres::Client;

use super::file::{self, MigrationFile};
use super::session::Session;
use super::status::{State, compare};
use super::{Error, lock};
use crate::config::Config;
use crate::script::Script;

/// What watches a run: for a progress display, or for nobody.
pub trait Watcher {
    /// A migration starts.
    fn starts(&mut self, name: &str);
    /// It is applied and recorded.
    fn applied(&mut self, name: &str, took: Duration);
}

/// Watches without a word.
pub struct Silent;

impl Watcher for Silent {
    fn starts(&mut self, _: &str) {}
    fn applied(&mut self, _: &str, _: Duration) {}
}

/// Applies every pending migration, each in one transaction with its history row, and returns their names. Where one
/// fails, those before it stay applied, and it leaves nothing behind.
pub fn up(
    client: &mut Client,
    config: &Config,
    files: &[MigrationFile],
    patience: Duration,
    watcher: &mut dyn Watcher,
) -> Result<Vec<String>, Error> {
    let locked_by = lock::acquire(client, patience)?;
    let result = up_under_lock(client, config, files, locked_by, watcher);
    match (result, lock::release(client)) {
        (Ok(applied), Err(error)) if !applied.is_empty() => Err(Error::Database(error.into())),
        (result, _) => result,
    }
}

fn up_under_lock(
    client: &mut Client,
    config: &Config,
    files: &[MigrationFile],
    locked_by: i32,
    watcher: &mut dyn Watcher,
) -> Result<Vec<String>, Error> {
    let mut session = Session::writing(client, config, locked_by);
    let status = compare(files, &session.applied()?)?;
    status.require_agreement()?;

    let is_pending =
        |file: &MigrationFile| status.in_state(State::Pending).any(|line| line.name == file.name());
    // All are read before the first is run: a slip in the last one costs nothing.
    let pending = files
        .iter()
        .filter(|file| is_pending(file))
        .map(|file| Ok((file, checked_script(file)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let all = files.iter().map(MigrationFile::for_refinery).collect::<Result<Vec<_>, _>>()?;

    let mut applied = Vec::new();
    for (file, script) in &pending {
        let name = file.name();
        watcher.starts(&name);
        let start = Instant::now();
        session.apply(&all, file, script)?;
        watcher.applied(&name, start.elapsed());
        applied.push(name);
    }
    Ok(applied)
}

fn checked_script(file: &MigrationFile) -> Result<Script, Error> {
    let script = file.script()?;
    if script.statements().is_empty() {
        return Err(file::Error::Empty { file: file.path.clone() }.into());
    }
    for statement in script.statements() {
        let (what, mend) = match &statement.node {
            Some(NodeEnum::TransactionStmt(_)) => (
                "a migration may not begin or end a transaction",
                "take the statement out: each migration runs in one transaction with its history row, and takes \
                 effect whole or not at all",
            ),
            Some(NodeEnum::CopyStmt(copy)) if copy.filename.is_empty() => (
                "a migration has no standard input or output to copy",
                "write rows as INSERT … VALUES, and take out what only shows them",
            ),
            _ => continue,
        };
        return Err(script.error_at(statement, what, mend).into());
    }
    Ok(script)
}
