//! How the files and the history of a database compare.

use std::collections::BTreeMap;

use postgres::Client;
use refinery_core::Migration;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::Error;
use super::file::{MigrationFile, Version};
use super::session::Session;
use crate::config::Config;

/// How a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was applied as it is in its file.
    Applied,
    /// It will be applied next.
    Pending,
    /// It was applied, and its file was changed or renamed since.
    Edited,
    /// It was applied, and its file is gone.
    Missing,
    /// It is not applied, but one that sorts after it is.
    OutOfOrder,
}

/// One migration.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The place, as in the file name.
    pub version: String,
    /// The file's name without ending, or the recorded name where there is no file.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// When it was applied (RFC 3339, UTC).
    pub applied_on: Option<String>,
}

/// All migrations, in their order.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// One line for each.
    pub migrations: Vec<Line>,
}

impl Status {
    /// Those in one state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &Line> {
        self.migrations.iter().filter(move |line| line.state == state)
    }

    /// Whether every file is applied, and as it is now.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.migrations.iter().all(|line| line.state == State::Applied)
    }

    /// Refuses to go on where files and history do not agree.
    pub fn require_agreement(&self) -> Result<(), Error> {
        let describe = |line: &Line, what: &str| format!("{} ({what})", line.name);
        let diverged: Vec<_> = self
            .in_state(State::Edited)
            .map(|line| describe(line, "edited"))
            .chain(self.in_state(State::Missing).map(|line| describe(line, "its file is gone")))
            .collect();
        if !diverged.is_empty() {
            return Err(Error::Diverged { names: diverged });
        }
        let late: Vec<_> = self.in_state(State::OutOfOrder).map(|line| line.name.clone()).collect();
        if late.is_empty() {
            return Ok(());
        }
        let after = self.in_state(State::Applied).last().map(|line| line.name.clone()).unwrap_or_default();
        Err(Error::OutOfOrder { names: late, after })
    }
}

/// Compares the files with what the database has recorded.
pub fn status(client: &mut Client, config: &Config, files: &[MigrationFile]) -> Result<Status, Error> {
    let applied = Session::reading(client, config).applied()?;
    compare(files, &applied)
}

pub(super) fn compare(files: &[MigrationFile], applied: &[Migration]) -> Result<Status, Error> {
    let newest = applied.iter().map(Migration::version).max();
    let mut lines = BTreeMap::new();
    for record in applied {
        lines.insert(
            Version::recorded(record.version()),
            line(record, record.name().replace('_', "-"), State::Missing),
        );
    }
    for file in files {
        let migration = file.for_refinery()?;
        let record = applied.iter().find(|record| record.version() == migration.version());
        let (migration, state) = match record {
            Some(record) if *record == migration => (record.clone(), State::Applied),
            Some(record) => (record.clone(), State::Edited),
            None if newest > Some(migration.version()) => (migration, State::OutOfOrder),
            None => (migration, State::Pending),
        };
        lines.insert(file.version, line(&migration, file.name(), state));
    }
    Ok(Status { migrations: lines.into_values().collect() })
}

fn line(migration: &Migration, name: String, state: State) -> Line {
    Line {
        version: Version::recorded(migration.version()).to_string(),
        name,
        state,
        applied_on: migration
            .applied_on()
            .and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::migrate::file::RunAs;

    fn file(number: i32, sql: &str) -> MigrationFile {
        let version = Version::recorded(number);
        MigrationFile {
            path: format!("{version}-x.sql").into(),
            version,
            description: "x".into(),
            run_as: RunAs::Owner,
            up: sql.into(),
            rollback: None,
        }
    }

    fn applied(file: &MigrationFile) -> Migration {
        let migration = file.for_refinery().unwrap();
        Migration::applied(
            migration.version(),
            migration.name().into(),
            OffsetDateTime::UNIX_EPOCH,
            migration.checksum(),
        )
    }

    fn states(files: &[MigrationFile], applied: &[Migration]) -> Vec<State> {
        compare(files, applied).unwrap().migrations.iter().map(|line| line.state).collect()
    }

    #[test]
    fn each_way_to_differ_has_its_state() {
        let (one, two, three) =
            (file(2_026_010_101, "1"), file(2_026_010_201, "2"), file(2_026_010_301, "3"));
        let edited = file(2_026_010_101, "1 edited");
        let all = [one.clone(), two.clone(), three.clone()];

        assert_eq!(states(&all, &[]), [State::Pending; 3]);
        assert_eq!(states(&all, &[applied(&one)]), [State::Applied, State::Pending, State::Pending]);
        assert_eq!(states(&all, &[applied(&two)]), [State::OutOfOrder, State::Applied, State::Pending]);
        assert_eq!(states(&[edited], &[applied(&one)]), [State::Edited]);
        assert_eq!(
            states(std::slice::from_ref(&two), &[applied(&one), applied(&two)]),
            [State::Missing, State::Applied]
        );
    }

    #[test]
    fn disagreement_is_refused_by_name() {
        let (one, two) = (file(2_026_010_101, "1"), file(2_026_010_201, "2"));
        let gone = compare(&[], &[applied(&one)]).unwrap().require_agreement().unwrap_err();
        assert_eq!(gone.to_string(), "1 applied migration is no longer as applied: x (its file is gone)");
        let late = compare(&[one, two.clone()], &[applied(&two)]).unwrap().require_agreement().unwrap_err();
        assert_eq!(late.to_string(), "2026-01-01-x would come before 2026-01-02-x, which is applied");
    }
}
