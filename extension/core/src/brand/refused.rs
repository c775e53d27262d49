//! What is refused about the brand context, in words.

use std::fmt;

use super::{Brand, UnknownBrand, listed};
use crate::error::Refusal;

const RESTRICTED: &str = "The functions of an index and the query of a materialized view run on behalf of whoever maintains the table.";
const UNRESTRICTED: &str = "Take the brand context out of them.";

/// Why the context is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such brand.
    #[error(transparent)]
    Unknown(#[from] UnknownBrand),
    /// The session may not act as it.
    #[error("role \"{}\" may not act as brand \"{}\"", .0.role, .0.brand)]
    NotAllowed(NotAllowed),
    /// The context cannot change until the transaction ends.
    #[error("the brand context is sealed")]
    Sealed(Sealed),
    /// A seal was asked for that would outlast its transaction.
    #[error("a context that is sealed is local to its transaction")]
    SealedForSession,
    /// A header chose a brand that the token does not name.
    #[error("the token of this request does not name brand \"{}\"", .0.chosen)]
    BeyondToken(BeyondToken),
    /// A brand was to be lent to code that no brand is lent to.
    #[error("no brand is lent to role \"{role}\"")]
    NotLent {
        /// The role that counts.
        role: String,
    },
    /// Somebody's code runs in the course of another's maintenance.
    #[error("the brand context cannot change within a security-restricted operation")]
    Restricted,
    /// There is no brand in context where one is needed.
    #[error("no brand is in context")]
    NoContext(NoContext),
}

/// The session may not set a setting that decides who may act as a brand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("role \"{role}\" may not set \"{setting}\"")]
pub struct NotASuperuser {
    /// The setting.
    pub setting: &'static str,
    /// The role that counts.
    pub role: String,
}

impl Refusal for NotASuperuser {
    fn sqlstate(&self) -> &'static str {
        "42501" // insufficient_privilege
    }

    fn detail(&self) -> Option<String> {
        Some("It decides who may act as which brand.".to_owned())
    }

    fn hint(&self) -> Option<String> {
        Some("A function of a superuser does not lend its owner's right to set it.".to_owned())
    }
}

/// The session may not act as a brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAllowed {
    pub(super) role: String,
    pub(super) brand: Brand,
    pub(super) allowed: Vec<Brand>,
    pub(super) disbelieved_login: Option<String>,
    /// The claim that would name the brand, where the login is trusted.
    pub(super) claim: Option<String>,
}

/// The context is sealed, to a brand or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(super) brand: Option<Brand>,
}

/// A header chose a brand that the token does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondToken {
    pub(super) chosen: String,
    pub(super) named: Vec<Brand>,
}

/// Why there is no brand in context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoContext {
    /// Somebody's code runs in the course of another's maintenance.
    Restricted,
    /// It was sealed without one.
    Sealed,
    /// What was set, unchecked, is one that the session may not act as.
    NotAllowed(NotAllowed),
    /// What was set, unchecked, is none.
    Unknown {
        /// What was set.
        label: String,
        /// The brands that it could be.
        allowed: Vec<Brand>,
    },
    /// There are claims, but not of a login that is trusted.
    Disbelieved {
        /// The login.
        login: String,
    },
    /// The claims name several, and none was chosen.
    Several {
        /// Which.
        named: Vec<Brand>,
    },
    /// The login is trusted, and its claims name none.
    TokenWithout {
        /// The claim that would.
        claim: String,
    },
    /// Nothing says one.
    Unset {
        /// The role that counts.
        role: String,
        /// The brands that it could be.
        allowed: Vec<Brand>,
    },
}

