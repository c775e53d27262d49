//! What the numbers say, in words: a sentence for each report, and numbers as people write them.

use super::{CurvePoint, FunnelStep, Report, RetentionCell, SourceLine};

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;
const MINUTE: f64 = 60.0;

/// Joins a number and its unit.
const NO_BREAK: char = '\u{a0}';

/// A label of an enum, or of none.
pub fn label(name: Option<&str>) -> String {
    name.unwrap_or("not known")
        .chars()
        .map(|letter| match letter {
            '_' => ' ',
            // A label that would move the cursor, or turn the text around.
            _ if letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter) => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

/// 1437 as 1,437.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in a sentence.
fn none_or(number: i64) -> String {
    if number == 0 { "none".to_owned() } else { count(number) }
}

/// When the report was read, for people.
pub fn read_at(report: &Report) -> String {
    let minute = report.read_at.get(..16).unwrap_or(&report.read_at);
    format!("{} UTC", minute.replace('T', " "))
}

/// So many customers.
pub fn customers(number: i64) -> String {
    format!("{} customer{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share in percent: with a decimal where the whole number would be 0 or 100 and the share is neither, or is small.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let is_whole = percent <= 0.0 || (10.0..=99.0).contains(&percent) || percent >= 100.0;
    let text = if is_whole { format!("{percent:.0}") } else { format!("{percent:.1}") };
    // What rounds to an end is not at the end.
    let text = match text.as_str() {
        "0.0" => "<0.1".to_owned(),
        "100.0" => ">99.9".to_owned(),
        _ => text,
    };
    format!("{text}{NO_BREAK}%")
}

/// A share that may not be known.
pub fn percent_or_none(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}

/// The limits of a share.
pub fn limits(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", percent(lower), percent(upper)),
        _ => "-".to_owned(),
    }
}

/// A length of time, in the unit that suits it.
pub fn duration(seconds: f64) -> String {
    let (number, unit) = match seconds {
        _ if seconds >= DAY => (seconds / DAY, "day"),
        _ if seconds >= HOUR => (seconds / HOUR, "hour"),
        _ if seconds >= MINUTE => (seconds / MINUTE, "minute"),
        _ => (seconds, "second"),
    };
    let text = if number >= 10.0 { format!("{number:.0}") } else { format!("{number:.1}") };
    let text = text.trim_end_matches(".0");
    format!("{text}{NO_BREAK}{unit}{}", if text == "1" { "" } else { "s" })
}

/// A length of time that there may be none of.
pub fn duration_or_none(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), duration)
}

/// So many days.
pub fn days(number: i32) -> String {
    format!("{}{NO_BREAK}day{}", count(number.into()), if number == 1 { "" } else { "s" })
}

/// `many` as a share of `all`, which is not 0.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 customers")]
pub fn share(many: i64, all: i64) -> f64 {
    many as f64 / all as f64
}

/// Of which customers the report is.
pub fn period(report: &Report) -> String {
    match (&report.since, &report.until) {
        (None, None) => "All of the time".to_owned(),
        (Some(since), None) => format!("From {since} on"),
        (None, Some(until)) => format!("Before {until}"),
        (Some(since), Some(until)) => format!("From {since} on, before {until}"),
    }
}

/// What is said of a brand without customers.
pub fn empty(report: &Report) -> String {
    match (&report.since, &report.until) {
        (None, None) => format!("{} has no customers yet.", report.brand),
        _ => format!("No customer of {} came, moved on or subscribed in this time.", report.brand),
    }
}

/// The stages of these steps: marketing, trial and active.
fn listed(steps: &[FunnelStep]) -> String {
    let stages: Vec<_> = steps.iter().map(|step| label(Some(&step.stage))).collect();
    match stages.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => stages.concat(),
    }
}

