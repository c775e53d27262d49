//! Questions about customers over time: how far they come, whether they come back, how long they stay.

pub mod chain;
pub mod kaplan_meier;
pub mod refused;
pub mod retention;
pub mod state_durations;
pub mod window_funnel;
