//! What the rules of the brand context ask of a database session.

use super::Brands;

/// A database session, as far as the brand context depends on it.
pub trait Session {
    /// The brands of the database.
    fn brands(&self) -> &Brands;

    /// The name of the role that counts: what the session has SET ROLE to, else its login. The owner of a SECURITY
    /// DEFINER function that is running is not it: such a function does not lend its owner's brands.
    fn role(&self) -> String;

    /// The name that the session logged in by (SQL's `session_user`).
    fn login(&self) -> String;

    /// Whether the role that counts is a superuser.
    fn is_superuser(&self) -> bool;

    /// Whether the role that counts has the rights of `group`, or may SET ROLE to it. False where there is no such group.
    fn is_member_of(&self, group: &str) -> bool;

    /// Whether the code at hand runs as another role than the one that counts, as a SECURITY DEFINER function does, and that
    /// role has the rights of `group`, or may SET ROLE to it.
    fn definer_is_member_of(&self, group: &str) -> bool;

    /// Whether code of one user runs in the course of another's maintenance (`PostgreSQL`'s security-restricted operation):
    /// the functions of an index under ANALYZE, REINDEX or autovacuum, the query of a materialized view.
    fn is_restricted(&self) -> bool;

    /// The value of a setting; nothing where it is not set.
    fn setting(&self, setting: Setting) -> Option<String>;
}

/// The settings that the brand context depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// `app.current_brand`, the brand that was chosen. Anybody may set it, to what they may act as.
    CurrentBrand,
    /// `percytech.seal`, which seals the context until the transaction ends. Only the extension and superusers set it.
    Seal,
    /// `percytech.lent_brand`, the brand that a function works in whose callers look across brands. Only the extension and
    /// superusers set it.
    LentBrand,
    /// `percytech.trusted_logins`, names of logins separated by commas. Only superusers set it.
    TrustedLogins,
    /// `percytech.brand_claim`, where claims name the brand. Only superusers set it.
    BrandClaim,
    /// `request.jwt.claims`, in JSON, as PostgREST and Supabase Realtime set it. Anybody may set it.
    Claims,
    /// `request.headers`, in JSON, as PostgREST sets it. Anybody may set it.
    Headers,
}

impl Setting {
    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CurrentBrand => "app.current_brand",
            Self::Seal => "percytech.seal",
            Self::LentBrand => "percytech.lent_brand",
            Self::TrustedLogins => "percytech.trusted_logins",
            Self::BrandClaim => "percytech.brand_claim",
            Self::Claims => "request.jwt.claims",
            Self::Headers => "request.headers",
        }
    }
}

/// The value of a setting that says something: PostgreSQL leaves an empty one behind where a local one has ended.
pub(super) fn said(session: &impl Session, setting: Setting) -> Option<String> {
    session.setting(setting).filter(|value| !value.is_empty())
}
