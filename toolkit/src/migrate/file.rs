//! Migration files: `YYYY-MM-DD-description.sql`, and `YYYY-MM-DD-NN-description.sql` for the second and later of a day.
//!
//! What comes before a line `-- rollback` is applied; what comes after takes it back. A line `-- as-invoker: reason` in
//! the comment at the top has it run as the user who runs the migrations, not as the owner of the schema.

use std::fmt;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use miette::Diagnostic;
use refinery_core::Migration;

use crate::script::{Script, comment_at_top};

/// Why a file is no migration.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The directory is not there, or not readable.
    #[error("cannot read the migrations in {}: {source}", directory.display())]
    #[diagnostic(help("run this where sql/migrations is, or name the directory with --dir"))]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not readable, or not UTF-8.
    #[error("cannot read {}: {source}", file.display())]
    #[diagnostic(help("a migration is a readable text file in UTF-8"))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The name does not tell date and description.
    #[error("{}: {why}", file.display())]
    #[diagnostic(help(
        "name it YYYY-MM-DD-description.sql, or YYYY-MM-DD-NN-description.sql for the second (02) and later of a day; \
         the description is of a-z, 0-9 and hyphens"
    ))]
    Name {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// Two files claim the same place.
    #[error("{} and {} have the same version", first.display(), second.display())]
    #[diagnostic(help(
        "give the one that is to run later the next number of the day, as in 2026-11-22-02-description.sql"
    ))]
    SameVersion {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A line is almost one that says how to run the migration.
    #[error("{}:{line}: {found:?} is almost {meant:?}", file.display())]
    #[diagnostic(help(
        "write it to the letter, or say something else: taken for a comment, it would have what follows run"
    ))]
    Marker {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        found: String,
        /// What it should say.
        meant: &'static str,
    },
    /// A carriage return stands alone.
    #[error("{}:{line}: a carriage return ends no line", file.display())]
    #[diagnostic(help("end lines with LF, or with CR and LF; within a string, write E'\\r'"))]
    CarriageReturn {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is no migration at all.
    #[error("there is no migration in {}", directory.display())]
    #[diagnostic(help("name the directory with --dir; a migration is called YYYY-MM-DD-description.sql"))]
    Nothing {
        /// The directory.
        directory: PathBuf,
    },
    /// There is nothing to apply.
    #[error("{} has no statement before its rollback part", file.display())]
    #[diagnostic(help("write the change above the line -- rollback, or remove the file"))]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

/// The place of a migration among all: date, and number within the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i32);

impl Version {
    /// `YYYYMMDDNN`, which refinery records. It fits 32 bits until the end of the year 2147.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// The version that refinery recorded.
    #[must_use]
    pub fn recorded(number: i32) -> Self {
        Self(number)
    }

    fn new(date: NaiveDate, number: u8) -> Option<Self> {
        format!("{}{number:02}", date.format("%Y%m%d")).parse().ok().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, number) = (self.0 / 100, self.0 % 100);
        write!(f, "{:04}-{:02}-{:02}", date / 10_000, date / 100 % 100, date % 100)?;
        if number > 1 { write!(f, "-{number:02}") } else { Ok(()) }
    }
}

/// As whom a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// The role that owns the schema.
    Owner,
    /// Whoever runs the migrations: for what the owner may not do.
    Invoker,
}

/// A migration as it stands in its file.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// The file.
    pub path: PathBuf,
    /// Its place among all.
    pub version: Version,
    /// What it does, in words with hyphens.
    pub description: String,
    /// As whom it runs.
    pub run_as: RunAs,
    /// The part that is applied; it starts where the file starts, so that lines are counted alike.
    pub up: String,
    /// The part that takes it back, where there is one.
    pub rollback: Option<String>,
}

impl MigrationFile {
    /// The file's name, without directory and ending.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The statements to apply.
    pub fn script(&self) -> Result<Script, Box<crate::script::Error>> {
        Script::parse(&self.path, &self.up)
    }

    /// What refinery calls it. Its names have no hyphens: it would cut them short there.
    pub fn for_refinery(&self) -> Result<Migration, Error> {
        let name = format!("V{}__{}", self.version.number(), self.description.replace('-', "_"));
        Migration::unapplied(&name, &self.up)
            .map_err(|_| self.misnamed("the name does not fit the migration engine"))
    }

