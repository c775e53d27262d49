//! How refinery reaches the database through us: a migration and its history row are one transaction, run as the owner.

use std::fmt;

use postgres::{Client, Transaction};
use refinery_core::Migration;
use refinery_core::traits::sync::{self, Migrate, Query};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::file::{MigrationFile, RunAs};
use super::{Error, HISTORY_SCHEMA, HISTORY_TABLE};
use crate::config::Config;
use crate::database;
use crate::owner::{become_owner, pin_search_path};
use crate::script::Script;

/// A connection that holds the lock, and the migration that is to run next.
pub struct Session<'a> {
    client: &'a mut Client,
    config: &'a Config,
    locked_by: Option<i32>,
    next: Option<(&'a MigrationFile, &'a Script)>,
    failure: Option<Error>,
}

/// Tells refinery that it failed; why is kept in [`Session::failure`], whole.
#[derive(Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the migration failed")
    }
}

impl std::error::Error for Failed {}

impl<'a> Session<'a> {
    /// A session that reads the history.
    pub fn reading(client: &'a mut Client, config: &'a Config) -> Self {
        Self { client, config, locked_by: None, next: None, failure: None }
    }

    /// A session that applies migrations, under the lock that this server process holds.
    pub fn writing(client: &'a mut Client, config: &'a Config, locked_by: i32) -> Self {
        Self { client, config, locked_by: Some(locked_by), next: None, failure: None }
    }

    /// What is recorded as applied; nothing where no history is kept yet.
    pub fn applied(&mut self) -> Result<Vec<Migration>, Error> {
        self.get_applied_migrations(HISTORY_TABLE).map_err(|error| self.explain(&error))
    }

    /// Applies one migration, and records it.
    pub fn apply(
        &mut self,
        all: &[Migration],
        file: &'a MigrationFile,
        script: &'a Script,
    ) -> Result<(), Error> {
        self.next = Some((file, script));
        refinery_core::Runner::new(all)
            .set_grouped(true)
            .set_target(refinery_core::Target::Version(file.version.number()))
            .set_migration_table_name(HISTORY_TABLE)
            .run(self)
            .map(drop)
            .map_err(|error| self.explain(&error))
    }

    fn explain(&mut self, error: &refinery_core::Error) -> Error {
        self.failure.take().unwrap_or_else(|| Error::Engine(error.to_string()))
    }

    fn apply_in_one_transaction(&mut self, record: &str) -> Result<(), Error> {
        let Some((file, script)) = self.next.take() else {
            return Err(Error::Engine("it runs a migration that was not asked for".to_owned()));
        };
        let mut transaction = self.client.transaction().map_err(database::Error::from)?;
        let backend: i32 =
            transaction.query_one("select pg_backend_pid()", &[]).map_err(database::Error::from)?.get(0);
        if self.locked_by != Some(backend) {
            return Err(Error::Pooled);
        }
        pin_search_path(&mut transaction, self.config).map_err(database::Error::from)?;
        let owner = self.config.owner.as_deref();
        keep_history(&mut transaction, owner)?;
        if file.run_as == RunAs::Owner {
            become_owner(&mut transaction, self.config, &format!("running {}", file.path.display()))?;
        }
        script.run(&mut transaction)?;
        if file.run_as == RunAs::Invoker {
            // It may have been the one that creates the owner.
            keep_history(&mut transaction, owner)?;
        }
        transaction.batch_execute(record).map_err(database::Error::from)?;
        transaction.commit().map_err(database::Error::from)?;
        // What it leaves in the session, a context, a role or a temporary table, is not to reach the next one. Locks are
        // kept.
        for statement in ["reset session authorization", "reset role", "reset all", "discard temp"] {
            self.client.batch_execute(statement).map_err(database::Error::from)?;
        }
        Ok(())
    }

