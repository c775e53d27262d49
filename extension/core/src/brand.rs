//! Which brands there are, and what counts as one.
//!
//! A brand is a label of the enum `public.brand_id`. Nothing else is: labels are compared to the letter, so that a
//! name which merely looks like a brand's never stands for it.

pub mod authority;
pub mod claims;
pub mod context;
pub mod refused;
pub mod seal;
pub mod session;

use std::fmt;

use crate::error::Refusal;

/// The label of a brand that exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Brand(String);

impl Brand {
    /// The label, as in the enum.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label, given away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every brand of the database, in the order of the enum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brands(Vec<String>);

impl Brands {
    /// The brands with these labels.
    #[must_use]
    pub fn new(labels: Vec<String>) -> Self {
        Self(labels)
    }

    /// Whether there is none, as in a database that is not ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their labels.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.0
    }

    /// The brand of this label.
    pub fn find(&self, label: &str) -> Result<Brand, UnknownBrand> {
        if self.0.iter().any(|known| known == label) {
            Ok(Brand(label.to_owned()))
        } else {
            Err(UnknownBrand { label: shortened(label), known: Known::All(self.0.clone()) })
        }
    }
}

/// A label that no brand has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown brand \"{label}\"")]
pub struct UnknownBrand {
    label: String,
    known: Known,
}

/// Which brands the refused is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    All(Vec<String>),
    Allowed(Vec<Brand>),
}

impl UnknownBrand {
    /// The same, said to somebody who may act as these brands only. That a database has none is no secret.
    fn seen_by(self, allowed: &[Brand]) -> Self {
        match self.known {
            Known::All(labels) if labels.len() > allowed.len() => {
                Self { known: Known::Allowed(allowed.to_vec()), ..self }
            }
            known => Self { known, ..self },
        }
    }
}

impl Refusal for UnknownBrand {
    fn sqlstate(&self) -> &'static str {
        "22023" // invalid_parameter_value
    }

    fn detail(&self) -> Option<String> {
        Some(match &self.known {
            Known::All(labels) if labels.is_empty() => {
                "This database has no brands: type public.brand_id does not exist, or has no labels."
                    .to_owned()
            }
            Known::All(labels) => format!("The brands are: {}.", labels.join(", ")),
            Known::Allowed(allowed) => format!("The session may act as {}.", listed(allowed)),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match &self.known {
            Known::All(labels) if labels.is_empty() => {
                "Apply the migrations first: percytech migrate up.".to_owned()
            }
            _ => "A new brand is added with ALTER TYPE public.brand_id ADD VALUE.".to_owned(),
        })
    }
}

/// Brands, in words.
fn listed(brands: &[Brand]) -> String {
    match brands {
        [] => "no brand".to_owned(),
        brands => brands.iter().map(Brand::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// The longest name that PostgreSQL itself would show; a label of a megabyte does not belong into a log.
const SHOWN_CHARS: usize = 63;

/// A label as a message shows it: not longer than a name, and without what would end it or start another line.
fn shortened(label: &str) -> String {
    let mut shown = String::new();
    for (place, character) in label.chars().enumerate() {
        if place == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brands() -> Brands {
        Brands::new(vec!["gnymble".into(), "percymd".into(), "percytext".into()])
    }

    #[test]
    fn a_label_of_the_enum_is_a_brand() {
        assert_eq!(brands().find("percymd").unwrap().as_str(), "percymd");
    }

    #[test]
    fn what_only_resembles_a_label_is_not_a_brand() {
        for label in ["", " ", "Percymd", "percymd ", "percym", "percymd\u{200b}", "percymd'--", "*"] {
            assert!(brands().find(label).is_err(), "{label:?}");
        }
    }

    #[test]
    fn the_refusal_names_the_label_and_the_brands() {
        let refusal = brands().find("acme").unwrap_err();
        assert_eq!(refusal.to_string(), "unknown brand \"acme\"");
        assert_eq!(refusal.sqlstate(), "22023");
        assert_eq!(refusal.detail().unwrap(), "The brands are: gnymble, percymd, percytext.");
    }

    #[test]
    fn a_database_without_brands_says_how_to_get_them() {
        let refusal = Brands::default().find("gnymble").unwrap_err();
        assert_eq!(refusal.hint().unwrap(), "Apply the migrations first: percytech migrate up.");
    }

    #[test]
    fn a_label_with_control_characters_is_shown_escaped() {
        let refusal = brands().find("a\0b\nc\u{1b}[31m").unwrap_err();
        assert_eq!(refusal.to_string(), r#"unknown brand "a\u{0}b\nc\u{1b}[31m""#);
    }

    #[test]
    fn a_long_label_is_cut_at_a_character() {
        let refusal = brands().find(&"é".repeat(1_000_000)).unwrap_err();
        assert_eq!(refusal.to_string(), format!("unknown brand \"{}…\"", "é".repeat(SHOWN_CHARS)));
    }
}
