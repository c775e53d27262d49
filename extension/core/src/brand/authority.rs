//! Who may act as a brand.
//!
//! Any one of: a superuser; a member of the brand's role or of [`EVERY_BRAND`]; a session of a trusted login whose claims
//! name the brand. The claims of any other login count for nothing, since anybody can set them.
//!
//! Nobody may in a security-restricted operation: there, somebody's code runs on behalf of whoever maintains the database,
//! who may act as every brand.

use super::claims::strings_at;
use super::session::{Session, Setting, said};
use super::{Brand, Brands};

/// The role whose members may act as every brand.
pub const EVERY_BRAND: &str = "brand_all";

/// The role whose members may look across brands, at aggregates only: see [`may_borrow`].
pub const ANALYST: &str = "percytech_analyst";

/// The longest name that a role can have, in bytes (PostgreSQL's `NAMEDATALEN` less the end of the string).
const LONGEST_ROLE: usize = 63;

impl Brand {
    /// The role whose members may act as this brand. There is none where its name would be longer than a role's can be,
    /// or would be [`EVERY_BRAND`]: only that one's members may then.
    #[must_use]
    pub fn role(&self) -> Option<String> {
        let role = format!("brand_{self}");
        (role.len() <= LONGEST_ROLE && role != EVERY_BRAND).then_some(role)
    }
}

/// Whether the session may act as `brand`.
pub fn may_act_as(session: &impl Session, brand: &Brand) -> bool {
    !session.is_restricted() && (role_may_act_as(session, brand) || token_brands(session).contains(brand))
}

/// Whether the code at hand may be lent brands: a SECURITY DEFINER function of a role that may act as every brand, when an
/// analyst calls it. What it makes of their rows is all that the caller sees, who may act as none of them by this.
pub fn may_borrow(session: &impl Session) -> bool {
    !session.is_restricted() && session.definer_is_member_of(EVERY_BRAND) && session.is_member_of(ANALYST)
}

/// The brands that the session may act as, in the order of the enum.
pub fn allowed(session: &impl Session) -> Vec<Brand> {
    all(session.brands()).filter(|brand| may_act_as(session, brand)).collect()
}

/// Whether the role alone, without claims, may act as every brand.
pub fn role_may_act_as_all(session: &impl Session) -> bool {
    session.is_superuser() || session.is_member_of(EVERY_BRAND)
}

fn all(brands: &Brands) -> impl Iterator<Item = Brand> {
    brands.labels().iter().filter_map(|label| brands.find(label).ok())
}

fn role_may_act_as(session: &impl Session, brand: &Brand) -> bool {
    role_may_act_as_all(session) || brand.role().is_some_and(|role| session.is_member_of(&role))
}

/// The brands that the token of the session's request names, each once, in its order. None where the login is not
/// trusted. What is no brand, perhaps no longer, is passed over.
pub fn token_brands(session: &impl Session) -> Vec<Brand> {
    let mut named = Vec::new();
    if !login_is_trusted(session) {
        return named;
    }
    let (Some(claims), Some(path)) = (said(session, Setting::Claims), said(session, Setting::BrandClaim))
    else {
        return named;
    };
    for label in strings_at(&claims, &path) {
        if let Ok(brand) = session.brands().find(&label)
            && !named.contains(&brand)
        {
            named.push(brand);
        }
    }
    named
}

/// Whether claims and headers are believed of the session's login.
pub fn login_is_trusted(session: &impl Session) -> bool {
    let Some(trusted) = said(session, Setting::TrustedLogins) else { return false };
    let login = session.login();
    // A login that has been dropped since has no name, and is not the one that an empty place in the list would name.
    !login.is_empty() && trusted.split(',').any(|name| name.trim() == login)
}