    fn read_history(&mut self, query: &str) -> Result<Vec<Migration>, Error> {
        let owner = self.config.owner.as_deref();
        let state = self
            .client
            .query_one(include_str!("history_state.sql"), &[&HISTORY_TABLE, &owner, &HISTORY_SCHEMA])
            .map_err(database::Error::from)?;
        if state.get("is_foreign") {
            return Err(Error::ForeignHistory);
        }
        if !state.get::<_, bool>("is_kept") {
            return Ok(Vec::new());
        }
        let rows = self.client.query(query, &[]).map_err(database::Error::from)?;
        rows.iter().map(recorded).collect()
    }

    fn keep_failure<T>(&mut self, result: Result<T, Error>) -> Result<T, Failed> {
        result.map_err(|error| {
            self.failure = Some(error);
            Failed
        })
    }
}

impl sync::Transaction for Session<'_> {
    type Error = Failed;

    fn execute<'q, T: Iterator<Item = &'q str>>(&mut self, queries: T) -> Result<usize, Failed> {
        // Refinery passes the migration, which we run statement by statement, and the statement that records it.
        let result = match queries.collect::<Vec<_>>()[..] {
            [] => Ok(()),
            [_, record] => self.apply_in_one_transaction(record),
            _ => Err(Error::Engine("it runs several migrations at once".to_owned())),
        };
        self.keep_failure(result).map(|()| 2)
    }
}

impl Query<Vec<Migration>> for Session<'_> {
    fn query(&mut self, query: &str) -> Result<Vec<Migration>, Failed> {
        let result = self.read_history(query);
        self.keep_failure(result)
    }
}

impl Migrate for Session<'_> {
    /// The history table comes with the first migration that succeeds, in its transaction: one that fails leaves
    /// nothing behind.
    fn assert_migrations_table(&mut self, _: &str) -> Result<usize, refinery_core::Error> {
        Ok(0)
    }
}

/// Makes the history table where there is none, and gives it to the owner once that can be done.
fn keep_history(transaction: &mut Transaction<'_>, owner: Option<&str>) -> Result<(), Error> {
    let state = transaction
        .query_one(include_str!("history_state.sql"), &[&HISTORY_TABLE, &owner, &HISTORY_SCHEMA])
        .map_err(database::Error::from)?;
    if state.get("is_foreign") {
        return Err(Error::ForeignHistory);
    }
    make_history(transaction, owner, state.get("is_kept"), state.get("is_owners"), state.get("can_be_given"))
        .map_err(|error| database::Error::from(error).into())
}

fn make_history(
    transaction: &mut Transaction<'_>,
    owner: Option<&str>,
    is_kept: bool,
    is_owners: bool,
    can_be_given: bool,
) -> Result<(), postgres::Error> {
    if !is_kept {
        transaction.batch_execute(&format!("create schema if not exists {HISTORY_SCHEMA}"))?;
        transaction.batch_execute(&Session::assert_migrations_table_query(HISTORY_TABLE))?;
        transaction.batch_execute(&format!(
            "comment on table {HISTORY_TABLE} is 'The migrations that percytech migrate has applied, by refinery.'"
        ))?;
    }
    if let Some(owner) = owner.filter(|_| can_be_given && !is_owners) {
        let owner = postgres_protocol::escape::escape_identifier(owner);
        transaction.batch_execute(&format!("alter schema {HISTORY_SCHEMA} owner to {owner}"))?;
        transaction.batch_execute(&format!("alter table {HISTORY_TABLE} owner to {owner}"))?;
    }
    Ok(())
}

fn recorded(row: &postgres::Row) -> Result<Migration, Error> {
    let read = || -> Option<Migration> {
        let applied_on: String = row.try_get(2).ok()?;
        let checksum: String = row.try_get(3).ok()?;
        Some(Migration::applied(
            row.try_get(0).ok()?,
            row.try_get(1).ok()?,
            OffsetDateTime::parse(&applied_on, &Rfc3339).ok()?,
            checksum.parse().ok()?,
        ))
    };
    read().ok_or_else(|| Error::Engine(format!("a row of {HISTORY_TABLE} is not as the engine writes it")))
}
