//! The state of an aggregate as the bytes that one parallel process sends another, on one machine.

use pgrx::datum::Internal;
use pgrx::prelude::*;

use super::memory::{Context, List, push, reserve};

const HEADER: usize = size_of::<u32>();

/// What is sent.
pub struct Message(List<u8>);

impl Message {
    pub fn new() -> Self {
        Self::of(64)
    }

    /// One with room for so many bytes, before it takes more.
    pub fn of(length: usize) -> Self {
        let mut bytes = Context::current().list();
        reserve(&mut bytes, HEADER + length);
        bytes.extend_from_slice(&[0; HEADER]);
        Self(bytes)
    }

    pub fn write<const N: usize>(&mut self, bytes: [u8; N]) {
        self.write_all(&bytes);
    }

    pub fn write_all(&mut self, bytes: &[u8]) {
        reserve(&mut self.0, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The message as a `bytea`; 54000 where it is longer than one can be.
    pub fn into_bytea(mut self) -> Bytea {
        let length = self.0.len();
        let Some(header) = u32::try_from(length).ok().filter(|&length| length < 1 << 30) else {
            ereport!(
                ERROR,
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "the state of an aggregate is too large to be sent to another process",
                "Look at a shorter time, or set max_parallel_workers_per_gather = 0."
            );
        };
        // As SET_VARSIZE does it.
        let header = if cfg!(target_endian = "big") { header } else { header << 2 };
        self.0[..HEADER].copy_from_slice(&header.to_ne_bytes());
        let start = self.0.as_mut_ptr();
        // It belongs to the memory context now.
        std::mem::forget(self.0);
        Internal::from(Some(pg_sys::Datum::from(start)))
    }
}

/// A `bytea` that a function returns: to pgrx a datum like any other.
pub type Bytea = Internal;

/// What was received.
pub struct Received<'a>(&'a [u8]);

impl<'a> Received<'a> {
    /// The message that is an argument of a combine function; none where there is none.
    ///
    /// # Safety
    ///
    /// The argument is what `aggregate_state_received` has returned.
    #[expect(unsafe_code, reason = "a bytea comes by pointer")]
    pub unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, at: usize) -> Option<Self> {
        // SAFETY: the caller's.
        unsafe {
            let varlena = super::arguments::argument(fcinfo, at)?.cast_mut_ptr::<pg_sys::varlena>();
            Some(Self(pgrx::varlena_to_byte_slice(varlena)))
        }
    }

    pub fn read<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((bytes, rest)) => {
                self.0 = rest;
                *bytes
            }
            None => cut_short(),
        }
    }

    pub fn read_all(&mut self, length: usize) -> &'a [u8] {
        match self.0.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.0 = rest;
                bytes
            }
            None => cut_short(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

fn cut_short() -> ! {
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "the state of an aggregate is cut short");
}

/// The deserialise function of all aggregates: what was sent, as it is. The combine function reads it.
#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn aggregate_state_received(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it, with a bytea that is not NULL. The copy is in the memory of this call, which stays until
    // the combine function has read it.
    unsafe {
        let sent = super::arguments::required(fcinfo, 0, "the state").cast_mut_ptr::<pg_sys::varlena>();
        Internal::from(Some(pg_sys::Datum::from(pg_sys::pg_detoast_datum(sent))))
    }
}

/// Adds so many elements, which are read from a message.
pub fn read_into<T>(list: &mut List<T>, count: usize, mut read: impl FnMut() -> T) {
    for _ in 0..count {
        push(list, read());
    }
}
