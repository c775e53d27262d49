//! The command line: what is asked, what is answered, and the exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstream::{eprintln, println};
use clap::{Args, Parser, Subcommand, ValueEnum};
use miette::Diagnostic;
use owo_colors::OwoColorize;
use postgres::Client;
use serde::Serialize;

use crate::config::Config;
use crate::migrate::run::{Silent, Watcher};
use crate::migrate::status::{State, Status};
use crate::output::MigrationSteps;
use crate::policies::{Declaration, Plan};
use crate::verify::{Severity, rules};
use crate::{database, demo, interrupt, migrate, output, policies, verify};

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
    /// For people, or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what this does, on a private server that is gone afterwards
    Demo(DemoArgs),
    /// Apply dated migrations, and see which are applied
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Reconcile the row level security policies with the declared ones
    #[command(subcommand)]
    Policies(PoliciesCommand),
    /// Find every way in which brands are not kept apart
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Leave the server running, and tell how to connect
    #[arg(long)]
    keep: bool,
    /// The migrations
    #[arg(long, value_name = "DIR", default_value = MIGRATIONS)]
    migrations: PathBuf,
    /// The policies
    #[arg(long, value_name = "DIR", default_value = POLICIES)]
    policies: PathBuf,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Apply every pending migration, each in one transaction
    Up {
        #[command(flatten)]
        files: MigrationDirectory,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Show which migrations are applied, pending, edited, missing or out of order; exit 1 unless all are applied
    Status {
        #[command(flatten)]
        files: MigrationDirectory,
    },
}

#[derive(Debug, Args)]
struct MigrationDirectory {
    /// The migrations
    #[arg(long, value_name = "DIR", default_value = MIGRATIONS)]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct LockWait {
    /// How long to wait while another run is at work
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    lock_wait: u64,
}

#[derive(Debug, Subcommand)]
enum PoliciesCommand {
    /// Print the SQL that apply would run; exit 1 where there is any
    Diff {
        #[command(flatten)]
        declared: PolicyDirectory,
    },
    /// Bring every brand table to what is declared, in one transaction
    Apply {
        #[command(flatten)]
        declared: PolicyDirectory,
        #[command(flatten)]
        lock: LockWait,
    },
}

#[derive(Debug, Args)]
struct PolicyDirectory {
    /// The policies
    #[arg(long, value_name = "DIR", default_value = POLICIES)]
    dir: PathBuf,
    /// Also remove policies and grants that are not declared
    #[arg(long)]
    prune: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Severity::Warning)]
    fail_on: Severity,
    /// Explain a rule, or all of them, and verify nothing
    #[arg(long, value_name = "RULE", num_args = 0..=1, default_missing_value = "")]
    explain: Option<String>,
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
    let cli = Cli::parse();
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

type Failure = Box<dyn Diagnostic + Send + Sync>;

fn execute(cli: &Cli) -> Result<Outcome, Failure> {
    let common = &cli.common;
    let config = Config::load(common.config.as_deref())?;
    match &cli.command {
        Command::Demo(arguments) => demonstrate(common, &config, arguments),
        Command::Migrate(MigrateCommand::Up { files, lock }) => migrate_up(common, &config, files, lock),
        Command::Migrate(MigrateCommand::Status { files }) => migrate_status(common, &config, files),
        Command::Policies(PoliciesCommand::Diff { declared }) => policies_diff(common, &config, declared),
        Command::Policies(PoliciesCommand::Apply { declared, lock }) => {
            policies_apply(common, &config, declared, lock)
        }
        Command::Verify(VerifyArgs { explain: Some(rule), .. }) => explain(rule),
        Command::Verify(arguments) => verify_database(common, &config, arguments),
    }
}

fn demonstrate(common: &Common, config: &Config, arguments: &DemoArgs) -> Result<Outcome, Failure> {
    interrupt::handle().map_err(|error| miette::miette!("cannot handle signals: {error}"))?;
    let options = demo::Options {
        migrations: &arguments.migrations,
        policies: &arguments.policies,
        keep: arguments.keep,
        quiet: common.format == Format::Json,
    };
    let outcome = demo::run(config, &options)?;
    match common.format {
        Format::Text => println!("{}", outcome.verification),
        Format::Json => print_json(&outcome)?,
    }
    Ok(Outcome::found(outcome.verification.has(Severity::Warning)))
}

