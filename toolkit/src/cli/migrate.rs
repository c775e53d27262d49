//! `percytech migrate`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use miette::Diagnostic;

use super::{Common, Failure, Format, LockWait, MIGRATIONS, Outcome, connect, print_json};
use crate::config::Config;
use crate::migrate::run::{Silent, Watcher};
use crate::migrate::status::{State, Status};
use crate::output::{self, MigrationSteps};
use crate::{migrate, say};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply every pending migration, each in one transaction
    Up {
        #[command(flatten)]
        files: Directory,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Show which migrations are applied, pending, edited, missing or out of order; exit 1 unless all are applied
    Status {
        #[command(flatten)]
        files: Directory,
    },
}

#[derive(Debug, Args)]
pub struct Directory {
    /// The migrations
    #[arg(long, value_name = "DIR", default_value = MIGRATIONS)]
    dir: PathBuf,
}

/// Does what is asked.
pub fn run(common: &Common, config: &Config, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Up { files, lock } => up(common, config, files, lock),
        Command::Status { files } => status(common, config, files),
    }
}

fn up(common: &Common, config: &Config, files: &Directory, lock: &LockWait) -> Result<Outcome, Failure> {
    let files = migrate::file::read_all(&files.dir).map_err(migrate::Error::from)?;
    let mut client = connect(common, "percytech migrate")?;
    let mut watcher: Box<dyn Watcher> = match common.format {
        Format::Text => Box::new(MigrationSteps::default()),
        Format::Json => Box::new(Silent),
    };
    let patience = lock.patience();
    let applied = migrate::up(&mut client, config, &files, patience, watcher.as_mut())?;
    match common.format {
        Format::Json => print_json(&serde_json::json!({ "applied": applied }))?,
        Format::Text if applied.is_empty() => {
            say!("nothing to apply: all {} migrations are applied", files.len());
        }
        Format::Text => {
            say!(
                "{} migrations applied; tables that are new are closed until percytech policies apply",
                applied.len()
            );
        }
    }
    Ok(Outcome::Fine)
}

fn status(common: &Common, config: &Config, files: &Directory) -> Result<Outcome, Failure> {
    let files = migrate::file::read_all(&files.dir).map_err(migrate::Error::from)?;
    let mut client = connect(common, "percytech migrate")?;
    let status = output::busy("reading the history", || migrate::status(&mut client, config, &files))?;
    match common.format {
        Format::Json => print_json(&status)?,
        Format::Text => print_status(&status),
    }
    Ok(Outcome::found(!status.is_clean()))
}

fn print_status(status: &Status) {
    let rows: Vec<_> = status
        .migrations
        .iter()
        .map(|line| {
            vec![
                line.name.clone(),
                state_word(line.state).to_owned(),
                line.applied_on.clone().unwrap_or_default(),
            ]
        })
        .collect();
    say!("{}", output::table(&["migration", "state", "applied (UTC)"], &rows));
    let counts: Vec<_> = [State::Applied, State::Pending, State::Edited, State::Missing, State::OutOfOrder]
        .into_iter()
        .map(|state| (status.in_state(state).count(), state_word(state)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    say!("{}", if counts.is_empty() { "no migrations".to_owned() } else { counts.join(", ") });
    if status.in_state(State::Pending).next().is_some() {
        say!("apply what is pending with: percytech migrate up");
    }
    if let Err(error) = status.require_agreement() {
        anstream::eprintln!("{error}");
        if let Some(help) = error.help() {
            anstream::eprintln!("{help}");
        }
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "pending",
        State::Edited => "edited since applied",
        State::Missing => "file is gone",
        State::OutOfOrder => "out of order",
    }
}
