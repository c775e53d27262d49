//! From a refusal of the core to PostgreSQL's error report: SQLSTATE, message, detail, hint.

use std::ffi::{CString, c_char};

use percytech_core::error::Refusal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The value, or the refusal raised as an SQL error.
pub fn or_raise<T, R: Refusal>(result: Result<T, R>) -> T {
    result.unwrap_or_else(|refusal| raise(&refusal))
}

/// Raises the refusal as an SQL error.
pub fn raise(refusal: &dyn Refusal) -> ! {
    let mut report = ErrorReport::new(errcode(refusal), refusal.to_string(), "");
    if let Some(detail) = refusal.detail() {
        report = report.set_detail(detail);
    }
    if let Some(hint) = refusal.hint() {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("a report of level ERROR does not return")
}

/// Leaves the refusal where PostgreSQL looks for the words of a check hook that returns false.
#[expect(unsafe_code, reason = "the words are global variables of PostgreSQL")]
pub fn refuse_setting(refusal: &dyn Refusal) {
    // SAFETY: a backend has one thread, and the strings are copied into a context that outlives the report.
    unsafe {
        pg_sys::GUC_check_errcode(errcode(refusal) as i32);
        pg_sys::GUC_check_errmsg_string = in_error_context(Some(refusal.to_string()));
        pg_sys::GUC_check_errdetail_string = in_error_context(refusal.detail());
        pg_sys::GUC_check_errhint_string = in_error_context(refusal.hint());
    }
}

#[expect(unsafe_code, reason = "the copy belongs to PostgreSQL's error context")]
unsafe fn in_error_context(text: Option<String>) -> *mut c_char {
    let Some(text) = text.and_then(|text| CString::new(text).ok()) else { return std::ptr::null_mut() };
    // SAFETY: ErrorContext exists from the start of the backend, and the text is a C string.
    unsafe { pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, text.as_ptr()) }
}

fn errcode(refusal: &dyn Refusal) -> PgSqlErrorCode {
    match refusal.sqlstate() {
        "42501" => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "22004" => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        "22008" => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
        "54000" => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        "22023" => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    }
}
