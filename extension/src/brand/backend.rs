//! The session of this backend, as the rules see it.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use percytech_core::brand::Brands;
use percytech_core::brand::session::{Session, Setting};
use pgrx::pg_sys;

use super::labels::brands;

/// The session of this backend. It lives no longer than one call: roles and brands may change after it.
pub struct Backend {
    brands: Brands,
    role: pg_sys::Oid,
    /// Whom the code at hand runs as.
    current: pg_sys::Oid,
    is_restricted: bool,
}

impl Backend {
    /// The session as it is now. To be called within a transaction.
    #[expect(unsafe_code, reason = "PostgreSQL keeps the roles in variables of its own")]
    pub fn now() -> Self {
        // SAFETY: within a transaction the session's roles are known.
        let (role, current, is_restricted) = unsafe {
            (pg_sys::GetOuterUserId(), pg_sys::GetUserId(), pg_sys::InSecurityRestrictedOperation())
        };
        // Who maintains what is their own does so on their own behalf.
        Self { brands: brands(), role, current, is_restricted: is_restricted && current != role }
    }
}

impl Session for Backend {
    fn brands(&self) -> &Brands {
        &self.brands
    }

    fn role(&self) -> String {
        let name = role_name(self.role);
        if name.is_empty() { format!("with OID {}, which was dropped", self.role.to_u32()) } else { name }
    }

    #[expect(unsafe_code, reason = "PostgreSQL keeps the login in a variable of its own")]
    fn login(&self) -> String {
        // SAFETY: as in `now`.
        role_name(unsafe { pg_sys::GetSessionUserId() })
    }

    #[expect(unsafe_code, reason = "PostgreSQL's catalog cache is asked")]
    fn is_superuser(&self) -> bool {
        // SAFETY: within a transaction.
        unsafe { pg_sys::superuser_arg(self.role) }
    }

    fn is_member_of(&self, group: &str) -> bool {
        is_member_of(self.role, group)
    }

    fn definer_is_member_of(&self, group: &str) -> bool {
        self.current != self.role && is_member_of(self.current, group)
    }

    fn is_restricted(&self) -> bool {
        self.is_restricted
    }

    #[expect(unsafe_code, reason = "PostgreSQL returns the value by pointer")]
    fn setting(&self, setting: Setting) -> Option<String> {
        let name = CString::new(setting.name()).ok()?;
        // SAFETY: the value is NULL or a C string that stays until the setting changes, and it is copied at once.
        unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!value.is_null()).then(|| beginning(CStr::from_ptr(value)).into_owned())
        }
    }
}

#[expect(unsafe_code, reason = "PostgreSQL's catalog cache is asked")]
fn is_member_of(member: pg_sys::Oid, group: &str) -> bool {
    let Ok(name) = CString::new(group) else { return false };
    // SAFETY: within a transaction; the name outlives the call.
    let group = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    group != pg_sys::InvalidOid && is_member(member, group)
}

/// So much of a setting is read, in bytes: anybody may set one to a gigabyte, and what has to be copied and parsed must
/// not exhaust the server's memory. Of claims that are longer a part is left, which is no JSON, and names nothing.
const LONGEST_READ: usize = 4 << 20;

/// A text, or the beginning of one that is too long.
pub fn beginning(text: &CStr) -> Cow<'_, str> {
    let bytes = text.to_bytes();
    String::from_utf8_lossy(bytes.get(..LONGEST_READ).unwrap_or(bytes))
}

/// Since PostgreSQL 16 a member may have neither the role's rights nor SET ROLE to it: who merely administers a role is
/// none here.
#[cfg(not(feature = "pg15"))]
#[expect(unsafe_code, reason = "PostgreSQL's catalog cache is asked")]
fn is_member(member: pg_sys::Oid, group: pg_sys::Oid) -> bool {
    // SAFETY: within a transaction.
    unsafe { pg_sys::has_privs_of_role(member, group) || pg_sys::member_can_set_role(member, group) }
}

#[cfg(feature = "pg15")]
#[expect(unsafe_code, reason = "PostgreSQL's catalog cache is asked")]
fn is_member(member: pg_sys::Oid, group: pg_sys::Oid) -> bool {
    // SAFETY: within a transaction.
    unsafe { pg_sys::is_member_of_role(member, group) }
}

/// The name of a role; empty where it has just been dropped.
#[expect(unsafe_code, reason = "PostgreSQL returns the name by pointer")]
fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: within a transaction; the name is NULL or a C string, and it is copied at once.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}
