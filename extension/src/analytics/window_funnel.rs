//! `percytech.window_funnel`: the events of one customer, and how far they come.

use percytech_core::analytics::refused::{MAX_EVENTS, Refused};
use percytech_core::analytics::window_funnel::{Event, window_funnel};
use pgrx::datum::Internal;
use pgrx::prelude::*;

use super::arguments::{argument, conditions, required, timestamp, window_of};
use super::memory::{List, new_state, push, returned, state};
use super::message::{Bytea, Message, Received, read_into};
use crate::refusal::raise;

struct State {
    window: i64,
    steps: usize,
    /// Of the events that are steps: the others count for nothing.
    events: List<Event>,
}

impl State {
    fn check(&self, window: i64, steps: usize) {
        if self.window != window {
            raise(&Refused::Varies("within_window"));
        }
        if self.steps != steps {
            raise(&Refused::Varies("the number of steps"));
        }
    }

    fn add(&mut self, event: Event) {
        if let Some(last) = self.events.last_mut().filter(|last| last.occurred_at == event.occurred_at) {
            last.steps |= event.steps;
        } else if self.events.len() == MAX_EVENTS {
            raise(&Refused::TooManyEvents);
        } else {
            push(&mut self.events, event);
        }
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn window_funnel_add(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    unsafe {
        let window = window_of(required(fcinfo, 1, "within_window"));
        let (bits, steps) = conditions(required(fcinfo, 3, "steps"), "steps");
        let state = match state::<State>(fcinfo) {
            Some(state) => {
                state.check(window, steps);
                state
            }
            None => new_state(fcinfo, |memory| State { window, steps, events: memory.list() }),
        };
        if let Some(occurred_at) = argument(fcinfo, 2).filter(|_| bits != 0) {
            state.add(Event { occurred_at: timestamp(occurred_at), steps: bits });
        }
        returned(state)
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn window_funnel_send(fcinfo: pg_sys::FunctionCallInfo) -> Bytea {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let mut message = Message::new();
    message.write(state.window.to_ne_bytes());
    message.write(state.steps.to_ne_bytes());
    message.write(state.events.len().to_ne_bytes());
    for event in &state.events {
        message.write(event.occurred_at.to_ne_bytes());
        message.write(event.steps.to_ne_bytes());
    }
    message.into_bytea()
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn window_funnel_combine(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let (state, received) = unsafe { (state::<State>(fcinfo), Received::argument(fcinfo, 1)) };
    let Some(mut received) = received else {
        return state.map_or(Internal::from(None), returned);
    };
    let window = i64::from_ne_bytes(received.read());
    let steps = usize::from_ne_bytes(received.read());
    // SAFETY: as above.
    let state = state.unwrap_or_else(|| unsafe {
        new_state(fcinfo, |memory| State { window, steps, events: memory.list() })
    });
    state.check(window, steps);
    let count = usize::from_ne_bytes(received.read());
    if state.events.len() + count > MAX_EVENTS {
        raise(&Refused::TooManyEvents);
    }
    read_into(&mut state.events, count, || Event {
        occurred_at: i64::from_ne_bytes(received.read()),
        steps: u32::from_ne_bytes(received.read()),
    });
    returned(state)
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn window_funnel_level(fcinfo: pg_sys::FunctionCallInfo) -> i32 {
    // SAFETY: as above.
    let state = unsafe { state::<State>(fcinfo) };
    let level = state.map_or(0, |state| window_funnel(&mut state.events, state.steps, state.window));
    i32::try_from(level).unwrap_or(i32::MAX)
}
