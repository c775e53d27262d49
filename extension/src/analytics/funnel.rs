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

/// An event of a subject. It has no padding: parts are sent as they are.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    /// The halves of its UUID.
    subject: [u64; 2],
    occurred_at: i64,
    step: u64,
}

/// How many parts the events are in.
const PARTS: usize = 256;

struct State {
    question: Question,
    /// The argument `steps` as it came with the first row: while it comes the same, it need not be read.
    steps: List<u8>,
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
            let [window, entered_before, observed_until] = Self::times(fcinfo);
            Self { labels, steps, window, entered_before, observed_until }
        }
    }

    /// The window, and the two ends.
    #[expect(unsafe_code, reason = "arguments come by pointer")]
    unsafe fn times(fcinfo: pg_sys::FunctionCallInfo) -> [i64; 3] {
        // SAFETY: the caller's.
        unsafe {
            [
                window_of(required(fcinfo, 5, "within_window")),
                timestamp(required(fcinfo, 6, "entered_before")),
                timestamp(required(fcinfo, 7, "observed_until")),
            ]
        }
    }

    fn check(&self) {
        let labels = &self.labels[..self.steps];
        if labels.iter().enumerate().any(|(at, label)| labels[..at].contains(label)) {
            raise(&Refused::Repeated);
        }
    }

    fn step(&self, label: u32) -> Option<u64> {
        let step = self.labels[..self.steps].iter().position(|&other| other == label)?;
        u64::try_from(step).ok()
    }

    /// Whether a chain that began then can still go on after what was observed.
    fn is_open(&self, begun: i64) -> bool {
        self.window == i64::MAX || begun.saturating_add(self.window) >= self.observed_until
    }
}

impl State {
    fn new(memory: Context, question: Question) -> Self {
        Self { question, steps: memory.list(), count: 0, parts: std::array::from_fn(|_| memory.list()) }
    }

    /// Whether a row asks the same as those before.
    #[expect(unsafe_code, reason = "arguments come by pointer")]
    unsafe fn is_asked(&self, fcinfo: pg_sys::FunctionCallInfo) -> bool {
        let Question { window, entered_before, observed_until, .. } = self.question;
        // SAFETY: the caller's.
        unsafe {
            let steps = required(fcinfo, 4, "steps");
            Question::times(fcinfo) == [window, entered_before, observed_until]
                && (self.steps.as_slice() == bytes(steps)
                    || labels(steps, "steps") == (self.question.labels, self.question.steps))
        }
    }

    /// Makes room for so many more events; 54000.
    fn expect(&mut self, more: usize) {
        if self.count + more > MAX_EVENTS {
            raise(&Refused::TooManyEvents);
        }
        self.count += more;
    }

    fn add(&mut self, row: Row) {
        self.expect(1);
        push(&mut self.parts[part(row.subject)], row);
    }
}

/// The part that a subject belongs to: some bits of a product in which all of its own have a share.
fn part([a, b]: [u64; 2]) -> usize {
    ((a ^ b.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % PARTS
}

/// What a value of variable length consists of, as it is.
#[expect(unsafe_code, reason = "it comes by pointer")]
unsafe fn bytes<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe {
        let start = datum.cast_mut_ptr::<pg_sys::varlena>();
        std::slice::from_raw_parts(start.cast::<u8>(), pgrx::varsize_any(start))
    }
}

#[pg_extern(sql = false)]
#[expect(unsafe_code, reason = "arguments come by pointer")]
fn funnel_add(fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    // SAFETY: PostgreSQL calls it as aggregates.sql declares it.
    unsafe {
        let state = match state::<State>(fcinfo) {
            Some(state) if state.is_asked(fcinfo) => state,
            Some(_) => raise(&Refused::Varies("what is asked for")),
            None => {
                let question = Question::of(fcinfo);
                question.check();
                let state = new_state(fcinfo, |memory| State::new(memory, question));
                let steps = bytes(required(fcinfo, 4, "steps"));
                reserve(&mut state.steps, steps.len());
                state.steps.extend_from_slice(steps);
                state
            }
        };
        let row = (argument(fcinfo, 1), argument(fcinfo, 2), argument(fcinfo, 3));
        if let (Some(id), Some(occurred_at), Some(label)) = row {
            let occurred_at = timestamp(occurred_at);
            let step =
                u32::try_from(label.value() & 0xffff_ffff).ok().and_then(|label| state.question.step(label));
            if let Some(step) = step.filter(|&step| step > 0 || occurred_at < state.question.entered_before) {
                let subject = id.cast_mut_ptr::<[u64; 2]>().read_unaligned();
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
    // The question, how many rows there are in each part, and the rows.
    let mut message = Message::of(1024 + PARTS * size_of::<usize>() + state.count * size_of::<Row>());
    let question = &state.question;
    message.write(question.steps.to_ne_bytes());
    for label in question.labels {
        message.write(label.to_ne_bytes());
    }
    for time in [question.window, question.entered_before, question.observed_until] {
        message.write(time.to_ne_bytes());
    }
    for part in &state.parts {
        message.write(part.len().to_ne_bytes());
        // SAFETY: a row is plain numbers, without anything between them.
        message.write_all(unsafe {
            std::slice::from_raw_parts(part.as_ptr().cast::<u8>(), size_of_val(part.as_slice()))
        });
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
    for at in 0..PARTS {
        let count = usize::from_ne_bytes(received.read());
        state.expect(count);
        let rows = received.read_all(count * size_of::<Row>());
        let part = &mut state.parts[at];
        reserve(part, count);
        // SAFETY: there is room for so many rows, and these bytes were such rows.
        unsafe {
            let end = part.as_mut_ptr().add(part.len()).cast::<u8>();
            end.copy_from_nonoverlapping(rows.as_ptr(), rows.len());
            part.set_len(part.len() + count);
        }
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
    // How many came to each level and no further, how many of them may still go on, of how many it is decided, and how long
    // each step took.
    let mut levels = [0_i64; MAX_STEPS + 1];
    let mut waiting = [0_i64; MAX_STEPS + 1];
    let mut decided = [0_i64; MAX_STEPS + 1];
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
            if !chain.last_entry().is_some_and(|entry| question.is_open(entry)) {
                decided[level] += 1;
            } else if level < question.steps {
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
            decided[step..].iter().sum::<i64>().into_datum(),
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