    fn misnamed(&self, why: &'static str) -> Error {
        Error::Name { file: self.path.clone(), why }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let (version, description) = parse_name(path)?;
        // A checkout that turns LF into CRLF has not edited the migration.
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        if let Some(at) = text.find('\r') {
            // SQL takes it for the end of a line, and so of a comment; we would not see the marker behind it.
            let line = text[..at].matches('\n').count() + 1;
            return Err(Error::CarriageReturn { file: path.to_path_buf(), line });
        }
        refuse_near_markers(path, &text)?;
        let (up, rollback) = split_rollback(&text);
        let is_invokers = comment_at_top(&up).any(|line| line.starts_with(AS_INVOKER));
        let run_as = if is_invokers { RunAs::Invoker } else { RunAs::Owner };
        Ok(Self { path: path.to_path_buf(), version, description, run_as, up, rollback })
    }
}

/// All migrations of a directory, in their order. What does not end in `.sql` is passed over.
pub fn read_all(directory: &Path) -> Result<Vec<MigrationFile>, Error> {
    let in_directory = |source| Error::Directory { directory: directory.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(in_directory)? {
        let path = entry.map_err(in_directory)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let ends_in_sql = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
        if hidden || path.is_dir() || !ends_in_sql {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|source| Error::Unreadable { file: path.clone(), source })?;
        files.push(MigrationFile::parse(&path, &text)?);
    }
    if files.is_empty() {
        return Err(Error::Nothing { directory: directory.to_path_buf() });
    }
    files.sort_by(|left, right| (left.version, &left.path).cmp(&(right.version, &right.path)));
    match files.windows(2).find(|pair| pair[0].version == pair[1].version) {
        None => Ok(files),
        Some(pair) => Err(Error::SameVersion { first: pair[0].path.clone(), second: pair[1].path.clone() }),
    }
}

fn parse_name(path: &Path) -> Result<(Version, String), Error> {
    let misnamed = |why| Error::Name { file: path.to_path_buf(), why };
    if path.extension().is_none_or(|ending| ending != "sql") {
        return Err(misnamed("it does not end in .sql, in lower case"));
    }
    let stem =
        path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| misnamed("the name is not UTF-8"))?;
    let (Some(date), Some(rest)) = (stem.get(..10), stem.get(10..)) else {
        return Err(misnamed("the name does not start with a date"));
    };
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d")
        .ok()
        .filter(|parsed| parsed.to_string() == date)
        .ok_or_else(|| misnamed("the name does not start with a date"))?;
    let rest = rest.strip_prefix('-').ok_or_else(|| misnamed("no hyphen follows the date"))?;
    let numbered = rest
        .split_once('-')
        .filter(|(number, _)| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()));
    let (number, description) = match numbered {
        Some((number, description)) => (number.parse().unwrap_or(0), description),
        None => (1, rest),
    };
    if number == 0 {
        return Err(misnamed("the numbers of a day start at 01"));
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if description.is_empty() || !description.bytes().all(fits) {
        return Err(misnamed("the description is empty, or has other characters than a-z, 0-9 and hyphens"));
    }
    let version = Version::new(date, number).ok_or_else(|| misnamed("the date is after the year 2147"))?;
    Ok((version, description.to_owned()))
}

const ROLLBACK: &str = "-- rollback";
const AS_INVOKER: &str = "-- as-invoker: ";

fn split_rollback(text: &str) -> (String, Option<String>) {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == ROLLBACK {
            return (text[..offset].to_owned(), Some(text[offset + line.len()..].to_owned()));
        }
        offset += line.len();
    }
    (text.to_owned(), None)
}

