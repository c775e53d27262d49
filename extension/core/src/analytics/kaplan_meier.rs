//! How long until an event, where some subjects have not come to it yet: the product-limit estimator.
//!
//! Kaplan, Meier: Nonparametric estimation from incomplete observations (1958). The variance is Greenwood's; the limits
//! are pointwise and symmetric on the scale of log(-log S), which keeps them between 0 and 1 (Kalbfleisch, Prentice: The
//! Statistical Analysis of Failure Time Data). The conventions are those of `survfit(conf.type = "log-log")` in R:
//!
//! - **Right censoring only**: a subject is watched from duration 0, until the event or until it is lost from sight. An
//!   event that was earlier, a negative duration, is refused. Who came under watch later than at 0 cannot be told here.
//! - Of the subjects of one duration, the events come first: who is censored then was still at risk.
//! - A duration of zero counts like any other. An event at zero takes the curve below 1 at once.
//! - Durations are equal when they are the same number. R also takes those for equal that differ by 10⁻⁸.
//! - Where S is 1 there are no limits, where it is 0 there is no standard error either: R says `NA` and `NaN`.
//!
//! Nothing is allocated: the subjects are sorted where they are, and the curve is read off them.

mod normal;

use std::slice::ChunkBy;

use crate::error::Refusal;

/// How far S may be from a quantile's level and count as equal: the square root of the machine epsilon, as in R.
const TOLERANCE: f64 = 1.490_116_119_384_765_6e-8;

/// One subject: how long it was watched, and how that ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// From the beginning until the event or the last sight, in any unit.
    pub duration: f64,
    /// Whether the event happened then; else the subject is censored.
    pub observed: bool,
}

/// The curve at one duration that a subject has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The duration.
    pub time: f64,
    /// How many were still watched just before it.
    pub at_risk: u64,
    /// To how many the event happened then.
    pub events: u64,
    /// How many were lost from sight then.
    pub censored: u64,
    /// S: the share to whom the event happens later than this.
    pub survival: f64,
    /// The standard error of S, by Greenwood; none where S is 0.
    pub std_error: Option<f64>,
    /// The lower confidence limit of S; none where S is 0 or 1.
    pub lower: Option<f64>,
    /// The upper confidence limit of S; none where S is 0 or 1.
    pub upper: Option<f64>,
}

/// What there can be no curve of, or no quantile.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The duration of an event that was before the beginning.
    #[error("duration {0} is negative: left-censored subjects are not supported")]
    LeftCensored(f64),
    /// A duration that is infinite or no number.
    #[error("duration {0} is not finite")]
    NotFinite(f64),
    /// A confidence level that is none.
    #[error("confidence level {0} is not between 0 and 1")]
    Level(f64),
    /// A share of subjects that is none.
    #[error("quantile {0} is not between 0 and 1")]
    Quantile(f64),
}

impl Refusal for Refused {
    fn sqlstate(&self) -> &'static str {
        "22023"
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            Self::LeftCensored(_) => {
                "The event was before the beginning. The estimator knows right censoring only: every subject is \
                 watched from duration 0."
                    .to_owned()
            }
            Self::NotFinite(_) => "A duration is a finite number, zero or more.".to_owned(),
            Self::Level(_) => "The level is more than 0 and less than 1.".to_owned(),
            Self::Quantile(_) => "The quantile is 0 or more, and 1 or less.".to_owned(),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::LeftCensored(_) => {
                "Leave out the subjects to whom the event had happened when they came under watch.".to_owned()
            }
            Self::NotFinite(_) => {
                "Give a subject without an event the time for which it was watched, as not observed."
                    .to_owned()
            }
            Self::Level(_) => "Write 0.95 for 95 %.".to_owned(),
            Self::Quantile(_) => "Write 0.5 for the median.".to_owned(),
        })
    }
}

/// The curve of some subjects, which are sorted by it.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    subjects: &'a [Subject],
    /// How many standard errors the limits are away.
    z: f64,
}

/// The curve of these subjects, with limits at a confidence level such as 0.95. It sorts them.
pub fn curve(subjects: &mut [Subject], level: f64) -> Result<Curve<'_>, Refused> {
    if !(level > 0.0 && level < 1.0) {
        return Err(Refused::Level(level));
    }
    for subject in subjects.iter_mut() {
        subject.duration = checked(subject.duration)?;
    }
    subjects.sort_unstable_by(|a, b| a.duration.total_cmp(&b.duration));
    Ok(Curve { subjects, z: normal::central(level) })
}

/// The duration, as zero where it is negative zero.
fn checked(duration: f64) -> Result<f64, Refused> {
    if !duration.is_finite() {
        Err(Refused::NotFinite(duration))
    } else if duration < 0.0 {
        Err(Refused::LeftCensored(duration))
    } else {
        Ok(duration.abs())
    }
}

