//! What the functions of aggregates are called with, read without a copy: they are called for every row.

use percytech_core::analytics::refused::{Refused, window};
use percytech_core::analytics::window_funnel::MAX_STEPS;
use pgrx::prelude::*;

use crate::refusal::{or_raise, raise};

/// The argument at a place; none where it is NULL.
///
/// # Safety
///
/// The function is called with more than `at` arguments.
#[expect(unsafe_code, reason = "arguments come by pointer")]
pub unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, at: usize) -> Option<pg_sys::Datum> {
    // SAFETY: the caller's.
    let argument = unsafe { &*(&raw const (*fcinfo).args).cast::<pg_sys::NullableDatum>().add(at) };
    (!argument.isnull).then_some(argument.value)
}

/// The argument that has to be there; 22004.
///
/// # Safety
///
/// As of `argument`.
#[expect(unsafe_code, reason = "arguments come by pointer")]
pub unsafe fn required(fcinfo: pg_sys::FunctionCallInfo, at: usize, name: &'static str) -> pg_sys::Datum {
    // SAFETY: the caller's.
    or_raise(unsafe { argument(fcinfo, at) }.ok_or(Refused::Null(name)))
}

/// A timestamp, in microseconds.
#[expect(clippy::cast_possible_wrap, reason = "PostgreSQL's timestamp is a signed number in the datum")]
pub fn timestamp(datum: pg_sys::Datum) -> i64 {
    datum.value() as i64
}

/// How long a window is, in microseconds; 22023.
///
/// # Safety
///
/// The datum is an interval.
#[expect(unsafe_code, reason = "an interval comes by pointer")]
pub unsafe fn window_of(interval: pg_sys::Datum) -> i64 {
    // SAFETY: the caller's.
    let interval = unsafe { &*interval.cast_mut_ptr::<pg_sys::Interval>() };
    or_raise(window(interval.month, interval.day, interval.time))
}

/// Which elements of a `boolean[]` are true, the first in the lowest bit, and how many there are; 22023 of more than
/// [`MAX_STEPS`], or of none.
///
/// # Safety
///
/// The datum is a `boolean[]`.
#[expect(unsafe_code, reason = "an array comes by pointer")]
pub unsafe fn conditions(datum: pg_sys::Datum, name: &'static str) -> (u32, usize) {
    // SAFETY: the caller's.
    let (values, count) = unsafe { elements::<u8>(datum, name) };
    let bits = values[..count]
        .iter()
        .enumerate()
        .fold(0, |bits, (at, value)| bits | u32::from(*value == Some(1)) << at);
    (bits, count)
}

/// The labels of an array of an enum, by their OIDs; 22023, or 22004 where one is NULL.
///
/// # Safety
///
/// The datum is an array of an enum.
#[expect(unsafe_code, reason = "an array comes by pointer")]
pub unsafe fn labels(datum: pg_sys::Datum, name: &'static str) -> ([u32; MAX_STEPS], usize) {
    // SAFETY: the caller's.
    let (values, count) = unsafe { elements::<u32>(datum, name) };
    let mut labels = [0; MAX_STEPS];
    for (label, value) in labels.iter_mut().zip(&values[..count]) {
        *label = or_raise(value.ok_or(Refused::Null(name)));
    }
    (labels, count)
}

/// The elements of an array of one dimension, of a type of this size and alignment.
#[expect(unsafe_code, reason = "an array comes by pointer")]
unsafe fn elements<T: Copy>(datum: pg_sys::Datum, name: &'static str) -> ([Option<T>; MAX_STEPS], usize) {
    // SAFETY: the caller's. What is toasted is copied, which stays until the row has been read.
    let array = unsafe {
        let varlena = datum.cast_mut_ptr::<pg_sys::varlena>();
        let is_plain = pgrx::varatt_is_4b_u(varlena);
        let plain = if is_plain { datum } else { pg_sys::Datum::from(pg_sys::pg_detoast_datum(varlena)) };
        plain.cast_mut_ptr::<pg_sys::ArrayType>()
    };
    // SAFETY: the header of an array is followed by its dimensions, their lower bounds, a bit for each element where any is
    // NULL, and the elements that are not.
    unsafe {
        let header = &*array;
        match header.ndim {
            0 => raise(&Refused::Empty(name)),
            1 => {}
            _ => raise(&Refused::Dimensions(name)),
        }
        let count = usize::try_from(*array.add(1).cast::<i32>()).unwrap_or_default();
        if count > MAX_STEPS {
            raise(&Refused::TooMany(name));
        }
        let start = array.cast::<u8>();
        let bounds = size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>();
        let nulls = (header.dataoffset != 0).then(|| start.add(bounds));
        let data = match usize::try_from(header.dataoffset) {
            Ok(offset) if offset != 0 => offset,
            _ => bounds.next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize),
        };
        let mut next = start.add(data).cast::<T>();
        let mut values = [None; MAX_STEPS];
        for (at, value) in values[..count].iter_mut().enumerate() {
            if nulls.is_none_or(|bits| *bits.add(at / 8) >> (at % 8) & 1 == 1) {
                *value = Some(next.read());
                next = next.add(1);
            }
        }
        (values, count)
    }
}
