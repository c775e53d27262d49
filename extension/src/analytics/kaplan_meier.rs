//! `percytech.kaplan_meier`: the subjects, and their curve.

use percytech_core::analytics::kaplan_meier::{Subject, curve};
use percytech_core::analytics::refused::{MAX_EVENTS, Refused};
use pgrx::datum::Internal;
use pgrx::prelude::*;

use super::arguments::{argument, required};
use super::memory::{List, new_state, push, returned, state};
use super::message::{Bytea, Message, Received, read_into};
use super::rows;
use crate::refusal::{or_raise, raise};

/// The confidence of the limits, where none is asked for.
const CONFIDENCE: f64 = 0.95;

struct State {
    confidence: f64,
    subjects: List<Subject>,
}

impl State {
    fn check(&self, confidence: f64) {
        if self.confidence.to_bits() != confidence.to_bits() {
            raise(&Refused::Varies("confidence"));
        }
    }
}

fn float(datum: pg_sys::Datum) -> f64 {
    f64::from_bits(datum.value() as u64)
}

fn count(number: u64) -> rows::Column {
    i64::try_from(number).unwrap_or(i64::MAX).into_datum()
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn kaplan_meier_add(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    unsafe {
        let is_asked_for = (*fcinfo).nargs > 3;
        let confidence = if is_asked_for { float(required(fcinfo, 3, "confidence")) } else { CONFIDENCE };
        let state = match state::<State>(fcinfo) {
            Some(state) => {
                state.check(confidence);
                state
            }
            None => new_state(fcinfo, |memory| State { confidence, subjects: memory.list() }),
        };
        if let (Some(duration), Some(observed)) = (argument(fcinfo, 1), argument(fcinfo, 2)) {
            if state.subjects.len() == MAX_EVENTS {
                raise(&Refused::TooManyEvents);
            }
            let subject = Subject { duration: float(duration), observed: observed.value() & 1 == 1 };
            push(&mut state.subjects, subject);
        }
        returned(state)
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn kaplan_meier_send(fcinfo: pg_sys::FunctionCallInfo) -> Bytea {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let mut message = Message::new();
    message.write(state.confidence.to_ne_bytes());
    message.write(state.subjects.len().to_ne_bytes());
    for subject in &state.subjects {
        message.write(subject.duration.to_ne_bytes());
        message.write([u8::from(subject.observed)]);
    }
    message.into_bytea()
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn kaplan_meier_combine(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let (state, received) = unsafe { (state::<State>(fcinfo), Received::argument(fcinfo, 1)) };
    let Some(mut received) = received else {
        return state.map_or(Internal::from(None), returned);
    };
    let confidence = f64::from_ne_bytes(received.read());
    // SAFETY: as above.
    let state = state.unwrap_or_else(|| unsafe {
        new_state(fcinfo, |memory| State { confidence, subjects: memory.list() })
    });
    state.check(confidence);
    let count = usize::from_ne_bytes(received.read());
    if state.subjects.len() + count > MAX_EVENTS {
        raise(&Refused::TooManyEvents);
    }
    read_into(&mut state.subjects, count, || Subject {
        duration: f64::from_ne_bytes(received.read()),
        observed: received.read() == [1],
    });
    returned(state)
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn kaplan_meier_curve(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let curve = or_raise(curve(&mut state.subjects, state.confidence));
    let points = curve.points().map(|point| {
        [
            point.time.into_datum(),
            count(point.at_risk),
            count(point.events),
            count(point.censored),
            point.survival.into_datum(),
            point.std_error.into_datum(),
            point.lower.into_datum(),
            point.upper.into_datum(),
        ]
    });
    // SAFETY: these are the columns of survival_point.
    unsafe { rows::array(fcinfo, points) }
}