impl<'a> Curve<'a> {
    /// A point for each duration that a subject has, in order: those of events and those of censored subjects alone.
    pub fn points(&self) -> impl Iterator<Item = Point> + use<'a> {
        let z = self.z;
        self.steps().map(move |step| step.point(z))
    }

    /// S at this duration: 1 before the first event; none after the last subject's, which nobody was watched for.
    ///
    /// Once the curve has come to 0 it stays there. There is none of no subjects.
    #[must_use]
    pub fn survival_at(&self, time: f64) -> Option<f64> {
        let last = self.subjects.last()?.duration;
        let survival =
            self.steps().take_while(|step| step.time <= time).last().map_or(1.0, |step| step.survival);
        (time <= last || (time > last && survival <= 0.0)).then_some(survival)
    }

    /// The duration until which the event has happened to this share of the subjects; none where the curve does not come
    /// so far.
    ///
    /// It is the first duration at which S is 1 - `share` or less. Where the curve runs level at 1 - `share`, it is the
    /// middle between the beginning and the end of that: its next event or, failing that, the last duration. This is what
    /// `quantile` and `median` say in R of a `survfit`, with R's tolerance of 1.5 × 10⁻⁸ in S. (The table that R prints of
    /// a `survfit` differs where no event follows: it has the beginning.) The quantile 0 is the duration 0.
    pub fn quantile(&self, share: f64) -> Result<Option<f64>, Refused> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Refused::Quantile(share));
        }
        let Some(last) = self.subjects.last() else { return Ok(None) };
        if share <= 0.0 {
            return Ok(Some(0.0));
        }
        let mut curve =
            std::iter::once((0.0, 1.0)).chain(self.steps().map(|step| (step.time, step.survival)));
        let level = 1.0 - share;
        let reached = curve.find(|(_, survival)| *survival <= level + TOLERANCE);
        Ok(reached.map(|reached| {
            let left =
                std::iter::once(reached).chain(curve).find(|(_, survival)| *survival <= level - TOLERANCE);
            f64::midpoint(reached.0, left.map_or(last.duration, |(time, _)| time))
        }))
    }

    /// The duration until which the event has happened to half of the subjects: the quantile 0.5.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5).ok().flatten()
    }

    fn steps(&self) -> Steps<'a> {
        Steps {
            ties: self.subjects.chunk_by(|a, b| a.duration.total_cmp(&b.duration).is_eq()),
            at_risk: self.subjects.len(),
            stretch: Stretch { at_risk: float(self.subjects.len()), survival: 1.0, greenwood: 0.0 },
        }
    }
}

/// The curve at one duration, without what takes time to compute.
struct Step {
    time: f64,
    at_risk: usize,
    events: usize,
    censored: usize,
    survival: f64,
    greenwood: f64,
}

impl Step {
    fn point(&self, z: f64) -> Point {
        let error = self.greenwood.sqrt();
        let limits = (self.survival > 0.0 && self.survival < 1.0).then(|| {
            let log = self.survival.ln();
            let factor = (z * error / log).abs().exp();
            ((log * factor).exp(), (log / factor).exp())
        });
        Point {
            time: self.time,
            at_risk: self.at_risk as u64,
            events: self.events as u64,
            censored: self.censored as u64,
            survival: self.survival,
            std_error: (self.survival > 0.0).then_some(self.survival * error),
            lower: limits.map(|(lower, _)| lower),
            upper: limits.map(|(_, upper)| upper),
        }
    }
}

type Ties<'a> = ChunkBy<'a, Subject, fn(&Subject, &Subject) -> bool>;

/// The steps of the curve, in order.
struct Steps<'a> {
    ties: Ties<'a>,
    at_risk: usize,
    stretch: Stretch,
}

/// What was known when a subject was last censored.
///
/// From there to the next that is censored, the factors 1 - d/n of S make one quotient of two counts, and so do the terms
/// d/(n(n-d)) of Greenwood's sum. So nothing cancels, and rounding adds up over the censored subjects only: of ten million,
/// every other one censored, S is right to 10⁻¹³ of itself. Without any it is the share that is left, rounded once.
struct Stretch {
    at_risk: f64,
    survival: f64,
    greenwood: f64,
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let ties = self.ties.next()?;
        let events = ties.iter().filter(|subject| subject.observed).count();
        let censored = ties.len() - events;
        let (before, left) = (self.stretch.at_risk, float(self.at_risk - events));
        let step = Step {
            time: ties[0].duration,
            at_risk: self.at_risk,
            events,
            censored,
            survival: self.stretch.survival * (left / before),
            greenwood: self.stretch.greenwood + (before - left) / (before * left),
        };
        self.at_risk -= ties.len();
        if censored > 0 {
            let Step { survival, greenwood, .. } = step;
            self.stretch = Stretch { at_risk: float(self.at_risk), survival, greenwood };
        }
        Some(step)
    }
}

/// A count of subjects, of which no memory holds 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "a count of what is in memory is exact")]
fn float(count: usize) -> f64 {
    count as f64
}
