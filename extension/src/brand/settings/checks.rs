//! The checks of what the settings of the brand context are set to.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};

use percytech_core::brand::context::check_change;
use percytech_core::brand::refused::NotASuperuser;
use percytech_core::brand::session::{Session, Setting};
use pgrx::prelude::*;

use crate::brand::backend::{Backend, beginning};
use crate::refusal::refuse_setting;

/// What PostgreSQL asks before it sets a setting: the new value, and where it comes from.
pub type Check =
    unsafe extern "C-unwind" fn(*mut *mut c_char, *mut *mut c_void, pg_sys::GucSource::Type) -> bool;

/// Refuses a brand that is none, or that the session may not act as, wherever the change comes from; and any change of
/// a sealed context.
///
/// Where that cannot be told the value is let pass, since `current_brand()` checks whatever it reads: a parallel worker
/// copies what its leader has; outside a transaction the catalog cannot be read; a configuration file is read on nobody's
/// behalf; and a database without brands may be where a dump of roles is restored.
#[pg_guard]
#[expect(unsafe_code, reason = "PostgreSQL passes the new value by pointer")]
pub unsafe extern "C-unwind" fn current_brand(
    newval: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL calls a check hook with a pointer to the new value, which is NULL or a C string.
    let label = unsafe {
        let value = *newval;
        if value.is_null() { c"" } else { CStr::from_ptr(value) }
    };
    let is_of_session = source == pg_sys::GucSource::PGC_S_SESSION;
    if !is_checkable() || source == pg_sys::GucSource::PGC_S_FILE || (label.is_empty() && !is_of_session) {
        return true;
    }
    let session = Backend::now();
    if session.brands().is_empty() && !is_of_session {
        return true;
    }
    match check_change(&session, &beginning(label)) {
        Ok(()) => true,
        Err(refused) => {
            refuse_setting(&refused);
            false
        }
    }
}

/// Whether there is a session that a value can be checked for, and it has not been already.
#[expect(unsafe_code, reason = "PostgreSQL keeps its state in variables of its own")]
fn is_checkable() -> bool {
    // SAFETY: a backend has one thread.
    unsafe {
        !pg_sys::InitializingParallelWorker
            && pg_sys::IsTransactionState()
            && pg_sys::MyDatabaseId != pg_sys::InvalidOid
    }
}

macro_rules! check_of_superusers_setting {
    ($name:ident, $setting:expr) => {
        /// Refuses a change in the session of somebody who may not set it, wherever it comes from.
        #[pg_guard]
        #[expect(unsafe_code, reason = "PostgreSQL's hooks are unsafe functions; this one reads no pointer")]
        pub unsafe extern "C-unwind" fn $name(
            _newval: *mut *mut c_char,
            _extra: *mut *mut c_void,
            source: pg_sys::GucSource::Type,
        ) -> bool {
            may_set($setting, source)
        }
    };
}

check_of_superusers_setting!(trusted_logins, Setting::TrustedLogins);
check_of_superusers_setting!(brand_claim, Setting::BrandClaim);
check_of_superusers_setting!(seal, Setting::Seal);
check_of_superusers_setting!(lent_brand, Setting::LentBrand);

thread_local! {
    /// Which setting of superusers it is us who set.
    static OURS: Cell<Option<Setting>> = const { Cell::new(None) };
}

/// While this lives, we set a setting of superusers.
pub struct Ours;

/// Has the setting be set by us on behalf of whoever called.
pub fn ours(setting: Setting) -> Ours {
    OURS.set(Some(setting));
    Ours
}

impl Drop for Ours {
    fn drop(&mut self) {
        OURS.set(None);
    }
}

/// Whether the role that counts may set a setting of superusers in its session. PostgreSQL asks that of the owner of a
/// SECURITY DEFINER function that sets what it is told to; its callers would decide whom to believe.
#[expect(unsafe_code, reason = "PostgreSQL's catalog cache is asked")]
#[allow(clippy::useless_conversion, reason = "the type is wider since PostgreSQL 16")]
fn may_set(setting: Setting, source: pg_sys::GucSource::Type) -> bool {
    let is_of_session = source == pg_sys::GucSource::PGC_S_SESSION;
    if !is_checkable() || !is_of_session || OURS.get() == Some(setting) {
        return true;
    }
    let Ok(name) = CString::new(setting.name()) else { return false };
    // SAFETY: within a transaction; the name outlives the call.
    let allowed = unsafe {
        pg_sys::pg_parameter_aclcheck(name.as_ptr(), pg_sys::GetOuterUserId(), pg_sys::ACL_SET.into())
    };
    if allowed == pg_sys::AclResult::ACLCHECK_OK {
        return true;
    }
    refuse_setting(&NotASuperuser { setting: setting.name(), role: Backend::now().role() });
    false
}
