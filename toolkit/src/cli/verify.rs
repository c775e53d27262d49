//! `percytech verify`

use clap::Args;
use owo_colors::OwoColorize;

use super::{Common, Failure, Format, Outcome, connect, print_json};
use crate::config::Config;
use crate::verify::{self, Severity, rules};
use crate::{output, say};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Severity::Warning)]
    fail_on: Severity,
    /// Explain a rule, or all of them, and verify nothing
    #[arg(long, value_name = "RULE", num_args = 0..=1, default_missing_value = "")]
    explain: Option<String>,
}

/// Does what is asked.
pub fn run(common: &Common, config: &Config, arguments: &Arguments) -> Result<Outcome, Failure> {
    match &arguments.explain {
        Some(rule) => explain(rule),
        None => verify_database(common, config, arguments.fail_on),
    }
}

fn verify_database(common: &Common, config: &Config, fail_on: Severity) -> Result<Outcome, Failure> {
    let mut client = connect(common, "percytech verify")?;
    let report = output::busy("reading the catalog", || verify::verify(&mut client, config))?;
    match common.format {
        Format::Json => print_json(&report)?,
        Format::Text => say!("{report}"),
    }
    Ok(Outcome::found(report.has(fail_on)))
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
        say!("{} ({})\n  {}\n  {}\n", rule.id.bold(), rule.severity.word(), rule.summary, rule.why.dimmed());
        if !name.is_empty() {
            say!("It objects to:\n{}\n\nand not to:\n{}", outdent(rule.violation), outdent(rule.clean));
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
