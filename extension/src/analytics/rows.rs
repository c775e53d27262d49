//! An array of rows, as what an aggregate returns.

use percytech_core::analytics::refused::{MAX_POINTS, Refused};
use pgrx::datum::Internal;
use pgrx::prelude::*;

use crate::refusal::raise;

use super::memory::{Context, push};

/// A column of a row: NULL where there is none.
pub type Column = Option<pg_sys::Datum>;

/// The rows as an array of the composite type that the aggregate is declared to return an array of.
///
/// # Safety
///
/// The columns are of the types that the composite type has.
#[expect(unsafe_code, reason = "PostgreSQL builds rows and arrays from pointers")]
pub unsafe fn array<const N: usize>(
    fcinfo: pg_sys::FunctionCallInfo,
    rows: impl Iterator<Item = [Column; N]>,
) -> Internal {
    // SAFETY: the caller's; the descriptor is a copy that nobody else has.
    unsafe {
        let array = pg_sys::get_fn_expr_rettype((*fcinfo).flinfo);
        let row_type = pg_sys::get_element_type(array);
        let columns = pg_sys::lookup_rowtype_tupdesc_copy(row_type, -1);
        let mut tuples = Context::current().list();
        for row in rows {
            if tuples.len() == MAX_POINTS {
                raise(&Refused::TooManyPoints);
            }
            let mut values = row.map(|column| column.unwrap_or(pg_sys::Datum::null()));
            let mut nulls = row.map(|column| column.is_none());
            let tuple = pg_sys::heap_form_tuple(columns, values.as_mut_ptr(), nulls.as_mut_ptr());
            push(&mut tuples, pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data));
            if tuples.len().is_multiple_of(1024) {
                pgrx::check_for_interrupts!();
            }
        }
        let count = i32::try_from(tuples.len()).unwrap_or(i32::MAX);
        let alignment = std::ffi::c_char::try_from(pg_sys::TYPALIGN_DOUBLE).unwrap_or_default();
        let built = pg_sys::construct_array(tuples.as_mut_ptr(), count, row_type, -1, false, alignment);
        Internal::from(Some(pg_sys::Datum::from(built)))
    }
}
