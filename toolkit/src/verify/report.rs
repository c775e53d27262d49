//! What `verify` answers, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::catalog::Catalog;
use super::rule::{Finding, Severity};
use crate::config::{Config, Exception};
use crate::output::counted;

/// The findings, and what they do not cover.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The schemas that were looked at.
    pub schemas: Vec<String>,
    /// How many tables there are in them.
    pub tables: usize,
    /// How many views.
    pub views: usize,
    /// What is wrong, by table and view.
    pub findings: Vec<Finding>,
    /// What `percytech.toml` excepts.
    pub excepted: Vec<Excepted>,
    /// Exceptions that nothing was found for.
    pub unused_exceptions: Vec<String>,
    /// What was not looked at.
    pub not_checked: Vec<String>,
}

/// A finding that is no fault, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Excepted {
    /// The finding.
    pub finding: Finding,
    /// The reason in `percytech.toml`.
    pub reason: String,
}

impl Report {
    pub(super) fn new(config: &Config, catalog: &Catalog<'_, '_>, found: &[Finding]) -> Self {
        let exception_for = |finding: &Finding| {
            config
                .exceptions
                .iter()
                .find(|exception| exception.rule == finding.rule && exception.object == finding.object)
        };
        let is_used =
            |exception: &&Exception| found.iter().any(|finding| exception_for(finding) == Some(exception));
        let unused_exceptions = config
            .exceptions
            .iter()
            .filter(|exception| !is_used(exception))
            .map(|exception| format!("{} for {}", exception.rule, exception.object))
            .collect();
        let (mut findings, mut excepted) = (Vec::new(), Vec::new());
        for finding in found {
            match exception_for(finding) {
                None => findings.push(finding.clone()),
                Some(exception) => {
                    excepted.push(Excepted { finding: finding.clone(), reason: exception.reason.clone() });
                }
            }
        }
        findings
            .sort_by(|left, right| left.object.cmp(&right.object).then(right.severity.cmp(&left.severity)));
        Self {
            schemas: config.schemas.clone(),
            tables: catalog.tables.len(),
            views: catalog.views,
            findings,
            excepted,
            unused_exceptions,
            not_checked: catalog.not_checked.clone(),
        }
    }

    /// Whether there is a finding of at least this severity.
    #[must_use]
    pub fn has(&self, severity: Severity) -> bool {
        self.findings.iter().any(|finding| finding.severity >= severity)
    }

    /// The last line: how many findings, in how much.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} in {} and {} of schema {}",
            counted(self.findings.len(), "isolation finding"),
            counted(self.tables, "table"),
            counted(self.views, "view"),
            self.schemas.join(", ")
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use owo_colors::OwoColorize;

        let mut object = "";
        for finding in &self.findings {
            if finding.object != object {
                object = &finding.object;
                writeln!(f, "{}", object.bold())?;
            }
            let word = match finding.severity {
                Severity::Error => finding.severity.word().red().to_string(),
                Severity::Warning => finding.severity.word().yellow().to_string(),
            };
            writeln!(f, "  {word}: {} [{}]", finding.message, finding.rule)?;
            for line in finding.mend.lines() {
                writeln!(f, "    {}", line.dimmed())?;
            }
        }
        if !self.findings.is_empty() {
            writeln!(f)?;
        }
        for Excepted { finding, reason } in &self.excepted {
            writeln!(f, "excepted: {} [{}]: {reason}", finding.object, finding.rule)?;
        }
        for exception in &self.unused_exceptions {
            writeln!(f, "exception without a finding, to be removed: {exception}")?;
        }
        if !self.not_checked.is_empty() {
            writeln!(f, "not checked: {}", self.not_checked.join(", "))?;
        }
        write!(f, "{}", self.summary())
    }
}