/// What the funnel says.
pub fn funnel(report: &Report) -> String {
    let steps = &report.journey_funnel;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return "The funnel has no steps.".to_owned();
    };
    let first_stage = label(Some(&first.stage));
    if first.customers == 0 {
        return format!("No customer came to the stage {first_stage} in this time.");
    }
    let within = days(report.funnel_window_days);
    let known = last.conversion;
    let reached = match known {
        Some(share) => format!(
            "Of {} who came to the stage {first_stage}, {} went on to {} in this order within {within}: {} of those whose \
             {within} are over.",
            customers(first.customers),
            none_or(last.customers),
            listed(&steps[1..]),
            percent(share)
        ),
        None => format!(
            "{} came to the stage {first_stage}; it is not known yet whether they go on to {} in this order within {within}.",
            customers(first.customers),
            listed(&steps[1..])
        ),
    };
    let waiting = known
        .filter(|_| last.undecided > 0)
        .map_or_else(String::new, |_| format!(" {} may still do so.", count(last.undecided)));
    let weakest = steps
        .windows(2)
        .filter_map(|pair| Some((&pair[0], &pair[1], pair[1].step_conversion?)))
        .min_by(|left, right| left.2.total_cmp(&right.2))
        .filter(|(.., share)| *share < 1.0 && steps.len() > 2)
        .map_or_else(String::new, |(before, after, share)| {
            let (before, after) = (label(Some(&before.stage)), label(Some(&after.stage)));
            format!(" Fewest go on from {before} to {after}: {}.", percent(share))
        });
    reached + &waiting + &weakest
}

/// A share below a half, which does not read as one either.
fn fewer_than_half(share: f64) -> String {
    if share < 0.495 { percent(share) } else { format!("{:.1}{NO_BREAK}%", (share * 1_000.0).floor() / 10.0) }
}

/// How many customers the curve is of, and of how many of them it is not known when they subscribe.
pub fn followed(curve: &[CurvePoint]) -> (i64, i64) {
    let all = curve.first().map_or(0, |point| point.at_risk);
    (all, curve.iter().map(|point| point.censored).sum())
}

/// The first day after which no more than `share` is above it, as `of` reads the share from a point.
pub fn day_of(curve: &[CurvePoint], share: f64, of: impl Fn(&CurvePoint) -> Option<f64>) -> Option<i32> {
    // The server's sums are not exact.
    let reached = |point: &&CurvePoint| of(point).is_some_and(|waiting| waiting <= share + 1e-9);
    curve.iter().find(reached).map(|point| point.days)
}

/// From how many customers on the curve is taken at its word.
const FEW: i64 = 10;

/// What the curve says.
pub fn time_to_subscription(report: &Report) -> String {
    let curve = &report.time_to_subscription;
    let (all, unknown) = followed(curve);
    let Some(last) = curve.last().filter(|_| all > 0) else {
        return "No customer came in this time.".to_owned();
    };
    // What a few customers do who were followed for very long says little of all.
    let many = curve.iter().take_while(|point| point.at_risk >= FEW).count();
    let (told, longer) = match many {
        _ if many == curve.len() || many == 0 => (curve.as_slice(), String::new()),
        _ => (&curve[..many], format!(", and fewer than {FEW} were followed for longer")),
    };
    let end = told.last().unwrap_or(last);
    let not_yet = match share(unknown, all) {
        0.0 => "it is known of all of them".to_owned(),
        unknown => format!("of {} it is not known yet", percent(unknown)),
    };
    match day_of(told, 0.5, |point| Some(point.waiting)) {
        Some(0) => format!("Half of the customers subscribe on the day they come; {not_yet}."),
        // Days are rounded down.
        Some(day) => format!("Half of the customers subscribe within {}; {not_yet}.", days(day + 1)),
        None if last.waiting >= 1.0 => format!("No customer has subscribed so far; {not_yet}."),
        None => format!(
            "Within {}, {} of the customers subscribe, which is fewer than half{longer}; {not_yet}.",
            days(end.days + 1),
            fewer_than_half(1.0 - end.waiting)
        ),
    }
}

/// The sources, those that convert best first, and those of which nothing is known last.
pub fn ranked(sources: &[SourceLine]) -> Vec<&SourceLine> {
    let mut ranked: Vec<_> = sources.iter().collect();
    let conversion = |line: &SourceLine| line.conversion.unwrap_or(-1.0);
    ranked.sort_by(|left, right| conversion(right).total_cmp(&conversion(left)));
    ranked
}

