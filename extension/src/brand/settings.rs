//! The settings of the brand context.

mod checks;

use std::ffi::{CStr, CString};

use percytech_core::brand::Brand;
use percytech_core::brand::seal::Seal;
use percytech_core::brand::session::Setting;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use checks::Check;

static CURRENT_BRAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SEAL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static LENT_BRAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TRUSTED_LOGINS: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"authenticator"));
static BRAND_CLAIM: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"app_metadata.brand_id"));

/// Defines the settings. What a session had put there before the library was loaded passes the same checks, and is
/// dropped with a warning where it fails. `app.current_brand` comes last: whether a value fits depends on the others.
pub fn define() {
    define_setting(
        c"percytech.trusted_logins",
        c"The logins whose claims in request.jwt.claims are believed.",
        c"Names of roles, separated by commas. Only a login that sets the claims from a token that it has verified belongs here.",
        &TRUSTED_LOGINS,
        GucContext::Suset,
        GucFlags::default(),
        checks::trusted_logins,
    );
    define_setting(
        c"percytech.brand_claim",
        c"Where the claims name the brands that a token may act as.",
        c"Keys with dots between them, or a JSON Pointer. The value is a string or an array of strings. It must not be a claim that users can edit.",
        &BRAND_CLAIM,
        GucContext::Suset,
        GucFlags::default(),
        checks::brand_claim,
    );
    define_setting(
        c"percytech.seal",
        c"Holds the brand context as it is until the transaction ends.",
        c"Set by set_brand_context and apply_request_context. It does not bind superusers.",
        &SEAL,
        GucContext::Suset,
        // RESET ALL resets what its caller may not even set, unless it is told not to.
        GucFlags::NO_RESET_ALL | GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
        checks::seal,
    );
    define_setting(
        c"percytech.lent_brand",
        c"The brand that a function works in whose callers look across brands.",
        c"Set by lend_brand. It counts in the functions that brands are lent to, and nowhere else.",
        &LENT_BRAND,
        GucContext::Suset,
        GucFlags::NO_RESET_ALL | GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
        checks::lent_brand,
    );
    define_setting(
        c"app.current_brand",
        c"The brand whose rows this session sees.",
        c"A label of the enum public.brand_id that the session may act as. When it is empty, no row of a brand table is visible.",
        &CURRENT_BRAND,
        GucContext::Userset,
        GucFlags::default(),
        checks::current_brand,
    );
}

#[expect(
    unsafe_code,
    reason = "a setting with hooks has no safe constructor; the hooks are guarded against panics"
)]
fn define_setting(
    name: &'static CStr,
    what: &'static CStr,
    more: &'static CStr,
    value: &'static GucSetting<Option<CString>>,
    context: GucContext,
    flags: GucFlags,
    check: Check,
) {
    // SAFETY: the hooks are #[pg_guard], and everything else is 'static.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            what,
            more,
            value,
            context,
            flags,
            Some(check),
            None,
            None,
        );
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
    let _ours = checks::ours(Setting::Seal);
    set(Setting::Seal, &value, pg_sys::GucContext::PGC_SUSET, pg_sys::GucAction::GUC_ACTION_LOCAL);
}

/// Lends the function that calls us `brand`, as the SET clause of a function does: until the innermost function ends that
/// has such a clause, however it ends, and with the transaction at the latest.
pub fn set_lent_brand(brand: Option<&Brand>) {
    let _ours = checks::ours(Setting::LentBrand);
    set(
        Setting::LentBrand,
        brand.map_or("", Brand::as_str),
        pg_sys::GucContext::PGC_SUSET,
        pg_sys::GucAction::GUC_ACTION_SAVE,
    );
}

/// What SET does, with the rights that `context` stands for.
#[expect(unsafe_code, reason = "set_config_option is PostgreSQL's own entry point for SET")]
fn set(setting: Setting, value: &str, context: pg_sys::GucContext::Type, action: pg_sys::GucAction::Type) {
    // A label of the enum is a C string already.
    let (Ok(name), Ok(value)) = (CString::new(setting.name()), CString::new(value)) else {
        error!("a brand has a NUL in its name")
    };
    // SAFETY: both strings outlive the call, which copies them.
    let outcome = unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        )
    };
    // What is refused has been raised. That nothing was done would be a context, or a seal, that is not there.
    if outcome <= 0 {
        error!("{} was not set", setting.name());
    }
}
