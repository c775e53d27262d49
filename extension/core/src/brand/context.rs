//! The brand in context: what it is, what it may become, and what a request makes it.

use serde::Serialize;

use super::authority::{
    allowed, login_is_trusted, may_act_as, may_borrow, role_may_act_as_all, token_brands,
};
use super::claims::strings_at;
use super::refused::{BeyondToken, NoContext, NotAllowed, Refused, Sealed};
use super::seal::Seal;
use super::session::{Session, Setting, said};
use super::{Brand, UnknownBrand, shortened};

/// The header by which a request chooses among the brands of its token, as a JSON Pointer into the headers, whose names
/// `PostgREST` writes in lower case.
const HEADER: &str = "/x-brand-id";

/// The brand in context, and how it comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The brand, where there is one.
    pub brand: Option<Brand>,
    /// Where it comes from.
    pub source: Source,
    /// Whether it cannot change until the transaction ends.
    pub sealed: bool,
}

/// Where the brand in context comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was set.
    Setting,
    /// It was not set, and the claims of a trusted login name this one only.
    Jwt,
    /// There is none.
    None,
}

/// What `percytech.brand_context()` reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    brand: Option<String>,
    source: Source,
    sealed: bool,
    allowed: Vec<String>,
}

/// What a request makes of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It is this brand, or none, until the request ends.
    Sealed(Option<Brand>),
    /// It is none, and what the request calls may choose: its role may act as every brand by itself, so that claims that
    /// somebody forges on the way would add nothing.
    Open,
}

/// The brand in context. Who may not act as the brand that was set has none: a role that was changed since, or a value
/// that could not be checked when it was set, opens nothing.
pub fn current(session: &impl Session) -> Context {
    let sealed = Seal::of(session).is_some();
    if session.is_restricted() {
        return Context { brand: None, source: Source::None, sealed };
    }
    if let Some(brand) = lent(session) {
        return Context { brand: Some(brand), source: Source::Setting, sealed };
    }
    let (brand, source) = match (Seal::binding(session), said(session, Setting::CurrentBrand)) {
        (Some(seal), _) => (seal.brand(session.brands()), Source::Setting),
        (None, Some(label)) => (set_brand(session, &label), Source::Setting),
        (None, None) => (only(token_brands(session)), Source::Jwt),
    };
    let source = if brand.is_some() { source } else { Source::None };
    Context { brand, source, sealed }
}

/// The context, and the brands that it could be.
pub fn report(session: &impl Session) -> Report {
    let Context { brand, source, sealed } = current(session);
    let allowed = allowed(session).into_iter().map(Brand::into_string).collect();
    Report { brand: brand.map(Brand::into_string), source, sealed, allowed }
}

/// The brand in context, or why there is none.
pub fn require(session: &impl Session) -> Result<Brand, Refused> {
    current(session).brand.ok_or_else(|| Refused::NoContext(why_none(session)))
}

/// The brand of this label. Who may not act as any brand is not told which there are.
pub fn find(session: &impl Session, label: &str) -> Result<Brand, UnknownBrand> {
    session.brands().find(label).map_err(|unknown| unknown.seen_by(&allowed(session)))
}

/// The brand of this label, if the session may act as it.
pub fn authorise(session: &impl Session, label: &str) -> Result<Brand, Refused> {
    let brand = find(session, label)?;
    if may_act_as(session, &brand) {
        return Ok(brand);
    }
    Err(Refused::NotAllowed(NotAllowed {
        role: session.role(),
        allowed: allowed(session),
        disbelieved_login: disbelieved_login(session),
        claim: believed_claim(session),
        brand,
    }))
}

/// The brand of this label, if it may be lent to the code at hand.
pub fn lend(session: &impl Session, label: &str) -> Result<Brand, Refused> {
    if session.is_restricted() {
        return Err(Refused::Restricted);
    }
    if !may_borrow(session) {
        return Err(Refused::NotLent { role: session.role() });
    }
    Ok(session.brands().find(label)?)
}

