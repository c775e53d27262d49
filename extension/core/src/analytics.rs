//! Questions about customers over time: how far they come, whether they come back, how long they stay.
#![allow(clippy::doc_markdown, reason = "ClickHouse is a name, not an item")]

pub mod kaplan_meier;
pub mod retention;
pub mod state_durations;
pub mod window_funnel;
