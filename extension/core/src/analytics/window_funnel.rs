//! How many steps of a funnel a customer took in order and within a window of time, as `windowFunnel` of ClickHouse counts in
//! its default mode.
//!
//! The rule is of ClickHouse's documentation of parametric aggregate functions
//! (<https://clickhouse.com/docs/sql-reference/aggregate-functions/parametric-functions#windowfunnel>): the level is the greatest
//! n for which there are instants t₁ ≤ t₂ ≤ … ≤ tₙ ≤ t₁ + window, such that at each tᵢ an event meets the condition of step i. If
//! no event meets the condition of the first step, it is 0. From it follows:
//!
//! - The window is that of a chain: it opens with the chain's own first step and reaches to its last, both ends included. Every
//!   event of the first step may open one, and the chain that gets furthest counts.
//! - Steps at one instant follow one another, in whatever order their events come. An event that meets the conditions of several
//!   steps is several steps, and those of adjacent steps are taken at once.
//! - What happens between two steps, a step again or one that is not the next, breaks nothing.
//!
//! The ends of `i64` are PostgreSQL's infinite timestamps: simultaneous with themselves, and farther from every other than any
//! window, except that a window of `i64::MAX` has no end. Nothing overflows: time too long for an `i64` is `i64::MAX`. Nothing
//! fits into a negative window.

/// The most steps a funnel may have, as in ClickHouse.
pub const MAX_STEPS: usize = 32;

/// When something happened, and as which steps of the funnel it counts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// In microseconds, from any epoch.
    pub occurred_at: i64,
    /// Bit i is set if the condition of step i + 1 is met.
    pub steps: u32,
}

/// How many of the funnel's first steps some chain of these events comes through within the window, in microseconds: from 0
/// to `steps`.
///
/// The events may come in any order and leave in that of time. Bits of theirs beyond `steps` count for nothing.
pub fn window_funnel(events: &mut [Event], steps: usize, within_window: i64) -> usize {
    if !events.is_sorted_by_key(|event| event.occurred_at) {
        events.sort_unstable_by_key(|event| event.occurred_at);
    }
    let mut funnel = Funnel::<MAX_STEPS>::new();
    for event in events {
        funnel.take(Event { steps: event.steps & first(steps), ..*event }, within_window);
        if funnel.level() >= steps {
            break;
        }
    }
    funnel.level()
}

/// How far events that come in the order of time got in a funnel of at most `STEPS` steps. It doesn't grow with the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funnel<const STEPS: usize> {
    /// For each step up to the level, when the latest begun of the chains that came to it began.
    ///
    /// That chain has all of its window that any of them has, so the others need not be kept. A chain that comes to a step later
    /// never began earlier: it continues the latest begun of the step before.
    begun: [i64; STEPS],
    /// When the last event happened.
    last: i64,
    /// All steps that were taken then.
    steps_at_last: u32,
    level: u32,
}

/// An event earlier than the one before it: such events must be sorted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events are not in the order of time")]
pub struct OutOfOrder;

impl<const STEPS: usize> Funnel<STEPS> {
    /// No event yet.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(STEPS <= MAX_STEPS) };
        Self { begun: [0; STEPS], last: i64::MIN, steps_at_last: 0, level: 0 }
    }

    /// Counts an event in that is no earlier than the one before; an earlier one changes nothing. Events of one instant may come
    /// in any order. Bits beyond `STEPS` count for nothing.
    ///
    /// The window, in microseconds, is the same for all events; it isn't kept here because it is the same for all customers.
    pub fn push(&mut self, event: Event, within_window: i64) -> Result<(), OutOfOrder> {
        if event.occurred_at < self.last {
            return Err(OutOfOrder);
        }
        self.take(event, within_window);
        Ok(())
    }

    /// How many of the first steps some chain came through.
    #[must_use]
    pub fn level(&self) -> usize {
        self.level as usize
    }

    fn take(&mut self, event: Event, within_window: i64) {
        let now = event.occurred_at;
        if now > self.last {
            self.last = now;
            self.steps_at_last = 0;
        }
        // What this instant had before is taken again: steps that needed this event's may follow now.
        self.steps_at_last |= event.steps & first(STEPS);
        let mut steps = self.steps_at_last;
        while steps != 0 {
            let step = steps.trailing_zeros();
            steps &= steps - 1;
            if step > self.level {
                break;
            }
            let begun = if step == 0 { now } else { self.begun[step as usize - 1] };
            if elapsed(begun, now) <= within_window {
                self.begun[step as usize] = begun;
                self.level = self.level.max(step + 1);
            }
        }
    }
}

impl<const STEPS: usize> Default for Funnel<STEPS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The time from one instant to one no earlier.
pub(super) fn elapsed(from: i64, to: i64) -> i64 {
    if from == to {
        0
    } else if from == i64::MIN || to == i64::MAX {
        i64::MAX
    } else {
        to.saturating_sub(from)
    }
}

/// The bits of the first so many steps.
pub(super) fn first(steps: usize) -> u32 {
    u32::try_from((1_u64 << steps.min(MAX_STEPS)) - 1).unwrap_or(u32::MAX)
}
