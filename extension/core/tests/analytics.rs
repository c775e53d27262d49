//! What is said of customers over time, against another engine's answers and against plain, slow counting.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use percytech_core::analytics::chain::chain;
use percytech_core::analytics::retention::Retention;
use percytech_core::analytics::window_funnel::{Event, Funnel, MAX_STEPS, OutOfOrder, window_funnel};
use proptest::{collection::vec, prelude::*, sample::select};
use serde::Deserialize;

/// A line of `tests/corpus/analytics/window_funnel.jsonl`.
#[derive(Debug, Deserialize)]
struct FunnelCase {
    window: i64,
    steps: usize,
    events: Vec<(i64, Vec<bool>)>,
    level: usize,
}

/// A line of `tests/corpus/analytics/retention.jsonl`.
#[derive(Debug, Deserialize)]
struct RetentionCase {
    conditions: usize,
    rows: Vec<Vec<bool>>,
    result: Vec<bool>,
}

fn lines<'a, Case: Deserialize<'a>>(file: &'a str) -> Vec<Case> {
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bits(conditions: &[bool]) -> u32 {
    conditions.iter().rev().fold(0, |bits, &met| bits << 1 | u32::from(met))
}

fn event(occurred_at: i64, steps: u32) -> Event {
    Event { occurred_at, steps }
}

fn level(events: &[Event], steps: usize, within_window: i64) -> usize {
    window_funnel(&mut events.to_vec(), steps, within_window)
}

/// The level in the stream of these events, put in the order of time.
fn streamed<const STEPS: usize>(events: &[Event], within_window: i64) -> usize {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.occurred_at);
    let mut funnel = Funnel::<STEPS>::new();
    for event in events {
        funnel.push(event, within_window).unwrap();
    }
    funnel.level()
}

/// The length of the longest chain, found by trying all of them.
fn longest_chain(events: &[Event], steps: usize, within_window: i64) -> usize {
    fn continued(chain: &mut Vec<i64>, events: &[Event], steps: usize, window: i128) -> usize {
        let taken = chain.len();
        if taken == steps {
            return taken;
        }
        let mut longest = taken;
        for event in events {
            let now = event.occurred_at;
            let begun = chain.first().copied().unwrap_or(now);
            let is_next = event.steps >> taken & 1 == 1 && chain.last().is_none_or(|&before| before <= now);
            if is_next && i128::from(now) <= i128::from(begun) + window {
                chain.push(now);
                longest = longest.max(continued(chain, events, steps, window));
                chain.pop();
            }
        }
        longest
    }
    continued(&mut Vec::new(), events, steps, within_window.into())
}

#[test]
fn clickhouse_counts_the_same_levels() {
    let cases: Vec<FunnelCase> = lines(include_str!("../../../tests/corpus/analytics/window_funnel.jsonl"));
    assert!(cases.len() >= 1_500, "{}", cases.len());
    for case in cases {
        let events: Vec<_> = case.events.iter().map(|(at, steps)| event(*at, bits(steps))).collect();
        assert_eq!(level(&events, case.steps, case.window), case.level, "{case:?}");
        assert_eq!(streamed::<MAX_STEPS>(&events, case.window), case.level, "{case:?}");
    }
}

#[test]
fn clickhouse_says_the_same_of_retention() {
    let cases: Vec<RetentionCase> = lines(include_str!("../../../tests/corpus/analytics/retention.jsonl"));
    assert!(cases.len() >= 300, "{}", cases.len());
    for case in cases {
        assert_eq!(case.result.len(), case.conditions);
        let mut state = Retention::default();
        for row in &case.rows {
            state.add(bits(row));
        }
        assert_eq!(state.result(), bits(&case.result), "{case:?}");
    }
}

#[test]
fn steps_at_one_instant_follow_one_another_in_any_order() {
    for events in [[event(5, 0b01), event(5, 0b10)], [event(5, 0b10), event(5, 0b01)], [event(5, 0b11); 2]] {
        assert_eq!(level(&events, 2, 0), 2);
        assert_eq!(streamed::<2>(&events, 0), 2);
    }
}

#[test]
fn the_end_of_the_window_is_within_it() {
    let events = [event(100, 0b01), event(110, 0b10)];
    assert_eq!(level(&events, 2, 10), 2);
    assert_eq!(level(&events, 2, 9), 1);
}

#[test]
fn a_later_beginning_takes_nothing_from_an_earlier_chain() {
    let events = [event(0, 0b001), event(4, 0b010), event(5, 0b001), event(10, 0b100)];
    assert_eq!(level(&events, 3, 10), 3);
}

