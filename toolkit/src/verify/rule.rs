//! What a rule is, and what it finds.

use serde::Serialize;

use super::Error;
use super::catalog::Catalog;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Brands are apart, but by less than they should be.
    Warning,
    /// A brand's rows may be reached from another brand, or without one.
    Error,
}

impl Severity {
    /// As it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One way to lose the isolation of brands, and how to see it in the catalog.
pub struct Rule {
    /// Its name, which says the mend.
    pub id: &'static str,
    /// How much it matters, unless a finding says otherwise.
    pub severity: Severity,
    /// What it demands, in a sentence.
    pub summary: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// SQL that it objects to. There is an enum `brand_id`, and nothing else.
    pub violation: &'static str,
    /// The same, mended.
    pub clean: &'static str,
    /// Finds every violation.
    pub check: Check,
}

/// How a rule finds its violations.
pub enum Check {
    /// By a query of its own.
    Query(fn(&'static Rule, &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error>),
    /// From the tables and their policies, which are read once for all rules.
    Tables(fn(&'static Rule, &Catalog<'_, '_>) -> Vec<Finding>),
}

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The table or view, with its schema; or a policy, with its table.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
    /// The SQL that mends it.
    pub mend: String,
}

impl Rule {
    /// Every violation in the database.
    pub fn find(&'static self, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
        match self.check {
            Check::Query(check) => check(self, catalog),
            Check::Tables(check) => Ok(check(self, catalog)),
        }
    }

    /// A finding of this rule.
    pub fn finding(&self, object: &str, message: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding {
            rule: self.id,
            severity: self.severity,
            object: object.to_owned(),
            message: message.into(),
            mend: mend.into(),
        }
    }
}