/// The brand that is lent to the code at hand. The seal is the caller's, and does not bind what is lent.
fn lent(session: &impl Session) -> Option<Brand> {
    if !may_borrow(session) {
        return None;
    }
    said(session, Setting::LentBrand).and_then(|label| session.brands().find(&label).ok())
}

/// Refuses to have the context become `label`, an empty one meaning none: in this transaction, or in sessions to come.
pub fn check_change(session: &impl Session, label: &str) -> Result<(), Refused> {
    if session.is_restricted() {
        return Err(Refused::Restricted);
    }
    if let Some(seal) = Seal::binding(session) {
        return Err(Refused::Sealed(Sealed { brand: seal.brand(session.brands()) }));
    }
    if label.is_empty() { Ok(()) } else { authorise(session, label).map(drop) }
}

/// Whether the context is sealed to `brand` already, so that making it that changes nothing.
pub fn is_sealed_to(session: &impl Session, brand: Option<&Brand>) -> bool {
    Seal::binding(session).is_some_and(|seal| seal == Seal::to(brand))
}

/// What the request at hand makes of the context: the brand that its header chooses among those of its token; without a
/// header the only one that the token names; else none.
pub fn of_request(session: &impl Session) -> Result<Request, Refused> {
    let named = token_brands(session);
    let headers = said(session, Setting::Headers).unwrap_or_default();
    let chosen = strings_at(&headers, HEADER).into_iter().find(|label| !label.is_empty());
    let Some(chosen) = chosen else {
        let is_open = named.is_empty() && role_may_act_as_all(session);
        return Ok(if is_open { Request::Open } else { Request::Sealed(only(named)) });
    };
    // The same answer for a brand that there is and for one that there is not: a stranger is not to find out which exist.
    match named.iter().find(|brand| brand.as_str() == chosen) {
        Some(brand) => Ok(Request::Sealed(Some(brand.clone()))),
        None => Err(Refused::BeyondToken(BeyondToken { chosen: shortened(&chosen), named })),
    }
}

/// Who acts: the subject of the token of a trusted login, else the login.
pub fn actor(session: &impl Session) -> String {
    let claims = said(session, Setting::Claims).filter(|_| login_is_trusted(session)).unwrap_or_default();
    strings_at(&claims, "sub").into_iter().next().unwrap_or_else(|| session.login())
}

fn set_brand(session: &impl Session, label: &str) -> Option<Brand> {
    session.brands().find(label).ok().filter(|brand| may_act_as(session, brand))
}

fn only(brands: Vec<Brand>) -> Option<Brand> {
    <[Brand; 1]>::try_from(brands).ok().map(|[only]| only)
}

/// The login whose claims are there, and are not believed.
fn disbelieved_login(session: &impl Session) -> Option<String> {
    let is_disbelieved = said(session, Setting::Claims).is_some() && !login_is_trusted(session);
    is_disbelieved.then(|| session.login())
}

/// The claim that names the brands of the session's requests, where its login is trusted.
fn believed_claim(session: &impl Session) -> Option<String> {
    said(session, Setting::BrandClaim).filter(|_| login_is_trusted(session))
}

fn why_none(session: &impl Session) -> NoContext {
    if session.is_restricted() {
        return NoContext::Restricted;
    }
    if Seal::binding(session).is_some() {
        return NoContext::Sealed;
    }
    if let Some(label) = said(session, Setting::CurrentBrand) {
        return match authorise(session, &label) {
            Err(Refused::NotAllowed(refused)) => NoContext::NotAllowed(refused),
            _ => NoContext::Unknown { label: shortened(&label), allowed: allowed(session) },
        };
    }
    if let Some(login) = disbelieved_login(session) {
        return NoContext::Disbelieved { login };
    }
    let (named, allowed) = (token_brands(session), allowed(session));
    match believed_claim(session) {
        _ if named.len() > 1 => NoContext::Several { named },
        Some(claim) if allowed.is_empty() => NoContext::TokenWithout { claim },
        _ => NoContext::Unset { role: session.role(), allowed },
    }
}