#[test]
fn steps_beyond_the_last_count_for_nothing() {
    let events = [event(0, u32::MAX)];
    assert_eq!(level(&events, 0, 0), 0);
    assert_eq!(level(&events, 5, 0), 5);
    assert_eq!(level(&events, 32, 0), 32);
    assert_eq!(level(&events, 33, 0), 32);
    assert_eq!(streamed::<3>(&events, 0), 3);
    assert_eq!(streamed::<0>(&events, 0), 0);
}

#[test]
fn nothing_fits_into_a_negative_window() {
    assert_eq!(level(&[event(0, 0b11)], 2, -1), 0);
    assert_eq!(level(&[event(0, 0b11)], 2, i64::MIN), 0);
}

#[test]
fn the_infinite_is_simultaneous_with_itself_only() {
    let year = 31_557_600_000_000;
    // The last microsecond that a timestamp of PostgreSQL can be, eight days before the end of i64.
    let last = 9_223_371_331_199_999_999;
    for (first, second) in [(i64::MIN, 0), (0, i64::MAX), (i64::MIN, i64::MAX), (last, i64::MAX)] {
        let events = [event(first, 0b01), event(second, 0b10)];
        assert_eq!(level(&events, 2, year), 1, "{events:?}");
        assert_eq!(level(&events, 2, i64::MAX - 1), 1, "{events:?}");
        assert_eq!(level(&events, 2, i64::MAX), 2, "{events:?}");
    }
    for end in [i64::MIN, i64::MAX] {
        assert_eq!(level(&[event(end, 0b10), event(end, 0b01)], 2, 0), 2);
    }
}

#[test]
fn time_too_long_for_an_i64_is_out_of_every_window_that_ends() {
    let events = [event(i64::MIN + 1, 0b01), event(i64::MAX - 1, 0b10)];
    assert_eq!(level(&events, 2, i64::MAX - 1), 1);
    assert_eq!(level(&events, 2, i64::MAX), 2);
}

#[test]
fn an_event_out_of_order_is_refused_and_changes_nothing() {
    let mut funnel = Funnel::<8>::new();
    funnel.push(event(10, 0b01), 5).unwrap();
    let before = funnel;
    assert_eq!(funnel.push(event(9, 0b11), 5), Err(OutOfOrder));
    assert_eq!(funnel, before);
}

#[test]
fn a_funnel_of_eight_steps_is_small() {
    assert_eq!(size_of::<Funnel<8>>(), 80);
    assert_eq!(size_of::<Event>(), 16);
}

/// Events of few instants and steps, so that they meet often, sometimes at the ends of time.
fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let event = (-3..4_i64, prop_oneof![3 => select(vec![1_u32, 2, 4, 8]), 1 => 0..16_u32]);
    (vec(event, 0..9), select(vec![0, i64::MIN / 2, i64::MAX / 2])).prop_map(|(events, origin)| {
        events.into_iter().map(|(at, steps)| Event { occurred_at: origin + at, steps }).collect()
    })
}

