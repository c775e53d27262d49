//! `percytech.retention`: which conditions the rows of one customer met. Its state is a `bigint`: the number of conditions
//! in the upper half, those that were met in the lower one.

use percytech_core::analytics::refused::Refused;
use percytech_core::analytics::retention::Retention;
use pgrx::prelude::*;

use super::arguments::{conditions, required};
use crate::refusal::raise;

/// The most conditions there may be: a bit each.
const MOST: u32 = u32::BITS;

#[derive(Clone, Copy)]
struct State {
    count: u32,
    retention: Retention,
}

impl State {
    /// Anybody may call the parts of the aggregate with any number: there are never more conditions than possible.
    fn of(state: i64) -> Self {
        let [count, met] =
            [state >> 32, state].map(|half| u32::try_from(half & 0xffff_ffff).unwrap_or(u32::MAX));
        Self { count: count.min(MOST), retention: Retention { met } }
    }

    fn into_i64(self) -> i64 {
        i64::from(self.count) << 32 | i64::from(self.retention.met)
    }

    fn combine(mut self, other: Self) -> Self {
        if self.count != other.count {
            raise(&Refused::Varies("the number of conditions"));
        }
        self.retention.combine(other.retention);
        self
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn retention_add(fcinfo: pg_sys::FunctionCallInfo) -> i64 {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    let (state, (bits, count)) = unsafe {
        let state = super::arguments::argument(fcinfo, 0).map(super::arguments::timestamp);
        (state.map(State::of), conditions(required(fcinfo, 1, "conditions"), "conditions"))
    };
    let row = State { count: u32::try_from(count).unwrap_or(MOST), retention: Retention { met: bits } };
    state.map_or(row, |state| state.combine(row)).into_i64()
}

/// Strict: a process without rows has no state.
#[pg_extern(sql = false)]
fn retention_combine(state: i64, other: i64) -> i64 {
    State::of(state).combine(State::of(other)).into_i64()
}

/// Strict: of no rows nobody knows how many conditions there are.
#[pg_extern(sql = false)]
fn retention_result(state: i64) -> Vec<bool> {
    let state = State::of(state);
    let result = state.retention.result();
    (0..state.count).map(|at| result >> at & 1 == 1).collect()
}
