//! The curve of survival: as R has it, as published, and as its definition says.
#![allow(clippy::unwrap_used, reason = "these are tests")]
#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "what is compared to the bit is meant to be"
)]

use percytech_core::analytics::kaplan_meier::{Curve, Point, Refused, Subject, curve};
use percytech_core::error::Refusal;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

/// What R says of some subjects: a line of the corpus.
#[derive(Deserialize)]
struct Reference {
    data: String,
    level: f64,
    subjects: Vec<(f64, bool)>,
    points: Vec<Row>,
    quantiles: Vec<(f64, Option<f64>)>,
}

/// Time, at risk, events, censored, survival, standard error, lower and upper limit.
type Row = (f64, u64, u64, u64, f64, Option<f64>, Option<f64>, Option<f64>);

fn references() -> Vec<Reference> {
    let lines = include_str!("../../../tests/corpus/analytics/kaplan_meier.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn subjects(of: &[(f64, bool)]) -> Vec<Subject> {
    of.iter().map(|&(duration, observed)| Subject { duration, observed }).collect()
}

/// The lung data: days, and whether the patient died.
fn lung() -> Vec<Subject> {
    let rows = include_str!("../../../tests/corpus/analytics/lung.csv").lines().skip(1);
    rows.map(|row| {
        let (days, status) = row.split_once(',').unwrap();
        Subject { duration: days.parse().unwrap(), observed: status == "2" }
    })
    .collect()
}

fn points(subjects: &mut [Subject]) -> Vec<Point> {
    curve(subjects, 0.95).unwrap().points().collect()
}

fn point_at(curve: Curve<'_>, time: f64) -> Point {
    curve.points().take_while(|point| point.time <= time).last().unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

fn both_near(a: Option<f64>, b: Option<f64>) -> bool {
    a.is_some() == b.is_some() && a.zip(b).is_none_or(|(a, b)| near(a, b))
}

#[test]
fn every_column_is_what_r_says() {
    for Reference { data, level, subjects: of, points, .. } in references() {
        let mut subjects = subjects(&of);
        let curve = curve(&mut subjects, level).unwrap();
        assert_eq!(curve.points().count(), points.len(), "{data}");
        for (ours, theirs) in curve.points().zip(points) {
            let (time, at_risk, events, censored, survival, std_error, lower, upper) = theirs;
            assert_eq!(
                (ours.at_risk, ours.events, ours.censored),
                (at_risk, events, censored),
                "{data}: {ours:?}"
            );
            assert!(
                near(ours.time, time) && near(ours.survival, survival),
                "{data}: {ours:?}, not {theirs:?}"
            );
            assert!(both_near(ours.std_error, std_error), "{data}: {ours:?}, not {theirs:?}");
            assert!(both_near(ours.lower, lower), "{data}: {ours:?}, not {theirs:?}");
            assert!(both_near(ours.upper, upper), "{data}: {ours:?}, not {theirs:?}");
        }
    }
}

#[test]
fn every_quantile_is_what_r_says() {
    for Reference { data, level, subjects: of, quantiles, .. } in references() {
        let mut subjects = subjects(&of);
        let curve = curve(&mut subjects, level).unwrap();
        for (share, expected) in quantiles {
            let ours = curve.quantile(share).unwrap();
            assert!(both_near(ours, expected), "{data}: the quantile {share} is {ours:?}, not {expected:?}");
        }
    }
}

#[test]
fn the_lung_data_have_the_published_curve() {
    let mut patients = lung();
    assert_eq!(patients.len(), 228);
    let curve = curve(&mut patients, 0.95).unwrap();
    assert_eq!(curve.points().map(|point| point.events).sum::<u64>(), 165);
    assert_eq!(curve.median(), Some(310.0));

    let year = point_at(curve, 365.0);
    assert_eq!(curve.survival_at(365.0), Some(year.survival));
    assert!(near(year.survival, 0.409_241_624_459_6), "{year:?}");
    assert!((year.std_error.unwrap() - 0.035_823_638_172).abs() < 1e-12, "{year:?}");
    assert!((year.lower.unwrap() - 0.338_714_269_088).abs() < 1e-12, "{year:?}");
    assert!((year.upper.unwrap() - 0.478_380_767_647).abs() < 1e-12, "{year:?}");
}

/// Kaplan and Meier 1958, the example of section 1.
#[test]
fn the_example_of_the_paper_comes_out() {
    let mut subjects = subjects(&[
        (0.8, true),
        (1.0, false),
        (2.7, false),
        (3.1, true),
        (5.4, true),
        (7.0, false),
        (9.2, true),
        (12.1, false),
    ]);
    let curve = curve(&mut subjects, 0.95).unwrap();
    for (time, survival) in [(0.8, 7.0 / 8.0), (3.1, 0.7), (5.4, 21.0 / 40.0), (9.2, 21.0 / 80.0)] {
        assert!(near(curve.survival_at(time).unwrap(), survival), "at {time}");
    }
}

/// Weeks in remission on 6-mercaptopurine: Freireich and others 1963, with the errors as textbooks print them.
#[test]
fn the_remissions_have_the_published_curve() {
    let lost = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35].map(|weeks| (f64::from(weeks), false));
    let relapsed = [6, 6, 6, 7, 10, 13, 16, 22, 23].map(|weeks| (f64::from(weeks), true));
    let mut subjects = subjects(&[lost.as_slice(), relapsed.as_slice()].concat());
    let curve = curve(&mut subjects, 0.95).unwrap();
    assert_eq!(curve.median(), Some(23.0));
    for (time, survival, std_error) in [
        (6.0, 0.8571, 0.0764),
        (7.0, 0.8067, 0.0869),
        (10.0, 0.7529, 0.0963),
        (13.0, 0.6902, 0.1068),
        (16.0, 0.6275, 0.1141),
        (22.0, 0.5378, 0.1282),
        (23.0, 0.4482, 0.1346),
    ] {
        let point = point_at(curve, time);
        assert!((point.survival - survival).abs() < 5.1e-5, "{point:?}, not {survival}");
        assert!((point.std_error.unwrap() - std_error).abs() < 5.1e-5, "{point:?}, not {std_error}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    let refused = |duration| curve(&mut subjects(&[(1.0, true), (duration, false)]), 0.95).unwrap_err();
    assert_eq!(refused(-2.5), Refused::LeftCensored(-2.5));
    assert_eq!(
        refused(-2.5).to_string(),
        "duration -2.5 is negative: left-censored subjects are not supported"
    );
    assert_eq!(refused(-f64::MIN_POSITIVE), Refused::LeftCensored(-f64::MIN_POSITIVE));
    assert_eq!(refused(f64::INFINITY), Refused::NotFinite(f64::INFINITY));
    assert_eq!(refused(f64::NEG_INFINITY), Refused::NotFinite(f64::NEG_INFINITY));
    assert_eq!(refused(f64::NAN).to_string(), "duration NaN is not finite");
}

#[test]
fn what_is_no_level_and_no_quantile_is_refused() {
    for level in [f64::NAN, -0.95, 0.0, 1.0, 95.0, f64::INFINITY] {
        assert!(matches!(curve(&mut lung(), level), Err(Refused::Level(_))), "{level}");
    }
    let mut patients = lung();
    let curve = curve(&mut patients, 0.95).unwrap();
    for share in [f64::NAN, -0.1, 1.1, 50.0] {
        let refusal = curve.quantile(share).unwrap_err();
        assert!(matches!(refusal, Refused::Quantile(_)) && refusal.hint().is_some(), "{share}");
    }
}

#[test]
fn of_nobody_there_is_no_curve() {
    let curve = curve(&mut [], 0.95).unwrap();
    assert_eq!(curve.points().count(), 0);
    assert_eq!(curve.survival_at(0.0), None);
    assert_eq!(curve.median(), None);
    assert_eq!(curve.quantile(0.0), Ok(None));
}

#[test]
fn survival_is_told_as_long_as_somebody_was_watched() {
    let at = |of: &[(f64, bool)], time| curve(&mut subjects(of), 0.95).unwrap().survival_at(time);
    let lost = [(1.0, true), (3.0, false)];
    let expected = [
        (f64::NEG_INFINITY, Some(1.0)),
        (-1.0, Some(1.0)),
        (0.0, Some(1.0)),
        (0.999, Some(1.0)),
        (1.0, Some(0.5)),
        (3.0, Some(0.5)),
        (3.001, None),
        (f64::INFINITY, None),
        (f64::NAN, None),
    ];
    for (time, survival) in expected {
        assert_eq!(at(&lost, time), survival, "{time}");
    }
    let all = [(1.0, true), (3.0, true)];
    assert_eq!((at(&all, 3.0), at(&all, f64::INFINITY), at(&all, f64::NAN)), (Some(0.0), Some(0.0), None));
}

#[test]
fn negative_zero_is_zero() {
    let mut subjects = subjects(&[(0.0, true), (-0.0, false), (0.0, false), (-0.0, true), (1.0, false)]);
    let points = points(&mut subjects);
    assert_eq!((points.len(), points[0].at_risk, points[0].events, points[0].censored), (2, 5, 2, 2));
    assert!(points[0].time.is_sign_positive());
    assert_eq!(curve(&mut subjects, 0.95).unwrap().survival_at(-0.0), Some(0.6));
}

#[test]
fn the_quantile_zero_is_the_beginning() {
    assert_eq!(curve(&mut lung(), 0.95).unwrap().quantile(0.0), Ok(Some(0.0)));
}

#[test]
fn the_middle_of_long_durations_does_not_overflow() {
    let mut subjects = subjects(&[(f64::MAX, true), (f64::MAX / 1.5, true)]);
    assert_eq!(curve(&mut subjects, 0.95).unwrap().median(), Some(f64::MAX / 1.5 + f64::MAX / 6.0));
}

/// S of a million subjects, every other one censored, beside the sum of its logarithms, whose rounding is summed up too.
#[test]
fn rounding_does_not_add_up() {
    let many = 1_000_000_u32;
    let mut subjects: Vec<_> =
        (0..many).map(|n| Subject { duration: f64::from(n), observed: n % 2 == 0 }).collect();
    let (mut log, mut rest) = (0.0_f64, 0.0_f64);
    let (mut greenwood, mut greenwood_rest) = (0.0_f64, 0.0_f64);
    let add = |sum: &mut f64, rest: &mut f64, term: f64| {
        let corrected = term - *rest;
        let next = *sum + corrected;
        *rest = (next - *sum) - corrected;
        *sum = next;
    };
    for point in curve(&mut subjects, 0.95).unwrap().points().filter(|point| point.events > 0) {
        let at_risk = f64::from(many) - point.time;
        add(&mut log, &mut rest, (-1.0 / at_risk).ln_1p());
        add(&mut greenwood, &mut greenwood_rest, 1.0 / (at_risk * (at_risk - 1.0)));
        let (survival, error) = (log.exp(), log.exp() * greenwood.sqrt());
        assert!((point.survival / survival - 1.0).abs() < 1e-12, "{point:?}, not {survival}");
        assert!((point.std_error.unwrap() / error - 1.0).abs() < 1e-12, "{point:?}, not {error}");
    }
}

/// S and Greenwood's sum at a time, by their definitions: S in whole numbers.
fn by_definition(subjects: &[Subject], time: f64) -> (f64, f64) {
    let mut times: Vec<f64> =
        subjects.iter().map(|subject| subject.duration).filter(|t| *t <= time).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let (mut numerator, mut denominator, mut greenwood) = (1_u128, 1_u128, 0.0);
    for time in times {
        let at_risk = subjects.iter().filter(|subject| subject.duration >= time).count();
        let events = subjects.iter().filter(|subject| subject.duration == time && subject.observed).count();
        if events > 0 {
            numerator *= (at_risk - events) as u128;
            denominator *= at_risk as u128;
            greenwood += events as f64 / (at_risk as f64 * (at_risk - events) as f64);
        }
    }
    (numerator as f64 / denominator as f64, greenwood)
}

/// Subjects with ties, few enough that the product of their numbers is a whole number that fits.
fn some_subjects() -> impl Strategy<Value = Vec<Subject>> {
    let duration = prop_oneof![(0..12_i32).prop_map(f64::from), 0.0..12.0_f64];
    let subject = (duration, any::<bool>()).prop_map(|(duration, observed)| Subject { duration, observed });
    vec(subject, 1..30)
}

proptest! {
    #[test]
    fn the_curve_is_its_definition(subjects in some_subjects()) {
        for point in points(&mut subjects.clone()) {
            let (survival, greenwood) = by_definition(&subjects, point.time);
            prop_assert!((point.survival - survival).abs() < 1e-14, "{point:?}, not {survival}");
            match point.std_error {
                Some(error) => prop_assert!((error - survival * greenwood.sqrt()).abs() < 1e-13, "{point:?}"),
                None => prop_assert!(survival == 0.0, "{point:?}"),
            }
        }
    }

    #[test]
    fn the_order_of_the_subjects_does_not_matter(
        (subjects, mut shuffled) in some_subjects().prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle()))
    ) {
        prop_assert_eq!(points(&mut subjects.clone()), points(&mut shuffled));
    }

    #[test]
    fn the_curve_falls_within_its_limits(mut subjects in some_subjects(), level in 0.01..0.999) {
        let total = subjects.len() as u64;
        let curve = curve(&mut subjects, level).unwrap();
        let (mut before, mut at_risk) = (1.0, total);
        for point in curve.points() {
            prop_assert_eq!(point.at_risk, at_risk);
            at_risk -= point.events + point.censored;
            prop_assert!(point.survival >= 0.0 && point.survival <= before, "{point:?}");
            prop_assert!((point.survival < before) == (point.events > 0), "{point:?}");
            before = point.survival;
            let inside = point.survival > 0.0 && point.survival < 1.0;
            prop_assert_eq!(inside, point.lower.is_some() && point.upper.is_some());
            if let (Some(lower), Some(upper)) = (point.lower, point.upper) {
                prop_assert!(0.0 <= lower && lower < point.survival && point.survival < upper && upper <= 1.0, "{point:?}");
            }
            prop_assert_eq!(curve.survival_at(point.time), Some(point.survival));
        }
        prop_assert_eq!(at_risk, 0);
    }

    #[test]
    fn without_censoring_it_is_the_share_that_is_left(times in vec(0..50_u32, 1..200)) {
        let mut subjects: Vec<_> =
            times.iter().map(|t| Subject { duration: f64::from(*t), observed: true }).collect();
        for point in points(&mut subjects) {
            let left = times.iter().filter(|t| f64::from(**t) > point.time).count();
            let share = left as f64 / times.len() as f64;
            prop_assert_eq!(point.survival, share);
            let binomial = (share * (1.0 - share) / times.len() as f64).sqrt();
            prop_assert!(point.std_error.is_none_or(|error| (error - binomial).abs() < 1e-14), "{point:?}");
        }
    }

    #[test]
    fn more_of_the_same_subjects_make_the_limits_narrower_only(subjects in some_subjects(), times in 2..5_usize) {
        let once = points(&mut subjects.clone());
        let more = points(&mut subjects.repeat(times));
        prop_assert_eq!(once.len(), more.len());
        for (once, more) in once.iter().zip(&more) {
            prop_assert!((once.survival - more.survival).abs() < 1e-14, "{once:?} {more:?}");
            let narrower = once.std_error.map(|error| error / (times as f64).sqrt());
            prop_assert!(both_near(more.std_error, narrower), "{once:?} {more:?}");
            if let (Some(lower), Some(upper)) = (once.lower, once.upper) {
                prop_assert!(more.lower > Some(lower) && more.upper < Some(upper), "{once:?} {more:?}");
            }
        }
    }

    #[test]
    fn a_quantile_is_where_the_curve_comes_to_it(mut subjects in some_subjects(), share in 0.001..0.999_f64) {
        let curve = curve(&mut subjects, 0.95).unwrap();
        let level = 1.0 - share;
        let runs_level = curve.points().any(|point| (point.survival - level).abs() < 1e-6);
        prop_assume!(!runs_level);
        let first = curve.points().find(|point| point.survival < level).map(|point| point.time);
        prop_assert_eq!(curve.quantile(share).unwrap(), first);
    }
}
