//! The seal: what holds a context as it is until the transaction ends.
//!
//! It is a setting that only the extension and superusers can set, local to the transaction. So PostgreSQL itself ends it
//! with the transaction, takes it back with a savepoint from before it, and hands it to parallel workers.

use super::session::{Session, Setting, said};
use super::{Brand, Brands};

const SEALED: &str = "sealed";

/// A context that is sealed: to a brand, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal(Option<String>);

impl Seal {
    /// The seal to `brand`, or to no brand.
    #[must_use]
    pub fn to(brand: Option<&Brand>) -> Self {
        Self(brand.map(|brand| brand.as_str().to_owned()))
    }

    /// The seal on the session's transaction, if there is one.
    pub fn of(session: &impl Session) -> Option<Self> {
        said(session, Setting::Seal).map(|value| Self::read(&value))
    }

    /// The seal that binds the session: a superuser is not bound.
    pub fn binding(session: &impl Session) -> Option<Self> {
        Self::of(session).filter(|_| !session.is_superuser())
    }

    /// What the setting says while this holds.
    #[must_use]
    pub fn to_setting(&self) -> String {
        match &self.0 {
            None => SEALED.to_owned(),
            Some(label) => format!("{SEALED}:{label}"),
        }
    }

    /// The brand that it is sealed to.
    #[must_use]
    pub fn brand(&self, brands: &Brands) -> Option<Brand> {
        self.0.as_deref().and_then(|label| brands.find(label).ok())
    }

    /// What it is not understood to say seals to no brand.
    fn read(value: &str) -> Self {
        let label = value.strip_prefix(SEALED).and_then(|rest| rest.strip_prefix(':'));
        Self(label.map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_reads_as_it_was_written() {
        let brands = Brands::new(vec!["gnymble".into(), ":".into(), "sealed".into()]);
        for label in ["gnymble", ":", "sealed"] {
            let brand = brands.find(label).unwrap();
            let seal = Seal::to(Some(&brand));
            assert_eq!(Seal::read(&seal.to_setting()), seal);
            assert_eq!(seal.brand(&brands), Some(brand));
        }
        assert_eq!(Seal::read(&Seal::to(None).to_setting()), Seal::to(None));
    }

    #[test]
    fn what_is_no_seal_of_ours_seals_to_no_brand() {
        let brands = Brands::new(vec!["gnymble".into()]);
        for value in ["on", "gnymble", "sealed:", "sealed:acme", "sealed gnymble", ":gnymble"] {
            assert_eq!(Seal::read(value).brand(&brands), None, "{value}");
        }
    }
}
