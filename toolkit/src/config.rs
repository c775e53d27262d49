//! `percytech.toml`: what brands, schemas and roles are called. Without the file, they are called as in this project.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the settings are read from when no other file is named.
pub const DEFAULT_FILE: &str = "percytech.toml";

/// Everything that `percytech.toml` may say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The schemas whose tables and views are brand data.
    pub schemas: Vec<String>,
    /// The role that owns them; migrations run as it, but those marked `-- as-invoker`.
    pub owner: Option<String>,
    /// How a row's brand is told, and the brand in context.
    pub brand: Brand,
    /// What `verify` is to pass over, and why.
    pub exceptions: Vec<Exception>,
}

/// How a row's brand is told, and the brand in context.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brand {
    /// The column that every table has.
    pub column: String,
    /// The type of that column, as SQL names it.
    #[serde(rename = "type")]
    pub data_type: String,
    /// The setting that holds the brand in context.
    pub setting: String,
    /// Functions without arguments that return the brand in context, with their schema.
    pub functions: Vec<String>,
}

/// A finding that is no fault, with the reason why.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The rule's name.
    pub rule: String,
    /// The table or view, with its schema, or the policy with its table, as `verify` names it.
    pub object: String,
    /// Why it is no fault, for whoever reads this next.
    pub reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            schemas: vec!["public".to_owned()],
            owner: Some("percytech_owner".to_owned()),
            brand: Brand::default(),
            exceptions: Vec::new(),
        }
    }
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            column: "brand_id".to_owned(),
            data_type: "public.brand_id".to_owned(),
            setting: "app.current_brand".to_owned(),
            functions: vec!["percytech.current_brand".to_owned()],
        }
    }
}

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The file named on the command line is not there, or not readable.
    #[error("cannot read {}: {source}", file.display())]
    #[diagnostic(help("name an existing file with --config, or leave the option out to use the defaults"))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key that means nothing.
    #[error("{} does not say what it should: {}", file.display(), source.message())]
    #[diagnostic(help(
        "the keys are: schemas, owner, [brand] column, type, setting, functions, [[exceptions]] rule, object, reason"
    ))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Its text.
        #[source_code]
        text: miette::NamedSource<String>,
        /// Where it goes wrong.
        #[label("here")]
        at: miette::SourceSpan,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// An exception does not say why.
    #[error("{}: the exception of {rule} for {object} has no reason", file.display())]
    #[diagnostic(help("write why this is no fault, for whoever reads it next"))]
    NoReason {
        /// The file.
        file: PathBuf,
        /// The rule.
        rule: String,
        /// The object.
        object: String,
    },
}

impl Config {
    /// The settings of `named`, or of `percytech.toml` in the current directory where it exists, or the defaults.
    pub fn load(named: Option<&Path>) -> Result<Self, Error> {
        let file = named.unwrap_or(Path::new(DEFAULT_FILE));
        if named.is_none() && !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(file)
            .map_err(|source| Error::Unreadable { file: file.to_path_buf(), source })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let config: Self = toml::from_str(text).map_err(|source| Error::Invalid {
            file: file.to_path_buf(),
            text: miette::NamedSource::new(file.display().to_string(), text.to_owned()),
            at: source.span().unwrap_or(0..0).into(),
            source: Box::new(source),
        })?;
        match config.exceptions.iter().find(|exception| exception.reason.trim().is_empty()) {
            None => Ok(config),
            Some(exception) => Err(Error::NoReason {
                file: file.to_path_buf(),
                rule: exception.rule.clone(),
                object: exception.object.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_leaves_out_is_as_by_default() {
        let config =
            Config::parse(Path::new("x"), "[brand]\ncolumn = \"tenant_id\"\ntype = \"uuid\"\n").unwrap();
        assert_eq!(config.brand.column, "tenant_id");
        assert_eq!(config.brand.setting, "app.current_brand");
        assert_eq!(config.schemas, ["public"]);
    }

    #[test]
    fn a_key_that_means_nothing_is_refused() {
        assert!(matches!(Config::parse(Path::new("x"), "schema = []"), Err(Error::Invalid { .. })));
    }

    #[test]
    fn an_exception_needs_a_reason() {
        let text = "[[exceptions]]\nrule = \"r\"\nobject = \"o\"\nreason = \" \"\n";
        assert!(matches!(Config::parse(Path::new("x"), text), Err(Error::NoReason { .. })));
    }
}
