//! When a customer took the steps of a funnel.
//!
//! Of the chains that come to the customer's level, see [`super::window_funnel`], it is the one that comes there first; of
//! several, the one whose last step but one is the latest, and so on back to the first step. So the time between two steps is
//! that since the customer was last seen at the step before.

use super::window_funnel::{Event, MAX_STEPS, elapsed, first};

/// The steps that one customer took, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    at: [i64; MAX_STEPS],
    level: usize,
    last_entry: Option<i64>,
}

impl Chain {
    /// When each step of the chain was taken: as many as the customer's level.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.at[..self.level]
    }

    /// When the customer last took the first step: the longest that a chain can still go on.
    #[must_use]
    pub fn last_entry(&self) -> Option<i64> {
        self.last_entry
    }
}

/// The chain of the customer whose events these are, which it sorts. Bits beyond `steps` count for nothing.
pub fn chain(events: &mut [Event], steps: usize, within_window: i64) -> Chain {
    if !events.is_sorted_by_key(|event| event.occurred_at) {
        events.sort_unstable_by_key(|event| event.occurred_at);
    }
    // Most funnels are short, and there are many customers: what is not needed is not cleared.
    if steps <= SHORT {
        walk::<SHORT>(events, steps, within_window)
    } else {
        walk::<MAX_STEPS>(events, steps, within_window)
    }
}

/// How many steps a short funnel has at most.
const SHORT: usize = 8;

fn walk<const STEPS: usize>(events: &[Event], steps: usize, within_window: i64) -> Chain {
    let mut best = Chain { at: [0; MAX_STEPS], level: 0, last_entry: None };
    // For each step, the chain that took it last.
    let mut chains = [[0_i64; STEPS]; STEPS];
    for instant in events.chunk_by(|a, b| a.occurred_at == b.occurred_at) {
        let now = instant[0].occurred_at;
        let mut taken = instant.iter().fold(0, |taken, event| taken | event.steps) & first(steps);
        while taken != 0 {
            let step = taken.trailing_zeros() as usize;
            taken &= taken - 1;
            if step > best.level {
                break;
            }
            if step == 0 {
                best.last_entry = Some(now);
            } else if elapsed(chains[step - 1][0], now) <= within_window {
                chains[step] = chains[step - 1];
            } else {
                continue;
            }
            chains[step][step] = now;
            if step == best.level {
                best.at[..STEPS].copy_from_slice(&chains[step]);
                best.level += 1;
            }
        }
    }
    best
}