/// Refuses a comment that means a marker and is none: after `-- Rollback`, the way back would be part of the way there.
fn refuse_near_markers(path: &Path, text: &str) -> Result<(), Error> {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let top = comment_at_top(text).count();
    for (index, line) in text.lines().enumerate() {
        let comment = line.trim_start();
        if !comment.starts_with("--") && !comment.starts_with("/*") {
            continue;
        }
        let (head, reason) = comment.split_once(':').unwrap_or((comment, ""));
        let is_invokers = index < top && line.starts_with(AS_INVOKER) && !reason.trim().is_empty();
        let meant = match letters(head).as_str() {
            "rollback" | "down" | "undo" | "goosedown"
                if letters(reason).is_empty() && line.trim_end() != ROLLBACK =>
            {
                ROLLBACK
            }
            "migrate" if letters(reason) == "down" => ROLLBACK,
            "asinvoker" if !is_invokers => "-- as-invoker: reason, in the comment at the top",
            _ => continue,
        };
        return Err(Error::Marker {
            file: path.to_path_buf(),
            line: index + 1,
            found: line.to_owned(),
            meant,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<(i32, String), Error> {
        parse_name(Path::new(name)).map(|(version, description)| (version.number(), description))
    }

    #[test]
    fn a_name_tells_version_and_description() {
        assert_eq!(named("2026-11-22-roles.sql").unwrap(), (2_026_112_201, "roles".into()));
        assert_eq!(named("2026-11-22-02-add-tags.sql").unwrap(), (2_026_112_202, "add-tags".into()));
        assert_eq!(named("2026-11-22-3d-models.sql").unwrap(), (2_026_112_201, "3d-models".into()));
        assert_eq!(named("2147-12-31-99-last.sql").unwrap(), (2_147_123_199, "last".into()));
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        for name in [
            "roles.sql",
            "2026-11-22-roles.SQL",
            "V1__roles.sql",
            "2026-11-22.sql",
            "2026-11-22-.sql",
            "2026-11-22-00-roles.sql",
            "2026-11-22-02-.sql",
            "2026-13-01-roles.sql",
            "2026-02-30-roles.sql",
            "2026-1-2-roles.sql",
            "20261122-roles.sql",
            "2026-11-22_roles.sql",
            "2026-11-22-Roles.sql",
            "2026-11-22-add roles.sql",
            "2026-11-22-größe.sql",
            "2148-01-01-too-late.sql",
            "äöü-2026-11-22.sql",
        ] {
            assert!(matches!(named(name), Err(Error::Name { .. })), "{name}");
        }
    }

    #[test]
    fn a_version_reads_as_in_the_file_name() {
        assert_eq!(Version::recorded(2_026_112_201).to_string(), "2026-11-22");
        assert_eq!(Version::recorded(2_026_112_214).to_string(), "2026-11-22-14");
    }

    #[test]
    fn the_rollback_part_is_not_applied() {
        let file = MigrationFile::parse(
            Path::new("2026-11-22-x.sql"),
            "select 1;\n-- rollback of sorts\n-- rollback  \nselect 2;\n",
        )
        .unwrap();
        assert_eq!(file.up, "select 1;\n-- rollback of sorts\n");
        assert_eq!(file.rollback.as_deref(), Some("select 2;\n"));
    }

    #[test]
    fn line_endings_and_the_rollback_part_do_not_change_the_checksum() {
        let checksum = |text: &str| {
            let file = MigrationFile::parse(Path::new("2026-11-22-x.sql"), text).unwrap();
            file.for_refinery().unwrap().checksum()
        };
        let plain = checksum("select 1;\nselect 2;\n-- rollback\n");
        assert_eq!(plain, checksum("\u{feff}select 1;\r\nselect 2;\r\n-- rollback\r\nselect 3;\r\n"));
        assert_ne!(plain, checksum("select 1;\nselect 3;\n-- rollback\n"));
    }

    #[test]
    fn a_comment_that_is_almost_a_marker_is_refused() {
        let refused = |text: &str| {
            let parsed = MigrationFile::parse(Path::new("2026-11-22-x.sql"), text);
            matches!(parsed, Err(Error::Marker { line: 2, .. }))
        };
        for line in [
            "-- Rollback",
            "--rollback",
            " -- rollback",
            "-- rollback:",
            "-- ROLLBACK ",
            "--  rollback",
            "-- as-invoker:",
            "-- As-Invoker: x",
            "--as-invoker: x",
            "-- as-invoker",
            "--- rollback",
            "-- rollback;",
            "-- rollback.",
            "-- roll back",
            "-- == rollback ==",
            "/* rollback */",
            "-- down",
            "-- migrate:down",
            "-- +goose Down",
            "-- @UNDO",
            "  -- as-invoker: in a body",
        ] {
            assert!(refused(&format!("select 1;\n{line}\nselect 2;\n")), "{line}");
        }
        for line in [
            "-- rollback",
            "-- rollback  ",
            "-- as-invoker: creates roles",
            "-- a rollback is below",
            "-- rollback is easy",
            "-- rollback: that is easy",
        ] {
            assert!(!refused(&format!("-- top\n{line}\nselect 2;\n")), "{line}");
        }
    }

    #[test]
    fn a_carriage_return_that_ends_no_line_is_refused() {
        let parsed = MigrationFile::parse(
            Path::new("2026-11-22-x.sql"),
            "select 1;\n-- a\r-- rollback\rdrop table t;\n",
        );
        assert!(matches!(parsed, Err(Error::CarriageReturn { line: 2, .. })));
    }

    #[test]
    fn who_runs_it_is_said_in_a_line_of_its_own() {
        let run_as = |text: &str| MigrationFile::parse(Path::new("2026-11-22-x.sql"), text).unwrap().run_as;
        assert_eq!(run_as("-- as-invoker: creates roles\nselect 1;"), RunAs::Invoker);
        assert_eq!(run_as("-- top\n\n-- as-invoker: creates roles\nselect 1;"), RunAs::Invoker);
        assert_eq!(run_as("select '-- as-invoker: x';"), RunAs::Owner);
    }
}
