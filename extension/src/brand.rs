//! The brand context: the setting `app.current_brand`, and the functions that set, read and clear it.
//!
//! Without a context `current_brand()` is NULL, the policies compare with NULL, and no row is visible.

use std::ffi::{CStr, CString, c_char, c_void};

use percytech_core::brand::Brand;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::brand_labels::brands;
use crate::refusal::{raise, refuse_setting};

const SETTING: &CStr = c"app.current_brand";

static CURRENT_BRAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Defines `app.current_brand`. A value that a session put there before the library was loaded passes the same check,
/// and is dropped with a warning where it fails.
#[expect(
    unsafe_code,
    reason = "a setting with hooks has no safe constructor; the hook is guarded against panics"
)]
pub fn define_setting() {
    // SAFETY: the hook is #[pg_guard], and the name and descriptions are 'static.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            SETTING,
            c"The brand whose rows this session sees.",
            c"A label of the enum public.brand_id. When it is empty, no row of a brand table is visible.",
            &CURRENT_BRAND,
            GucContext::Userset,
            GucFlags::default(),
            Some(check_current_brand),
            None,
            None,
        );
    }
}

/// Refuses a value that is no brand, wherever it comes from.
///
/// Three cannot be told, and need not be: a parallel worker copies what its leader has passed; outside a transaction (a
/// connection option) the catalog cannot be read; and a database without brands may be where a dump of roles is
/// restored, or where a configuration file reaches. `current_brand()` checks whatever it reads.
#[pg_guard]
#[expect(unsafe_code, reason = "PostgreSQL passes the new value by pointer")]
unsafe extern "C-unwind" fn check_current_brand(
    newval: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL calls a check hook with a pointer to the new value, which is NULL or a C string.
    let (label, checkable) = unsafe {
        let value = *newval;
        let label = if value.is_null() { c"" } else { CStr::from_ptr(value) };
        (label, !pg_sys::InitializingParallelWorker && pg_sys::IsTransactionState())
    };
    if label.is_empty() || !checkable {
        return true;
    }
    let brands = brands();
    let said_in_this_session = source == pg_sys::GucSource::PGC_S_SESSION;
    if brands.is_empty() && !said_in_this_session {
        return true;
    }
    match brands.find(&label.to_string_lossy()) {
        Ok(_) => true,
        Err(unknown) => {
            refuse_setting(&unknown);
            false
        }
    }
}

/// Makes `brand` the context of this transaction, or of the session where `is_local` is false; returns it.
/// NULL clears the context instead. Errors: 22023 when there is no such brand.
#[pg_extern(volatile, parallel_unsafe)]
fn set_brand_context(brand: Option<&str>, is_local: default!(Option<bool>, true)) -> Option<String> {
    let brand = brand.map(|label| brands().find(label).unwrap_or_else(|unknown| raise(&unknown)));
    // Where it is not said, the context is the one that ends sooner.
    assign(brand.as_ref(), is_local.unwrap_or(true));
    brand.map(Brand::into_string)
}

/// The brand of the context, or NULL. Never raises.
#[pg_extern(stable, parallel_safe)]
fn current_brand() -> Option<String> {
    let label = CURRENT_BRAND.get()?;
    brands().find(label.to_str().ok()?).ok().map(Brand::into_string)
}

/// Clears the context, for the session and for this transaction: no row of a brand table is visible afterwards.
#[pg_extern(volatile, parallel_unsafe)]
fn clear_brand_context() {
    assign(None, false);
}

/// What `SET [LOCAL] app.current_brand` does, by a user of the least privilege.
#[expect(unsafe_code, reason = "set_config_option is PostgreSQL's own entry point for SET")]
fn assign(brand: Option<&Brand>, is_local: bool) {
    // A label of the enum is a C string already, so it has no NUL within it.
    let value = CString::new(brand.map_or("", Brand::as_str)).unwrap_or_default();
    let action =
        if is_local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET };
    // SAFETY: both strings outlive the call, which copies them.
    unsafe {
        pg_sys::set_config_option(
            SETTING.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

extension_sql_file!(
    "brand.sql",
    name = "brand_grants_and_comments",
    requires = [set_brand_context, current_brand, clear_brand_context]
);