/// What the comparison of sources says: that one is best only where chance is an unlikely reason.
pub fn sources(report: &Report) -> String {
    let ranked = ranked(&report.source_performance);
    let within = days(report.source_window_days);
    let undecided: i64 = ranked.iter().map(|line| line.undecided).sum();
    let not_yet = match undecided {
        0 => String::new(),
        _ => format!(" Of {} it is not known yet.", customers(undecided)),
    };
    let Some((best, share)) = ranked.first().and_then(|best| Some((*best, best.conversion?))) else {
        return match undecided {
            0 => "No customer came in this time.".to_owned(),
            1 => format!("It is not known yet whether the only customer subscribes within {within}."),
            _ => format!(
                "It is not known yet of any of {} whether they subscribe within {within}.",
                customers(undecided)
            ),
        };
    };
    let name = label(best.source.as_deref());
    let subscribed = format!(
        "Of the customers from {name} whose {within} are over, {} subscribed within them",
        percent(share)
    );
    let others: Vec<_> = ranked[1..].iter().filter(|line| line.conversion.is_some()).collect();
    let near = others.iter().filter(|line| line.upper_limit >= best.lower_limit).count();
    let as_many = others.iter().filter(|line| line.conversion >= best.conversion).count();
    if share <= 0.0 {
        return format!(
            "Nobody whose {within} are over subscribed within them, from whatever source.{not_yet}"
        );
    }
    let compared = match (others.len(), near) {
        (0, _) => String::new(),
        (_, _) if as_many > 0 => ", and as many from another source".to_owned(),
        (compared, 0) if compared < ranked.len() - 1 => {
            ", more than from any other source of which it is known".to_owned()
        }
        (_, 0) => ", more than from any other source".to_owned(),
        (_, 1) => ", the most; the limits of another source overlap with theirs".to_owned(),
        (..) => format!(", the most; the limits of {near} other sources overlap with theirs"),
    };
    format!("{subscribed}{compared}.{not_yet}")
}

/// What the stays say.
pub fn stages(report: &Report) -> String {
    let lines = &report.stage_durations;
    if lines.is_empty() {
        return "No customer came to a stage in this time.".to_owned();
    }
    let longest = lines
        .iter()
        .filter_map(|line| Some((line, line.median_seconds?)))
        .max_by(|left, right| left.1.total_cmp(&right.1));
    match longest {
        None => "No stay in a stage is over yet.".to_owned(),
        Some((line, median)) => format!(
            "Of the stays that are over, those in {} were the longest: half of them took {} or more{}.",
            label(Some(&line.stage)),
            duration(median),
            match line.still_there {
                0 => String::new(),
                1 => ", and 1 there is not over".to_owned(),
                still => format!(", and {} there are not over", count(still)),
            }
        ),
    }
}

/// Of all cohorts for which this month is over, how many were active in it.
fn active_after(cells: &[RetentionCell], months: i32) -> Option<f64> {
    let of_month = || cells.iter().filter(|cell| cell.period_number == months && cell.is_complete);
    let all: i64 = of_month().map(|cell| cell.customers).sum();
    (all > 0).then(|| share(of_month().map(|cell| cell.active).sum(), all))
}

