//! `percytech.state_durations`: the states of one customer, and the time in each.

use percytech_core::analytics::refused::{MAX_EVENTS, MAX_STATE_LENGTH, MAX_STATES, Refused};
use percytech_core::analytics::state_durations::{Event, spent};
use pgrx::datum::Internal;
use pgrx::prelude::*;

use super::arguments::{argument, timestamp};
use super::memory::{List, new_state, push, reserve, returned, state};
use super::message::{Bytea, Message, Received};
use crate::refusal::{or_raise, raise};

struct State {
    names: List<List<u8>>,
    events: List<Event>,
}

impl State {
    /// The place of a name in the list, where it is added if it is new.
    fn place(&mut self, name: &[u8]) -> u32 {
        let known = self.names.iter().position(|other| other.as_slice() == name);
        let place = known.unwrap_or_else(|| {
            if name.len() > MAX_STATE_LENGTH {
                raise(&Refused::LongState);
            }
            if self.names.len() == MAX_STATES {
                raise(&Refused::TooManyStates);
            }
            let mut copy = List::new_in(*self.names.allocator());
            reserve(&mut copy, name.len());
            copy.extend_from_slice(name);
            push(&mut self.names, copy);
            self.names.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    fn add(&mut self, name: &[u8], occurred_at: i64) {
        if self.events.len() == MAX_EVENTS {
            raise(&Refused::TooManyEvents);
        }
        let state = self.place(name);
        push(&mut self.events, Event { occurred_at, state });
    }
}

#[expect(unsafe_code, reason = "the state is where PostgreSQL keeps it")]
unsafe fn empty<'a>(fcinfo: pg_sys::FunctionCallInfo) -> &'a mut State {
    // SAFETY: the caller's.
    unsafe { new_state(fcinfo, |memory| State { names: memory.list(), events: memory.list() }) }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn state_durations_add(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    unsafe {
        let state = state::<State>(fcinfo).unwrap_or_else(|| empty(fcinfo));
        if let (Some(name), Some(occurred_at)) = (argument(fcinfo, 1), argument(fcinfo, 2)) {
            let name = pg_sys::pg_detoast_datum_packed(name.cast_mut_ptr::<pg_sys::varlena>());
            state.add(pgrx::varlena_to_byte_slice(name), timestamp(occurred_at));
        }
        returned(state)
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn state_durations_send(fcinfo: pg_sys::FunctionCallInfo) -> Bytea {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let mut message = Message::new();
    message.write(state.names.len().to_ne_bytes());
    for name in &state.names {
        message.write(name.len().to_ne_bytes());
        message.write_all(name);
    }
    for event in &state.events {
        message.write(event.occurred_at.to_ne_bytes());
        message.write(event.state.to_ne_bytes());
    }
    message.into_bytea()
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn state_durations_combine(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let (state, received) = unsafe { (state::<State>(fcinfo), Received::argument(fcinfo, 1)) };
    let Some(mut received) = received else {
        return state.map_or(Internal::from(None), returned);
    };
    // SAFETY: as above.
    let state = state.unwrap_or_else(|| unsafe { empty(fcinfo) });
    let mut names = [&[][..]; MAX_STATES];
    let count = usize::from_ne_bytes(received.read());
    for name in &mut names[..count] {
        let length = usize::from_ne_bytes(received.read());
        *name = received.read_all(length);
    }
    while !received.is_over() {
        let occurred_at = i64::from_ne_bytes(received.read());
        let at = u32::from_ne_bytes(received.read());
        state.add(names[at as usize], occurred_at);
    }
    returned(state)
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn state_durations_result(fcinfo: pg_sys::FunctionCallInfo) -> Option<pgrx::JsonB> {
    // SAFETY: as above.
    let state = unsafe { state::<State>(fcinfo) }?;
    let names: Vec<_> = state.names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    let times = or_raise(spent(&mut state.events, &names));
    let states = names.iter().zip(times).map(|(name, time)| {
        #[expect(clippy::cast_precision_loss, reason = "a microsecond in three hundred years")]
        let seconds = time.microseconds as f64 / 1e6;
        let told = serde_json::json!({
            "visits": time.visits,
            "seconds": seconds,
            "is_current": time.is_current,
        });
        (name.to_string(), told)
    });
    Some(pgrx::JsonB(serde_json::Value::Object(states.collect())))
}
