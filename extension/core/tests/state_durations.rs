//! How long customers are in each state: the rules, and a plain walk through time beside it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;

use percytech_core::analytics::state_durations::{Event, Refused, Spent, spent};
use percytech_core::error::Refusal;
use proptest::collection::vec;
use proptest::prelude::*;

const NAMES: [&str; 5] = ["lead", "trial", "customer", "Zombie", "éteint"];

fn events(of: &[(i64, u32)]) -> Vec<Event> {
    of.iter().map(|&(occurred_at, state)| Event { occurred_at, state }).collect()
}

/// Visits, microseconds and whether it is the current state, of each name.
fn answer(of: &[(i64, u32)]) -> Vec<(u64, u64, bool)> {
    let spent = spent(&mut events(of), &NAMES).unwrap();
    spent.iter().map(|state| (state.visits, state.microseconds, state.is_current)).collect()
}

const NEVER: (u64, u64, bool) = (0, 0, false);

#[test]
fn without_events_no_state_was_visited() {
    assert_eq!(answer(&[]), [NEVER; 5]);
    assert_eq!(spent::<&str>(&mut [], &[]), Ok(vec![]));
}

#[test]
fn one_event_is_a_visit_of_no_time_that_goes_on() {
    assert_eq!(answer(&[(7, 1)]), [NEVER, (1, 0, true), NEVER, NEVER, NEVER]);
}

#[test]
fn a_state_lasts_until_the_next_event() {
    let expected = [(2, 10 + 5, false), (1, 20, false), (1, 0, true), NEVER, NEVER];
    assert_eq!(answer(&[(100, 0), (110, 1), (130, 0), (135, 2)]), expected);
}

#[test]
fn the_same_state_again_is_the_same_visit() {
    let events = [(0, 0), (10, 0), (20, 0), (30, 1), (31, 1), (35, 1), (35, 1)];
    assert_eq!(answer(&events), [(1, 30, false), (1, 5, true), NEVER, NEVER, NEVER]);
}

#[test]
fn states_of_one_instant_follow_each_other_by_name() {
    // Zombie, customer, lead, trial, éteint: by bytes.
    let passed = (1, 0, false);
    let expected = [(2, 0, true), passed, passed, passed, (1, 9, false)];
    assert_eq!(answer(&[(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (10, 0)]), expected);
}

#[test]
fn a_time_without_end_is_refused() {
    let refused = |occurred_at| spent(&mut events(&[(0, 0), (occurred_at, 1)]), &NAMES).unwrap_err();
    assert_eq!(refused(i64::MAX).to_string(), "an event cannot have occurred at infinity");
    assert_eq!(refused(i64::MIN).to_string(), "an event cannot have occurred at -infinity");
    assert_eq!(refused(i64::MIN).sqlstate(), "22008");
}

#[test]
fn a_state_without_a_name_is_refused() {
    assert_eq!(spent(&mut events(&[(0, 5)]), &NAMES), Err(Refused::UnknownState(5)));
}

#[test]
fn the_longest_time_there_is_fits() {
    let (first, last) = (i64::MIN + 1, i64::MAX - 1);
    assert_eq!(answer(&[(last, 1), (first, 0)])[0], (1, u64::MAX - 2, false));
}

/// The answer for events at small times, microsecond by microsecond.
fn by_walking(of: &[(i64, u32)]) -> Vec<Spent> {
    let mut sorted: BTreeSet<(i64, &str)> =
        of.iter().map(|&(at, state)| (at, NAMES[state as usize])).collect();
    let last = sorted.last().map_or(0, |(at, _)| *at);
    let mut spent = vec![Spent::default(); NAMES.len()];
    let mut current = None;
    for now in sorted.first().map_or(0, |(at, _)| *at)..=last {
        while let Some((_, name)) = sorted.first().filter(|(at, _)| *at == now) {
            let state = NAMES.iter().position(|known| known == name).unwrap();
            if current != Some(state) {
                spent[state].visits += 1;
                current = Some(state);
            }
            sorted.pop_first();
        }
        if now < last {
            spent[current.unwrap()].microseconds += 1;
        }
    }
    if let Some(state) = current.filter(|_| !of.is_empty()) {
        spent[state].is_current = true;
    }
    spent
}

fn some_events() -> impl Strategy<Value = Vec<(i64, u32)>> {
    vec((-30..30_i64, 0..5_u32), 0..25)
}

proptest! {
    #[test]
    fn the_answer_is_that_of_walking(of in some_events()) {
        prop_assert_eq!(spent(&mut events(&of), &NAMES).unwrap(), by_walking(&of));
    }

    #[test]
    fn the_order_of_events_and_of_names_does_not_matter(
        (of, shuffled) in some_events().prop_flat_map(|of| (Just(of.clone()), Just(of).prop_shuffle())),
        places in Just([0_u32, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let expected = spent(&mut events(&of), &NAMES).unwrap();
        prop_assert_eq!(&spent(&mut events(&shuffled), &NAMES).unwrap(), &expected);

        let mut names = [""; 5];
        for (name, place) in NAMES.iter().zip(places) {
            names[place as usize] = name;
        }
        let renamed: Vec<_> = of.iter().map(|&(at, state)| (at, places[state as usize])).collect();
        let answer = spent(&mut events(&renamed), &names).unwrap();
        let back: Vec<_> = places.iter().map(|place| answer[*place as usize]).collect();
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn an_event_that_is_there_twice_counts_once(of in some_events()) {
        let twice = [of.as_slice(), of.as_slice()].concat();
        prop_assert_eq!(spent(&mut events(&twice), &NAMES).unwrap(), spent(&mut events(&of), &NAMES).unwrap());
    }

    #[test]
    fn all_states_take_the_time_from_the_first_event_to_the_last(
        of in vec((i64::MIN + 1..i64::MAX, 0..5_u32), 1..50)
    ) {
        let spent = spent(&mut events(&of), &NAMES).unwrap();
        let times = || of.iter().map(|(at, _)| *at);
        let whole = times().max().unwrap().abs_diff(times().min().unwrap());
        prop_assert_eq!(spent.iter().map(|state| state.microseconds).sum::<u64>(), whole);
        prop_assert_eq!(spent.iter().filter(|state| state.is_current).count(), 1);
        let distinct = of.iter().collect::<BTreeSet<_>>().len() as u64;
        prop_assert!(spent.iter().map(|state| state.visits).sum::<u64>() <= distinct);
    }
}
