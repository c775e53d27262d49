//! The states of aggregates, in memory of PostgreSQL: accounted to the aggregate's memory context, and freed with it.
//!
//! A state and its lists are never dropped. They hold nothing but memory of the context.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::vec::Vec;
use pgrx::datum::Internal;
use pgrx::prelude::*;

/// A memory context as the place where lists and tables are kept. It outlives them.
#[derive(Clone, Copy)]
pub struct Context(pg_sys::MemoryContext);

/// A list in memory of PostgreSQL.
pub type List<T> = Vec<T, Context>;

/// How PostgreSQL aligns what it allocates.
const ALIGNMENT: usize = pg_sys::MAXIMUM_ALIGNOF as usize;

#[expect(unsafe_code, reason = "PostgreSQL allocates by the pointer")]
// SAFETY: what is allocated stays where it is until it is freed, and a copy of the context is the same context.
unsafe impl Allocator for Context {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // A greater alignment than PostgreSQL's takes some more, and the address that PostgreSQL knows just before it.
        let is_aligned = layout.align() <= ALIGNMENT;
        let more = if is_aligned { 0 } else { layout.align() + ALIGNMENT };
        let size = layout.size().checked_add(more).ok_or(AllocError)?.max(1);
        if isize::try_from(size).is_err() {
            return Err(AllocError);
        }
        let flags = (pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_NO_OOM).cast_signed();
        // SAFETY: the context is alive; without memory the answer is NULL.
        let address = unsafe { pg_sys::MemoryContextAllocExtended(self.0, size, flags) };
        let address = NonNull::new(address.cast::<u8>()).ok_or(AllocError)?;
        let start = if is_aligned {
            address
        } else {
            // SAFETY: `more` bytes were asked for, so that the aligned address and the word before it are within.
            unsafe {
                let after = address.add(ALIGNMENT);
                let start = after.add(after.align_offset(layout.align()));
                start.sub(ALIGNMENT).cast::<NonNull<u8>>().write(address);
                start
            }
        };
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        // SAFETY: as `allocate` has left it.
        unsafe {
            let is_aligned = layout.align() <= ALIGNMENT;
            let address = if is_aligned { start } else { start.sub(ALIGNMENT).cast::<NonNull<u8>>().read() };
            pg_sys::pfree(address.as_ptr().cast());
        }
    }
}

impl Context {
    /// The context that functions allocate in by default: that of one call.
    pub fn current() -> Self {
        #[expect(unsafe_code, reason = "PostgreSQL keeps it in a variable of its own")]
        // SAFETY: a backend has one thread.
        Self(unsafe { pg_sys::CurrentMemoryContext })
    }

    pub fn list<T>(self) -> List<T> {
        List::new_in(self)
    }
}

/// Adds to a list; 53200 where there is no memory for it.
pub fn push<T>(list: &mut List<T>, value: T) {
    reserve(list, 1);
    list.push(value);
}

/// Makes room for so many more; 53200 where there is no memory for them.
pub fn reserve<T>(list: &mut List<T>, more: usize) {
    if list.capacity() - list.len() < more && list.try_reserve(more).is_err() {
        out_of_memory();
    }
}

/// Raises 53200.
pub fn out_of_memory() -> ! {
    ereport!(
        ERROR,
        PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        "there is no memory for the state of an aggregate"
    );
}

/// The state of an aggregate, the first argument of its functions; none before the first row.
///
/// # Safety
///
/// The function is that of an aggregate whose state is an `S`.
#[expect(unsafe_code, reason = "the type of an internal state is known to its aggregate alone")]
pub unsafe fn state<'a, S>(fcinfo: pg_sys::FunctionCallInfo) -> Option<&'a mut S> {
    // SAFETY: the caller's.
    unsafe { super::arguments::argument(fcinfo, 0)?.cast_mut_ptr::<S>().as_mut() }
}

/// A new state, in the memory of the aggregate that is being computed.
///
/// # Safety
///
/// `fcinfo` is that of the call.
#[expect(unsafe_code, reason = "the state is where PostgreSQL keeps it")]
pub unsafe fn new_state<'a, S>(
    fcinfo: pg_sys::FunctionCallInfo,
    new: impl FnOnce(Context) -> S,
) -> &'a mut S {
    let mut context = std::ptr::null_mut();
    // SAFETY: the caller's.
    if unsafe { pg_sys::AggCheckCallContext(fcinfo, &raw mut context) } == 0 {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, "this is a function of an aggregate");
    }
    let context = Context(context);
    let Ok(place) = context.allocate(Layout::new::<S>()) else { out_of_memory() };
    let place = place.cast::<S>();
    // SAFETY: it was allocated for this.
    unsafe {
        place.write(new(context));
        &mut *place.as_ptr()
    }
}

/// The state as what a transition function returns.
pub fn returned<S>(state: &mut S) -> Internal {
    Internal::from(Some(pg_sys::Datum::from(std::ptr::from_mut(state))))
}
