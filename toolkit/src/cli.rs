//! The command line: what is asked, what is answered, and the exit code.

mod demo;
mod migrate;
mod policies;
mod report;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstream::eprintln;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use miette::Diagnostic;
use postgres::Client;
use serde::Serialize;

use crate::config::Config;
use crate::{database, interrupt, say};

/// Keeps the brands of one PostgreSQL database apart, and proves it.
///
/// Exit codes: 0 all is well; 1 findings, or work that is pending; 2 it could not be done; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "percytech", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or 'host=… user=… dbname=…'
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// The settings; without this, percytech.toml in this directory, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For people, or for programs; a report can be a page
    #[arg(long = "format", global = true, value_enum, value_name = "FORMAT")]
    asked_format: Option<AskedFormat>,
    /// What was asked for, where the command has these two alone.
    #[arg(skip)]
    format: Format,
}

/// What can be asked for. Not every command has every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AskedFormat {
    /// For people; where nothing else is asked for
    Text,
    /// For programs
    Json,
    /// A page: for percytech report
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what this does, on a private server that is gone afterwards
    Demo(demo::Arguments),
    /// Apply dated migrations, and see which are applied
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Reconcile the row level security policies with the declared ones
    #[command(subcommand)]
    Policies(policies::Command),
    /// Show how the customers of a brand come, subscribe and stay
    Report(report::Arguments),
    /// Find every way in which brands are not kept apart
    Verify(verify::Arguments),
}

#[derive(Debug, Args)]
struct LockWait {
    /// How long to wait while another run is at work
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    lock_wait: u64,
}

impl LockWait {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.lock_wait)
    }
}

const MIGRATIONS: &str = "sql/migrations";
const POLICIES: &str = "sql/policies";

/// How a command ended that could do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    Findings,
}

impl Outcome {
    fn found(found: bool) -> Self {
        if found { Self::Findings } else { Self::Fine }
    }
}

/// Runs the command of this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = parse();
    let result = execute(&cli);
    if interrupt::is_interrupted() {
        eprintln!("interrupted; nothing is left behind");
        return ExitCode::from(interrupt::EXIT_CODE);
    }
    match result {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) => {
            report(error.as_ref(), cli.common.format);
            ExitCode::from(2)
        }
    }
}

fn parse() -> Cli {
    let mut cli = Cli::parse();
    cli.common.format = match cli.common.asked_format {
        Some(AskedFormat::Json) => Format::Json,
        None | Some(AskedFormat::Text | AskedFormat::Html) => Format::Text,
    };
    if cli.common.asked_format == Some(AskedFormat::Html) && !matches!(cli.command, Command::Report(_)) {
        Cli::command()
            .error(
                ErrorKind::InvalidValue,
                "--format html is for percytech report; here there are text and json",
            )
            .exit();
    }
    cli
}

type Failure = Box<dyn Diagnostic + Send + Sync>;

fn execute(cli: &Cli) -> Result<Outcome, Failure> {
    let common = &cli.common;
    let config = Config::load(common.config.as_deref())?;
    match &cli.command {
        Command::Demo(arguments) => demo::run(common, &config, arguments),
        Command::Migrate(command) => migrate::run(common, &config, command),
        Command::Policies(command) => policies::run(common, &config, command),
        Command::Report(arguments) => report::run(common, arguments),
        Command::Verify(arguments) => verify::run(common, &config, arguments),
    }
}

fn connect(common: &Common, purpose: &str) -> Result<Client, database::Error> {
    database::connect(common.database_url.as_deref(), purpose)
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| miette::miette!("the answer cannot be written as JSON: {error}"))?;
    say!("{text}");
    Ok(())
}

/// An error, on standard error: what happened, to what, and what to do.
fn report(error: &(dyn Diagnostic + Send + Sync), format: Format) {
    let mut text = String::new();
    let written = match format {
        Format::Json => miette::JSONReportHandler::new().render_report(&mut text, error),
        Format::Text => report_handler().render_report(&mut text, error),
    };
    match written {
        Ok(()) => eprintln!("{}", text.trim_end()),
        Err(_) => eprintln!("{error}"),
    }
}

fn report_handler() -> miette::GraphicalReportHandler {
    use std::io::IsTerminal;

    let theme = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    miette::GraphicalReportHandler::new_themed(theme).without_cause_chain().with_wrap_lines(false)
}