fn migrate_up(
    common: &Common,
    config: &Config,
    files: &MigrationDirectory,
    lock: &LockWait,
) -> Result<Outcome, Failure> {
    let files = migrate::file::read_all(&files.dir).map_err(migrate::Error::from)?;
    let mut client = connect(common, "percytech migrate")?;
    let mut watcher: Box<dyn Watcher> = match common.format {
        Format::Text => Box::new(MigrationSteps::default()),
        Format::Json => Box::new(Silent),
    };
    let patience = Duration::from_secs(lock.lock_wait);
    let applied = migrate::up(&mut client, config, &files, patience, watcher.as_mut())?;
    match common.format {
        Format::Json => print_json(&serde_json::json!({ "applied": applied }))?,
        Format::Text if applied.is_empty() => {
            println!("nothing to apply: all {} migrations are applied", files.len());
        }
        Format::Text => {
            println!(
                "{} migrations applied; tables that are new are closed until percytech policies apply",
                applied.len()
            );
        }
    }
    Ok(Outcome::Fine)
}

fn migrate_status(common: &Common, config: &Config, files: &MigrationDirectory) -> Result<Outcome, Failure> {
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
    println!("{}", output::table(&["migration", "state", "applied (UTC)"], &rows));
    let counts: Vec<_> = [State::Applied, State::Pending, State::Edited, State::Missing, State::OutOfOrder]
        .into_iter()
        .map(|state| (status.in_state(state).count(), state_word(state)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    println!("{}", if counts.is_empty() { "no migrations".to_owned() } else { counts.join(", ") });
    if status.in_state(State::Pending).next().is_some() {
        println!("apply what is pending with: percytech migrate up");
    }
    if let Err(error) = status.require_agreement() {
        eprintln!("{error}");
        if let Some(help) = error.help() {
            eprintln!("{help}");
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

fn policies_diff(common: &Common, config: &Config, declared: &PolicyDirectory) -> Result<Outcome, Failure> {
    let declaration = Declaration::read(&declared.dir)?;
    let mut client = connect(common, "percytech policies")?;
    let plan =
        output::busy("comparing", || policies::diff(&mut client, config, &declaration, declared.prune))?;
    match common.format {
        Format::Json => print_json(&plan)?,
        Format::Text => {
            for change in &plan.changes {
                println!("{};", change.sql);
            }
            print_undeclared(&plan);
            println!("-- {} to make on {} brand tables", counted(plan.changes.len(), "change"), plan.tables);
        }
    }
    Ok(Outcome::found(!plan.changes.is_empty()))
}

fn policies_apply(
    common: &Common,
    config: &Config,
    declared: &PolicyDirectory,
    lock: &LockWait,
) -> Result<Outcome, Failure> {
    let declaration = Declaration::read(&declared.dir)?;
    let mut client = connect(common, "percytech policies")?;
    let patience = Duration::from_secs(lock.lock_wait);
    let plan = output::busy("applying", || {
        policies::apply(&mut client, config, &declaration, declared.prune, patience)
    })?;
    match common.format {
        Format::Json => print_json(&plan)?,
        Format::Text => {
            for change in &plan.changes {
                println!("  {} {}", "✓".green(), change.sql);
            }
            print_undeclared(&plan);
            println!("{} made on {} brand tables", counted(plan.changes.len(), "change"), plan.tables);
        }
    }
    Ok(Outcome::Fine)
}

fn print_undeclared(plan: &Plan) {
    for change in &plan.undeclared {
        println!("-- not declared, and left as it is; --prune would run: {};", change.sql);
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn verify_database(common: &Common, config: &Config, arguments: &VerifyArgs) -> Result<Outcome, Failure> {
    let mut client = connect(common, "percytech verify")?;
    let report = output::busy("reading the catalog", || verify::verify(&mut client, config))?;
    match common.format {
        Format::Json => print_json(&report)?,
        Format::Text => println!("{report}"),
    }
    Ok(Outcome::found(report.has(arguments.fail_on)))
}

fn explain(name: &str) -> Result<Outcome, Failure> {
    let rules: Vec<_> = rules::ALL.iter().filter(|rule| name.is_empty() || rule.id == name).collect();
    if rules.is_empty() {
        let known = rules::ALL.iter().map(|rule| rule.id).collect::<Vec<_>>().join(", ");
        return Err(
            miette::miette!(help = format!("the rules are: {known}"), "there is no rule {name}").into()
        );
    }
    for rule in rules {
        println!(
            "{} ({})\n  {}\n  {}\n",
            rule.id.bold(),
            rule.severity.word(),
            rule.summary,
            rule.why.dimmed()
        );
        if !name.is_empty() {
            println!("It objects to:\n{}\n\nand not to:\n{}", outdent(rule.violation), outdent(rule.clean));
        }
    }
    Ok(Outcome::Fine)
}

fn outdent(sql: &str) -> String {
    let mut depth = 0;
    let lines = sql.lines().map(|line| {
        let text = line.trim_start();
        let indent = if depth > 0 { "    " } else { "  " };
        depth = i32::from(!text.ends_with(';'));
        format!("{indent}{text}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn connect(common: &Common, purpose: &str) -> Result<Client, database::Error> {
    database::connect(common.database_url.as_deref(), purpose)
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| miette::miette!("the answer cannot be written as JSON: {error}"))?;
    println!("{text}");
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
