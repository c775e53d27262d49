//! Whether a customer who met the first condition also met the others, as `retention` of ClickHouse says.
//!
//! The rule is of ClickHouse's documentation of parametric aggregate functions
//! (<https://clickhouse.com/docs/sql-reference/aggregate-functions/parametric-functions#retention>): of conditions 1 to N, the
//! first is answered by whether any row met it; each other by whether any row met it and any row, the same or another, met the
//! first. When they were met doesn't matter: the caller's conditions say it, `day = '2026-01-01'`, `day = '2026-01-02'`.

/// The most conditions there may be, as in ClickHouse.
pub const MAX_CONDITIONS: usize = 32;

/// What is kept of the rows of one customer.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Which conditions some row met: bit i is of condition i + 1.
    pub met: u32,
}

impl Retention {
    /// Counts a row in that meets these conditions: bit i is of condition i + 1.
    pub fn add(&mut self, conditions: u32) {
        self.met |= conditions;
    }

    /// Counts all rows of another state in.
    pub fn combine(&mut self, other: Self) {
        self.add(other.met);
    }

    /// Which conditions are answered with yes: bit i is of condition i + 1.
    #[must_use]
    pub fn result(self) -> u32 {
        if self.met & 1 == 0 { 0 } else { self.met }
    }
}
