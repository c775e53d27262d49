//! `percytech demo`

use std::path::PathBuf;

use clap::Args;

use super::{Common, Failure, Format, MIGRATIONS, Outcome, POLICIES, print_json};
use crate::config::Config;
use crate::demo::{self, Options};
use crate::verify::Severity;
use crate::{interrupt, say};

#[derive(Debug, Args)]
pub struct Arguments {
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

pub fn run(common: &Common, config: &Config, arguments: &Arguments) -> Result<Outcome, Failure> {
    interrupt::handle().map_err(|error| miette::miette!("cannot handle signals: {error}"))?;
    let options = Options {
        migrations: &arguments.migrations,
        policies: &arguments.policies,
        keep: arguments.keep,
        quiet: common.format == Format::Json,
    };
    let outcome = demo::run(config, &options)?;
    match common.format {
        Format::Text => say!("{}", outcome.verification),
        Format::Json => print_json(&outcome)?,
    }
    Ok(Outcome::found(outcome.verification.has(Severity::Warning)))
}
