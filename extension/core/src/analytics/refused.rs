//! What the aggregates do not take.

use crate::error::Refusal;

use super::window_funnel::MAX_STEPS;

/// The most events that the state of an aggregate holds: those of a whole funnel take a gigabyte.
pub const MAX_EVENTS: usize = 1 << 25;

/// The most different states that a customer may be in.
pub const MAX_STATES: usize = 1000;

/// The most bytes that the name of a state has.
pub const MAX_STATE_LENGTH: usize = 1000;

/// The most points that a curve has: what fits into an array.
pub const MAX_POINTS: usize = 1 << 23;

/// Why the arguments of an aggregate are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A window with months.
    #[error("the window has months, which have no fixed length")]
    Months,
    /// A window that nothing fits into.
    #[error("the window is negative")]
    Negative,
    /// An argument that has to be the same in all rows.
    #[error("{0} is not the same in all rows")]
    Varies(&'static str),
    /// An argument that has to be there.
    #[error("{0} is NULL")]
    Null(&'static str),
    /// An array of arrays.
    #[error("{0} is not an array of one dimension")]
    Dimensions(&'static str),
    /// A funnel without steps, or a question without conditions.
    #[error("there are no {0}")]
    Empty(&'static str),
    /// More steps or conditions than fit.
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// A step that is there twice.
    #[error("a step is there twice")]
    Repeated,
    /// More points than an array holds.
    #[error("the curve has too many points")]
    TooManyPoints,
    /// More than a state holds.
    #[error("there are too many events")]
    TooManyEvents,
    /// A state with more to its name than a name has.
    #[error("the name of a state is too long")]
    LongState,
    /// More states than anybody is in.
    #[error("there are too many states")]
    TooManyStates,
}

impl Refusal for Refused {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::Null(_) => "22004", // null_value_not_allowed
            Self::TooManyEvents | Self::TooManyStates | Self::LongState | Self::TooManyPoints => "54000", // program_limit_exceeded
            _ => "22023", // invalid_parameter_value
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::TooMany(_) => Some(format!("At most {MAX_STEPS} are possible.")),
            Self::TooManyEvents => Some(format!("At most {MAX_EVENTS} are possible.")),
            Self::TooManyStates => Some(format!("At most {MAX_STATES} are possible.")),
            Self::LongState => Some(format!("It has at most {MAX_STATE_LENGTH} bytes.")),
            Self::TooManyPoints => Some(format!("At most {MAX_POINTS} are possible.")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Months => "Write it in days, such as interval '30 days'.",
            Self::Negative => "Write how long the window lasts, such as interval '30 days'.",
            Self::Varies(_) => "Group by it, or write a constant.",
            Self::Null(_) => "Write a value.",
            Self::Dimensions(_) => "Write them one after the other.",
            Self::Empty(_) => "Write at least one.",
            Self::TooMany(_) => "Leave out those that matter least.",
            Self::Repeated => "Write each step once.",
            Self::TooManyEvents => "Look at a shorter time, or at fewer customers.",
            Self::TooManyPoints => "Round the durations, such as to whole days.",
            Self::TooManyStates | Self::LongState => "A state is one of a few, such as a stage.",
        };
        Some(hint.to_owned())
    }
}

/// The length of a window, in microseconds, by the parts of PostgreSQL's interval. A day has 24 hours. A window too long for
/// an `i64`, such as `infinity`, has no end.
pub fn window(months: i32, days: i32, microseconds: i64) -> Result<i64, Refused> {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    if (months, days, microseconds) == (i32::MAX, i32::MAX, i64::MAX) {
        return Ok(i64::MAX);
    } else if months != 0 {
        return Err(Refused::Months);
    }
    let length = i128::from(days) * i128::from(DAY) + i128::from(microseconds);
    if length < 0 { Err(Refused::Negative) } else { Ok(i64::try_from(length).unwrap_or(i64::MAX)) }
}
