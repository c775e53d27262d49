//! `percytech.funnel`: a funnel of all customers at once.
//!
//! It keeps the events itself, so that the executor need neither sort nor group the rows: each goes to the part that its
//! customer belongs to, which is small enough to be sorted within the processor's cache.

use percytech_core::analytics::chain::chain;
use percytech_core::analytics::refused::{MAX_EVENTS, Refused};
use percytech_core::analytics::window_funnel::{Event, MAX_STEPS};
use pgrx::datum::Internal;
use pgrx::prelude::*;

use super::arguments::{argument, labels, required, timestamp, window_of};
use super::memory::{Context, List, new_state, push, reserve, returned, state};
use super::message::{Bytea, Message, Received};
use super::rows;
use crate::refusal::raise;

/// What is asked for: the same in all rows.
#[derive(Clone, Copy, PartialEq)]
struct Question {
    /// The steps, by the OIDs of their labels.
    labels: [u32; MAX_STEPS],
    steps: usize,
    window: i64,
    entered_before: i64,
    observed_until: i64,
}

/// An event of a subject.
#[derive(Clone, Copy)]
struct Row {
    subject: u128,
    occurred_at: i64,
    step: u32,
}

/// How many parts the events are in.
const PARTS: usize = 256;

struct State {
    question: Question,
    count: usize,
    parts: [List<Row>; PARTS],
}

impl Question {
    /// # Safety
    ///
    /// The call is of `funnel_add`.
    #[expect(unsafe_code, reason = "arguments come by pointer")]
    unsafe fn of(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let (labels, steps) = labels(required(fcinfo, 4, "steps"), "steps");
            Self {
                labels,
                steps,
                window: window_of(required(fcinfo, 5, "within_window")),
                entered_before: timestamp(required(fcinfo, 6, "entered_before")),
                observed_until: timestamp(required(fcinfo, 7, "observed_until")),
            }
        }
    }

    fn check(&self) {
        let labels = &self.labels[..self.steps];
        if labels.iter().enumerate().any(|(at, label)| labels[..at].contains(label)) {
            raise(&Refused::Repeated);
        }
    }

    fn step(&self, label: u32) -> Option<u32> {
        let step = self.labels[..self.steps].iter().position(|&other| other == label)?;
        u32::try_from(step).ok()
    }

    /// Whether a chain that began then can still go on after what was observed.
    fn is_open(&self, begun: i64) -> bool {
        self.window == i64::MAX || begun.saturating_add(self.window) >= self.observed_until
    }
}

impl State {
    fn new(memory: Context, question: Question) -> Self {
        Self { question, count: 0, parts: std::array::from_fn(|_| memory.list()) }
    }

    fn add(&mut self, row: Row) {
        if self.count == MAX_EVENTS {
            raise(&Refused::TooManyEvents);
        }
        self.count += 1;
        push(&mut self.parts[part(row.subject)], row);
    }
}