/// What the cohorts say, of months that are over.
pub fn retention(report: &Report) -> String {
    let cells = &report.cohort_retention;
    if cells.is_empty() {
        return "No customer subscribed in this time.".to_owned();
    }
    let after = |months: i32| Some((months, active_after(cells, months)?));
    let (near, far) = ([3, 2, 1].into_iter().find_map(after), [12, 6].into_iter().find_map(after));
    let months = |number: i32| format!("{number} months");
    let Some((number, share)) = near else {
        return "No month after the one in which they subscribed is over yet.".to_owned();
    };
    let later =
        if number == 1 { "in the month after".to_owned() } else { format!("{} later", months(number)) };
    let farther = far.map_or_else(String::new, |(number, share)| {
        format!(", and {} {} later", percent(share), months(number))
    });
    format!(
        "Of the customers who subscribed, {} were active {later}{farther}, as far as those months are over.",
        percent(share)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567, -1_000].map(count),
            ["0", "999", "1,000", "1,234,567", "-1,000"]
        );
        let percents = [0.0, 0.0001, 0.034, 0.284, 0.996, 0.999_9, 1.0].map(percent);
        assert_eq!(
            percents,
            [
                "0\u{a0}%",
                "<0.1\u{a0}%",
                "3.4\u{a0}%",
                "28\u{a0}%",
                "99.6\u{a0}%",
                ">99.9\u{a0}%",
                "100\u{a0}%"
            ]
        );
        let durations = [0.0, 60.0, 5_400.0, 86_400.0, 90_000.0, 8_640_000.0].map(duration);
        assert_eq!(
            durations,
            [
                "0\u{a0}seconds",
                "1\u{a0}minute",
                "1.5\u{a0}hours",
                "1\u{a0}day",
                "1\u{a0}day",
                "100\u{a0}days"
            ]
        );
    }

    #[test]
    fn a_label_cannot_move_the_cursor() {
        assert_eq!(label(Some("sms_campaign")), "sms campaign");
        assert_eq!(label(Some("\u{1b}[2Jred\u{202e}")), "\u{fffd}[2Jred\u{fffd}");
        assert_eq!(label(None), "not known");
    }

    fn point(days: i32, at_risk: i64, subscribed: i64, censored: i64, waiting: f64) -> CurvePoint {
        CurvePoint { days, at_risk, subscribed, censored, waiting, lower_limit: None, upper_limit: None }
    }

    fn curve(points: &[CurvePoint]) -> String {
        let report = Report { time_to_subscription: points.to_vec(), ..Report::default() };
        time_to_subscription(&report).replace(NO_BREAK, " ")
    }

    #[test]
    fn the_curve_says_by_when_half_subscribe_and_of_how_many_it_is_not_known() {
        assert_eq!(curve(&[]), "No customer came in this time.");
        assert_eq!(
            curve(&[point(3, 1, 0, 1, 1.0)]),
            "No customer has subscribed so far; of 100 % it is not known yet."
        );
        assert_eq!(
            curve(&[point(0, 2, 1, 0, 0.5), point(4, 1, 1, 0, 0.0)]),
            "Half of the customers subscribe on the day they come; it is known of all of them."
        );
        assert_eq!(
            curve(&[point(1, 4, 1, 0, 0.75), point(41, 3, 1, 0, 0.500_000_000_1), point(50, 2, 0, 2, 0.5)]),
            "Half of the customers subscribe within 42 days; of 50 % it is not known yet."
        );
        assert!(curve(&[point(9, 2, 1, 1, 0.500_1)]).starts_with("Within 10 days, 49.9 % of the customers"));
        assert_eq!(
            curve(&[point(1, 4, 1, 0, 0.75), point(2, 3, 0, 3, 0.75)]),
            "Within 3 days, 25 % of the customers subscribe, which is fewer than half; of 75 % it is not known yet."
        );
    }

    #[test]
    fn a_few_who_were_followed_for_very_long_do_not_speak_for_all() {
        let steep = [point(10, 100, 30, 0, 0.7), point(20, 70, 0, 67, 0.7), point(300, 3, 1, 2, 0.467)];
        assert_eq!(
            curve(&steep),
            "Within 21 days, 30 % of the customers subscribe, which is fewer than half, and fewer than 10 were followed for \
             longer; of 69 % it is not known yet."
        );
        assert!(
            curve(&[point(5, 20, 0, 17, 1.0), point(300, 3, 1, 2, 0.667)]).starts_with("Within 6 days, 0 %")
        );
    }

    fn source(name: &str, conversion: Option<f64>, lower: f64, upper: f64, undecided: i64) -> SourceLine {
        SourceLine {
            source: Some(name.to_owned()),
            leads: 10,
            subscribed: 1,
            undecided,
            sample_size: 10 - undecided,
            conversion,
            lower_limit: conversion.map(|_| lower),
            upper_limit: conversion.map(|_| upper),
            median_days: None,
        }
    }

    #[test]
    fn a_source_is_called_best_only_where_no_other_may_be() {
        let said = |lines: &[SourceLine]| {
            let report =
                Report { source_performance: lines.to_vec(), source_window_days: 90, ..Report::default() };
            sources(&report).replace(NO_BREAK, " ")
        };
        let (low, high) =
            (source("other", Some(0.1), 0.05, 0.2, 3), source("organic", Some(0.6), 0.5, 0.7, 0));
        assert_eq!(said(&[]), "No customer came in this time.");
        assert_eq!(
            said(&[low.clone(), high.clone()]),
            "Of the customers from organic whose 90 days are over, 60 % subscribed within them, more than from any other source. \
             Of 3 customers it is not known yet."
        );
        let near = source("referral", Some(0.59), 0.4, 0.7, 0);
        assert!(said(&[near, low, high]).contains("the most; the limits of another source overlap"));
        assert_eq!(
            said(&[source("other", None, 0.0, 0.0, 1)]),
            "It is not known yet whether the only customer subscribes within 90 days."
        );
    }
}
