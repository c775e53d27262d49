//! The native aggregates of journey analytics.
//!
//! Their functions are declared in `analytics/aggregates.sql`, by hand: what pgrx 0.18 writes for an aggregate that is
//! parallel and keeps an internal state has a wrong signature (pgrx issue 2351).

mod arguments;
mod funnel;
mod kaplan_meier;
mod memory;
mod message;
mod retention;
mod rows;
mod settings;
mod state_durations;
mod window_funnel;

pub use settings::define as define_settings;

pgrx::extension_sql_file!("analytics/aggregates.sql", name = "analytics_aggregates");
