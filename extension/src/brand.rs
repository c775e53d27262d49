//! The brand context: the functions that choose, read and seal it.
//!
//! Without a context `current_brand()` is NULL, the policies compare with NULL, and no row is visible. What is allowed is
//! decided in `percytech_core::brand`.

mod backend;
mod labels;
mod settings;

use percytech_core::brand::context::{self, Request};
use percytech_core::brand::refused::Refused;
use percytech_core::brand::{Brand, authority};
use pgrx::JsonB;
use pgrx::prelude::*;

use crate::refusal::or_raise;
pub use backend::Backend;
pub use settings::define as define_settings;

/// Makes `brand` the context of this transaction, or of the session where `is_local` is false; returns it. NULL clears the
/// context instead. With `seal` the context cannot change until the transaction ends, but by a superuser.
///
/// Errors: 22023 when there is no such brand, or a seal is asked for beyond the transaction; 42501 when the session may not
/// act as it, or the context is sealed to another.
#[pg_extern(volatile, parallel_unsafe)]
fn set_brand_context(
    brand: Option<&str>,
    is_local: default!(Option<bool>, true),
    seal: default!(Option<bool>, false),
) -> Option<String> {
    let session = Backend::now();
    let brand = brand.map(|label| or_raise(context::find(&session, label)));
    // Where it is not said, the context is the one that ends sooner.
    let is_local = is_local.unwrap_or(true);
    let seal = seal.unwrap_or(false);
    if seal && !is_local {
        or_raise::<(), _>(Err(Refused::SealedForSession));
    }
    if !(is_local && context::is_sealed_to(&session, brand.as_ref())) {
        change(&session, brand.as_ref(), is_local);
        if seal {
            settings::set_seal(brand.as_ref());
        }
    }
    brand.map(Brand::into_string)
}

/// Makes `brand` the context. It is checked here for an error of ours; the setting's own check would refuse it as well.
fn change(session: &Backend, brand: Option<&Brand>, is_local: bool) {
    or_raise(context::check_change(session, brand.map_or("", Brand::as_str)));
    settings::set_current_brand(brand, is_local);
}

/// The brand of the context, or NULL. Never raises.
#[pg_extern(stable, parallel_safe)]
fn current_brand() -> Option<String> {
    context::current(&Backend::now()).brand.map(Brand::into_string)
}

/// The brand of the context. Errors: 42501 without one; the error says why.
#[pg_extern(stable, parallel_safe)]
fn require_brand() -> String {
    or_raise(context::require(&Backend::now())).into_string()
}

/// Clears the context, for the session and for this transaction: no row of a brand table is visible afterwards, but
/// those of a request whose token names one brand. Errors: 42501 when the context is sealed.
#[pg_extern(volatile, parallel_unsafe)]
fn clear_brand_context() {
    change(&Backend::now(), None, false);
}

/// The brands that the session may act as, in the order of the enum; empty where there is none.
#[pg_extern(stable, parallel_safe)]
fn allowed_brands() -> Vec<String> {
    authority::allowed(&Backend::now()).into_iter().map(Brand::into_string).collect()
}

/// The context as `{brand, source, sealed, allowed}`, source one of `setting`, `jwt`, `none`.
#[pg_extern(stable, parallel_safe)]
fn brand_context() -> JsonB {
    let report = context::report(&Backend::now());
    JsonB(
        serde_json::to_value(report)
            .unwrap_or_else(|error| error!("cannot write the context as JSON: {error}")),
    )
}

/// Makes the brand of the request at hand the context, and seals it: for `PostgREST`'s `db-pre-request`. Writes nothing.
///
/// Errors: 42501 when the header `x-brand-id` is no brand that the token names, or the context is sealed to another.
#[pg_extern(volatile, parallel_unsafe)]
fn apply_request_context() {
    let session = Backend::now();
    match or_raise(context::of_request(&session)) {
        Request::Open => change(&session, None, true),
        Request::Sealed(brand) if context::is_sealed_to(&session, brand.as_ref()) => {}
        Request::Sealed(brand) => {
            change(&session, brand.as_ref(), true);
            settings::set_seal(brand.as_ref());
        }
    }
}

/// Lends a SECURITY DEFINER function, which calls this, a brand: until it ends, where it has a SET clause, else until the
/// transaction does. NULL ends the loan. The caller's context stays as it is, sealed or not.
///
/// Errors: 42501 when it was not a member of `percytech_analyst` who called that function, or its owner may not act as every
/// brand; 22023 when there is no such brand.
#[pg_extern(volatile, parallel_unsafe)]
fn lend_brand(brand: Option<&str>) {
    let session = Backend::now();
    settings::set_lent_brand(brand.map(|label| or_raise(context::lend(&session, label))).as_ref());
}

extension_sql_file!(
    "brand/grants.sql",
    name = "brand_grants_and_comments",
    requires = [
        set_brand_context,
        current_brand,
        require_brand,
        clear_brand_context,
        allowed_brands,
        brand_context,
        apply_request_context,
        lend_brand,
    ]
);
