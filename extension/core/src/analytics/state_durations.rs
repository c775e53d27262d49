//! How long a customer was in each state, by the events that brought it there.
//!
//! An event puts the customer into a state, where it stays until the next event. The rules:
//!
//! - The order in which the events come does not matter, only their times.
//! - Events in a row of the same state are one visit to it, from the first of them on.
//! - Events of one instant are taken in the order of their states' names, by bytes; each state but the last of them is
//!   visited for no time. An event that is there twice counts once.
//! - The state of the last event is the current one. How long it lasts from that event on nobody knows, and no time is
//!   counted for it. So the times of all states add up to the time from the first event to the last.

use crate::error::Refusal;

/// A customer came into a state.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in microseconds from any beginning.
    pub occurred_at: i64,
    /// The state, by its place in the list of names.
    pub state: u32,
}

/// What a customer spent in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many times it came there from another state, or from none.
    pub visits: u64,
    /// How long all visits took, in microseconds; the current one until the last event. Between the ends of a PostgreSQL
    /// timestamp there are more of them than an `i64` holds.
    pub microseconds: u64,
    /// Whether it is there still.
    pub is_current: bool,
}

/// What no duration can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An event at `infinity` or `-infinity`, which are the last and the first number in PostgreSQL.
    #[error("an event cannot have occurred at {}", if *.0 == i64::MAX { "infinity" } else { "-infinity" })]
    Infinite(i64),
    /// An event of a state that the list of names does not have.
    #[error("there is no state {0}")]
    UnknownState(u32),
}

impl Refusal for Refused {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::Infinite(_) => "22008",     // datetime_field_overflow
            Self::UnknownState(_) => "XX000", // internal_error
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Infinite(_) => Some("The time to the next event would be infinite.".to_owned()),
            Self::UnknownState(_) => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Infinite(_) => Some("Leave out the events whose time is not known.".to_owned()),
            Self::UnknownState(_) => None,
        }
    }
}

/// What one customer, whose events these are, spent in each of the states of these names; no name is there twice.
///
/// It sorts the events. The answer has one item for each name, in the order of the names, which is any.
pub fn spent<N: AsRef<str>>(events: &mut [Event], names: &[N]) -> Result<Vec<Spent>, Refused> {
    for event in &*events {
        if matches!(event.occurred_at, i64::MIN | i64::MAX) {
            return Err(Refused::Infinite(event.occurred_at));
        }
        if place(event) >= names.len() {
            return Err(Refused::UnknownState(event.state));
        }
    }
    let name = |event: &Event| names[place(event)].as_ref();
    events.sort_unstable_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| name(a).cmp(name(b))));

    let mut spent = vec![Spent::default(); names.len()];
    let mut visits = events.chunk_by(|a, b| a.state == b.state).peekable();
    while let Some(visit) = visits.next() {
        let state = &mut spent[place(&visit[0])];
        let next = visits.peek();
        let end = next.map_or(&visit[visit.len() - 1], |next| &next[0]);
        state.visits += 1;
        state.microseconds += end.occurred_at.abs_diff(visit[0].occurred_at);
        state.is_current = next.is_none();
    }
    Ok(spent)
}

fn place(event: &Event) -> usize {
    event.state as usize
}
