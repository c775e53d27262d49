//! `percytech policies`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use owo_colors::OwoColorize;

use super::{Common, Failure, Format, LockWait, Outcome, POLICIES, connect, print_json};
use crate::config::Config;
use crate::output::{self, counted};
use crate::policies::{self, Declaration, Plan};
use crate::say;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the SQL that apply would run; exit 1 where there is any
    Diff {
        #[command(flatten)]
        declared: Declared,
    },
    /// Bring every brand table to what is declared, in one transaction
    Apply {
        #[command(flatten)]
        declared: Declared,
        #[command(flatten)]
        lock: LockWait,
    },
}

#[derive(Debug, Args)]
pub struct Declared {
    /// The policies
    #[arg(long, value_name = "DIR", default_value = POLICIES)]
    dir: PathBuf,
    /// Also remove policies and grants that are not declared
    #[arg(long)]
    prune: bool,
}

/// Does what is asked.
pub fn run(common: &Common, config: &Config, command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Diff { declared } => diff(common, config, declared),
        Command::Apply { declared, lock } => apply(common, config, declared, lock),
    }
}

fn diff(common: &Common, config: &Config, declared: &Declared) -> Result<Outcome, Failure> {
    let declaration = Declaration::read(&declared.dir)?;
    let mut client = connect(common, "percytech policies")?;
    let plan =
        output::busy("comparing", || policies::diff(&mut client, config, &declaration, declared.prune))?;
    match common.format {
        Format::Json => print_json(&plan)?,
        Format::Text => {
            for change in &plan.changes {
                say!("{};", change.sql);
            }
            print_undeclared(&plan);
            say!("-- {} to make on {} brand tables", counted(plan.changes.len(), "change"), plan.tables);
        }
    }
    Ok(Outcome::found(!plan.changes.is_empty()))
}

fn apply(common: &Common, config: &Config, declared: &Declared, lock: &LockWait) -> Result<Outcome, Failure> {
    let declaration = Declaration::read(&declared.dir)?;
    let mut client = connect(common, "percytech policies")?;
    let patience = lock.patience();
    let plan = output::busy("applying", || {
        policies::apply(&mut client, config, &declaration, declared.prune, patience)
    })?;
    match common.format {
        Format::Json => print_json(&plan)?,
        Format::Text => {
            for change in &plan.changes {
                say!("  {} {}", "✓".green(), change.sql);
            }
            print_undeclared(&plan);
            say!("{} made on {} brand tables", counted(plan.changes.len(), "change"), plan.tables);
        }
    }
    Ok(Outcome::Fine)
}

fn print_undeclared(plan: &Plan) {
    for change in &plan.undeclared {
        say!("-- not declared, and left as it is; --prune would run: {};", change.sql);
    }
}