fn any_window() -> impl Strategy<Value = i64> {
    prop_oneof![9 => -1..8_i64, 1 => Just(i64::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_level_is_the_length_of_the_longest_chain(events in any_events(), window in any_window()) {
        for steps in 0..=4 {
            prop_assert_eq!(level(&events, steps, window), longest_chain(&events, steps, window));
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        (events, shuffled) in any_events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        window in any_window(),
    ) {
        prop_assert_eq!(level(&events, 4, window), level(&shuffled, 4, window));
        prop_assert_eq!(streamed::<4>(&events, window), streamed::<4>(&shuffled, window));
    }

    #[test]
    fn one_event_more_never_lowers_the_level(events in any_events(), window in any_window()) {
        if let Some((_, fewer)) = events.split_last() {
            prop_assert!(level(fewer, 4, window) <= level(&events, 4, window));
        }
        prop_assert!(level(&events, 4, window) <= level(&events, 4, window.saturating_add(1)));
        prop_assert!(level(&events, 3, window) <= level(&events, 4, window));
    }

    #[test]
    fn a_stream_and_a_slice_are_counted_alike(
        events in vec((0..200_i64, any::<u32>(), any::<u32>()), 0..80),
        window in 0..200_i64,
    ) {
        // Of each step, one event in four.
        let events: Vec<_> = events.into_iter().map(|(at, one, other)| event(at, one & other)).collect();
        prop_assert_eq!(streamed::<MAX_STEPS>(&events, window), level(&events, MAX_STEPS, window));
        prop_assert_eq!(streamed::<8>(&events, window), level(&events, 8, window));
        prop_assert_eq!(streamed::<3>(&events, window), level(&events, 3, window));
    }

    #[test]
    fn no_timestamp_and_no_window_overflows(
        events in vec((any::<i64>(), any::<u32>()), 0..9),
        window in any::<i64>(),
        steps in 0..40_usize,
    ) {
        let mut events: Vec<_> = events.into_iter().map(|(at, steps)| event(at, steps)).collect();
        prop_assert!(window_funnel(&mut events, steps, window) <= steps.min(MAX_STEPS));
        prop_assert!(events.is_sorted_by_key(|event| event.occurred_at));
    }

    #[test]
    fn retention_is_the_same_however_the_rows_are_divided(
        rows in vec(0..16_u32, 0..7),
        divided_at in any::<prop::sample::Index>(),
    ) {
        let of = |rows: &[u32]| {
            let mut state = Retention::default();
            for &row in rows {
                state.add(row);
            }
            state
        };
        let (one, other) = rows.split_at(divided_at.index(rows.len() + 1));
        let mut combined = of(one);
        combined.combine(of(other));
        prop_assert_eq!(combined, of(&rows));
        for condition in 0..4 {
            let met = |condition: u32| rows.iter().any(|row| row >> condition & 1 == 1);
            prop_assert_eq!(combined.result() >> condition & 1 == 1, met(0) && met(condition));
        }
    }
}

/// All chains of these events, each as the times of its steps.
fn chains(events: &[Event], steps: usize, within_window: i64) -> Vec<Vec<i64>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for step in 0..steps {
        let mut longer = Vec::new();
        for chain in &last {
            for event in events.iter().filter(|event| event.steps >> step & 1 == 1) {
                let begun = chain.first().copied().unwrap_or(event.occurred_at);
                let before = chain.last().copied().unwrap_or(event.occurred_at);
                if before <= event.occurred_at && event.occurred_at - begun <= within_window {
                    longer.push([chain.as_slice(), &[event.occurred_at]].concat());
                }
            }
        }
        all.extend(longer.iter().cloned());
        last = longer;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_chain_comes_first_to_the_level_and_took_each_step_before_as_late_as_it_could(
        times in vec((0_i64..12, 0_u32..16), 0..8),
        window in 0_i64..12,
        steps in 1_usize..=4,
    ) {
        let mut events: Vec<_> = times.into_iter().map(|(at, steps)| event(at, steps)).collect();
        let all = chains(&events, steps, window);
        let level = all.iter().map(Vec::len).max().unwrap();
        let longest = all.into_iter().filter(|chain| chain.len() == level);
        // The last step the earliest, then those before it the latest.
        let best = longest
            .min_by_key(|chain| {
                let mut key: Vec<i64> = chain.iter().rev().map(|at| -at).collect();
                if let Some(last) = key.first_mut() {
                    *last = -*last;
                }
                key
            })
            .unwrap();
        let entry = events.iter().filter(|event| event.steps & 1 == 1).map(|event| event.occurred_at).max();
        let chain = chain(&mut events, steps, window);
        prop_assert_eq!(chain.times(), best.as_slice());
        if level < steps {
            prop_assert_eq!(chain.last_entry(), entry);
        }
        prop_assert_eq!(chain.times().len(), window_funnel(&mut events, steps, window));
    }

    #[test]
    fn a_long_funnel_is_walked_as_a_short_one(
        times in vec((0_i64..40, 0_u32..12), 0..60),
        window in 0_i64..40,
    ) {
        let mut events: Vec<_> = times.into_iter().map(|(at, step)| event(at, 1 << step)).collect();
        let long = chain(&mut events, 12, window);
        prop_assert_eq!(long.times().len(), level(&events, 12, window));
        let short = chain(&mut events, 8, window);
        prop_assert_eq!(short.times().len(), level(&events, 8, window));
        prop_assert!(long.times().windows(2).all(|times| times[0] <= times[1]));
    }
}

#[test]
fn a_window_is_as_long_as_its_days_and_hours() {
    use percytech_core::analytics::refused::{Refused, window};
    assert_eq!(window(0, 30, 0), Ok(30 * 86_400_000_000));
    assert_eq!(window(0, 1, -1), Ok(86_400_000_000 - 1));
    assert_eq!(window(0, 0, 0), Ok(0));
    assert_eq!(window(0, 0, -1), Err(Refused::Negative));
    assert_eq!(window(1, 0, 0), Err(Refused::Months));
    assert_eq!(window(0, i32::MAX, i64::MAX), Ok(i64::MAX));
    assert_eq!(window(i32::MAX, i32::MAX, i64::MAX), Ok(i64::MAX), "infinity");
}