/// The part that a subject belongs to: some bits of a product in which all of its own have a share.
fn part(subject: u128) -> usize {
    let [a, b, c, d] = [0, 32, 64, 96].map(|shift| subject >> shift & 0xffff_ffff);
    (((a ^ b ^ c ^ d) * 0x9e37_79b9) >> 24) as usize % PARTS
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn funnel_add(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    unsafe {
        let question = Question::of(fcinfo);
        let state = match state::<State>(fcinfo) {
            Some(state) if state.question == question => state,
            Some(_) => raise(&Refused::Varies("what is asked for")),
            None => {
                question.check();
                new_state(fcinfo, |memory| State::new(memory, question))
            }
        };
        let row = (argument(fcinfo, 1), argument(fcinfo, 2), argument(fcinfo, 3));
        if let (Some(id), Some(occurred_at), Some(label)) = row {
            let occurred_at = timestamp(occurred_at);
            let step = u32::try_from(label.value() & 0xffff_ffff).ok().and_then(|label| question.step(label));
            if let Some(step) = step.filter(|&step| step > 0 || occurred_at < question.entered_before) {
                let subject = u128::from_ne_bytes(*id.cast_mut_ptr::<[u8; 16]>());
                state.add(Row { subject, occurred_at, step });
            }
        }
        returned(state)
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn funnel_send(fcinfo: pg_sys::FunctionCallInfo) -> Bytea {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let mut message = Message::new();
    let question = &state.question;
    message.write(question.steps.to_ne_bytes());
    for label in question.labels {
        message.write(label.to_ne_bytes());
    }
    for time in [question.window, question.entered_before, question.observed_until] {
        message.write(time.to_ne_bytes());
    }
    for row in state.parts.iter().flatten() {
        message.write(row.subject.to_ne_bytes());
        message.write(row.occurred_at.to_ne_bytes());
        message.write(row.step.to_ne_bytes());
    }
    message.into_bytea()
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn funnel_combine(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let (state, received) = unsafe { (state::<State>(fcinfo), Received::argument(fcinfo, 1)) };
    let Some(mut received) = received else {
        return state.map_or(Internal::from(None), returned);
    };
    let steps = usize::from_ne_bytes(received.read());
    let labels = std::array::from_fn(|_| u32::from_ne_bytes(received.read()));
    let [window, entered_before, observed_until] =
        std::array::from_fn(|_| i64::from_ne_bytes(received.read()));
    let question = Question { labels, steps, window, entered_before, observed_until };
    // SAFETY: as above.
    let state = state.unwrap_or_else(|| unsafe { new_state(fcinfo, |memory| State::new(memory, question)) });
    if state.question != question {
        raise(&Refused::Varies("what is asked for"));
    }
    while !received.is_over() {
        state.add(Row {
            subject: u128::from_ne_bytes(received.read()),
            occurred_at: i64::from_ne_bytes(received.read()),
            step: u32::from_ne_bytes(received.read()),
        });
    }
    returned(state)
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn funnel_steps(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: as above.
    let Some(state) = (unsafe { state::<State>(fcinfo) }) else { return Internal::from(None) };
    let question = &state.question;
    let memory = Context::current();
    // How many came to each level and no further, how many of them may still go on, and how long each step took.
    let mut levels = [0_i64; MAX_STEPS + 1];
    let mut waiting = [0_i64; MAX_STEPS + 1];
    let mut durations: [List<i64>; MAX_STEPS] = std::array::from_fn(|_| memory.list());
    let mut events = memory.list();
    for part in &mut state.parts {
        pgrx::check_for_interrupts!();
        part.sort_unstable_by_key(|row| (row.subject, row.occurred_at));
        for subject in part.chunk_by(|a, b| a.subject == b.subject) {
            events.clear();
            reserve(&mut events, subject.len());
            events.extend(
                subject.iter().map(|row| Event { occurred_at: row.occurred_at, steps: 1 << row.step }),
            );
            let chain = chain(&mut events, question.steps, question.window);
            let level = chain.times().len();
            levels[level] += 1;
            if level < question.steps && chain.last_entry().is_some_and(|entry| question.is_open(entry)) {
                waiting[level] += 1;
            }
            for (taken, step) in chain.times().windows(2).zip(&mut durations[1..]) {
                push(step, taken[1].saturating_sub(taken[0]));
            }
        }
    }
    let rows = (1..=question.steps).map(|step| {
        let median = median(&mut durations[step - 1]);
        [
            i32::try_from(step).unwrap_or(i32::MAX).into_datum(),
            levels[step..].iter().sum::<i64>().into_datum(),
            waiting[step].into_datum(),
            median.map(interval),
        ]
    });
    // SAFETY: these are the columns of funnel_step.
    unsafe { rows::array(fcinfo, rows) }
}

/// The median, between the two in the middle where there are two.
fn median(durations: &mut [i64]) -> Option<i64> {
    if durations.is_empty() {
        return None;
    }
    let middle = durations.len() / 2;
    let is_even = durations.len().is_multiple_of(2);
    let (smaller, upper, _) = durations.select_nth_unstable(middle);
    let lower = if is_even { smaller.iter().copied().max()? } else { *upper };
    Some(lower + (*upper - lower) / 2)
}

/// An interval of days and the rest, as the difference of two timestamps is.
fn interval(microseconds: i64) -> pg_sys::Datum {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let mut place = Context::current().list();
    reserve(&mut place, 1);
    let day = i32::try_from(microseconds / DAY).unwrap_or(i32::MAX);
    place.push(pg_sys::Interval { time: microseconds % DAY, day, month: 0 });
    let start = place.as_mut_ptr();
    // It belongs to the memory context now.
    std::mem::forget(place);
    pg_sys::Datum::from(start)
}
