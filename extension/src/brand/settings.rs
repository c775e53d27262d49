//! The settings of the brand context, and the check of every change of it.

use std::ffi::{CStr, CString, c_char, c_void};

use percytech_core::brand::Brand;
use percytech_core::brand::context::check_change;
use percytech_core::brand::seal::Seal;
use percytech_core::brand::session::{Session, Setting};
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use super::backend::Backend;
use crate::refusal::refuse_setting;

static CURRENT_BRAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SEAL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TRUSTED_LOGINS: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"authenticator"));
static BRAND_CLAIM: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"app_metadata.brand_id"));

/// Defines the settings. What a session had put there before the library was loaded passes the same checks, and is
/// dropped with a warning where it fails. `app.current_brand` comes last: whether a value fits depends on the others.
pub fn define() {
    GucRegistry::define_string_guc(
        c"percytech.trusted_logins",
        c"The logins whose claims in request.jwt.claims are believed.",
        c"Names of roles, separated by commas. Only a login that sets the claims from a token that it has verified belongs here.",
        &TRUSTED_LOGINS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"percytech.brand_claim",
        c"Where the claims name the brands that a token may act as.",
        c"Keys with dots between them, or a JSON Pointer. The value is a string or an array of strings. It must not be a claim that users can edit.",
        &BRAND_CLAIM,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"percytech.seal",
        c"Holds the brand context as it is until the transaction ends.",
        c"Set by set_brand_context and apply_request_context. It does not bind superusers.",
        &SEAL,
        GucContext::Suset,
        // RESET ALL resets what its caller may not even set, unless it is told not to.
        GucFlags::NO_RESET_ALL | GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
    );
    define_current_brand();
}

#[expect(
    unsafe_code,
    reason = "a setting with hooks has no safe constructor; the hook is guarded against panics"
)]
fn define_current_brand() {
    // SAFETY: the hook is #[pg_guard], and the name and descriptions are 'static.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"app.current_brand",
            c"The brand whose rows this session sees.",
            c"A label of the enum public.brand_id that the session may act as. When it is empty, no row of a brand table is visible.",
            &CURRENT_BRAND,
            GucContext::Userset,
            GucFlags::default(),
            Some(check_current_brand),
            None,
            None,
        );
    }
}

/// Refuses a brand that is none, or that the session may not act as, wherever the change comes from; and any change of
/// a sealed context.
///
/// Where that cannot be told the value is let pass, since `current_brand()` checks whatever it reads: a parallel worker
/// copies what its leader has; outside a transaction the catalog cannot be read; a configuration file is read on nobody's
/// behalf; and a database without brands may be where a dump of roles is restored.
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
    let is_of_session = source == pg_sys::GucSource::PGC_S_SESSION;
    if !checkable || source == pg_sys::GucSource::PGC_S_FILE || (label.is_empty() && !is_of_session) {
        return true;
    }
    let session = Backend::now();
    if session.brands().is_empty() && !is_of_session {
        return true;
    }
    match check_change(&session, &label.to_string_lossy()) {
        Ok(()) => true,
        Err(refused) => {
            refuse_setting(&refused);
            false
        }
    }
}

/// Makes `brand` the context, as `SET [LOCAL] app.current_brand` does.
pub fn set_current_brand(brand: Option<&Brand>, is_local: bool) {
    let action =
        if is_local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET };
    set(Setting::CurrentBrand, brand.map_or("", Brand::as_str), pg_sys::GucContext::PGC_USERSET, action);
}

/// Seals the context until the transaction ends.
pub fn set_seal(brand: Option<&Brand>) {
    let value = Seal::to(brand).to_setting();
    set(Setting::Seal, &value, pg_sys::GucContext::PGC_SUSET, pg_sys::GucAction::GUC_ACTION_LOCAL);
}

/// What SET does, with the rights that `context` stands for.
#[expect(unsafe_code, reason = "set_config_option is PostgreSQL's own entry point for SET")]
fn set(setting: Setting, value: &str, context: pg_sys::GucContext::Type, action: pg_sys::GucAction::Type) {
    // A label of the enum is a C string already, so it has no NUL within it.
    let (Ok(name), Ok(value)) = (CString::new(setting.name()), CString::new(value)) else { return };
    // SAFETY: both strings outlive the call, which copies them.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}