impl Refusal for Refused {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::Unknown(unknown) => unknown.sqlstate(),
            Self::SealedForSession => "22023", // invalid_parameter_value
            _ => "42501",                      // insufficient_privilege
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Unknown(unknown) => unknown.detail(),
            Self::NotAllowed(refused) => Some(refused.detail()),
            Self::Sealed(sealed) => Some(match &sealed.brand {
                Some(brand) => format!("It is \"{brand}\" until this transaction ends."),
                None => "It is no brand until this transaction ends.".to_owned(),
            }),
            Self::SealedForSession => {
                Some("Both is_local => false and seal => true were asked for.".to_owned())
            }
            Self::BeyondToken(refused) => Some(format!("It names {}.", listed(&refused.named))),
            Self::NotLent { .. } => Some(
                "Brands are lent to the SECURITY DEFINER functions of a role that may act as all of them, when a member of \
                 percytech_analyst calls them."
                    .to_owned(),
            ),
            Self::Restricted => Some(RESTRICTED.to_owned()),
            Self::NoContext(why) => Some(why.detail()),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(unknown) => unknown.hint(),
            Self::NotAllowed(refused) => Some(refused.hint()),
            Self::Sealed(_) => Some("Choose another brand in another transaction.".to_owned()),
            Self::SealedForSession => Some("Leave is_local out.".to_owned()),
            Self::BeyondToken(_) => {
                Some("The header x-brand-id chooses among the brands that the token names.".to_owned())
            }
            Self::NotLent { role } => {
                Some(format!("To let it look across brands: GRANT percytech_analyst TO {}.", quoted(role)))
            }
            Self::Restricted => Some(UNRESTRICTED.to_owned()),
            Self::NoContext(why) => Some(why.hint()),
        }
    }
}

impl NotAllowed {
    fn detail(&self) -> String {
        let detail = format!("It may act as {}.", listed(&self.allowed));
        with_disbelief(detail, self.disbelieved_login.as_deref())
    }

    fn hint(&self) -> String {
        // A grant would be one to everybody whose requests run as this role.
        if let Some(claim) = &self.claim {
            return format!("The token of a request names its brands in the claim {claim}.");
        }
        let granted = self.brand.role().unwrap_or_else(|| super::authority::EVERY_BRAND.to_owned());
        format!(
            "To allow it: GRANT {} TO {}. The role that counts is the one that the session has SET ROLE to, not the owner of a function.",
            quoted(&granted),
            quoted(&self.role),
        )
    }
}

impl NoContext {
    fn detail(&self) -> String {
        match self {
            Self::Restricted => RESTRICTED.to_owned(),
            Self::Sealed => "The context is sealed without a brand until this transaction ends.".to_owned(),
            Self::NotAllowed(refused) => format!(
                "The setting app.current_brand is \"{}\", which role \"{}\" may not act as.",
                refused.brand, refused.role
            ),
            Self::Unknown { label, .. } => {
                format!("The setting app.current_brand is \"{label}\", which is no brand.")
            }
            Self::Disbelieved { login } => {
                with_disbelief("The setting app.current_brand is empty.".to_owned(), Some(login))
            }
            Self::Several { named } => format!("The token of this request names {}.", listed(named)),
            Self::TokenWithout { .. } => "The token of this request names no brand.".to_owned(),
            Self::Unset { .. } => {
                "The setting app.current_brand is empty, and no token names a brand.".to_owned()
            }
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Restricted => UNRESTRICTED.to_owned(),
            Self::Sealed => {
                "The token of a request names one brand, or the header x-brand-id chooses one of several."
                    .to_owned()
            }
            Self::NotAllowed(refused) => refused.hint(),
            Self::Unknown { allowed, .. } => format!("The session may act as {}.", listed(allowed)),
            Self::Disbelieved { .. } => {
                "A superuser says in percytech.trusted_logins whose claims are believed.".to_owned()
            }
            Self::Several { .. } => {
                "Choose one: by the header x-brand-id, or with percytech.set_brand_context.".to_owned()
            }
            Self::TokenWithout { claim } => {
                format!("The token of a request names its brands in the claim {claim}.")
            }
            Self::Unset { role, allowed } if allowed.is_empty() => format!(
                "Role \"{role}\" may not act as any brand. Grant it a brand's role: GRANT brand_<label> TO {}.",
                quoted(role)
            ),
            Self::Unset { role, allowed } => format!(
                "Choose one first, in this transaction: SELECT percytech.set_brand_context('<brand>'). Role \"{role}\" \
                 may act as {}.",
                listed(allowed)
            ),
        }
    }
}

fn with_disbelief(detail: String, login: Option<&str>) -> String {
    match login {
        None => detail,
        Some(login) => {
            format!("{detail} The claims in request.jwt.claims are not believed of login \"{login}\".")
        }
    }
}

/// A name as SQL writes it.
fn quoted(name: &str) -> impl fmt::Display {
    format!("\"{}\"", name.replace('"', "\"\""))
}
