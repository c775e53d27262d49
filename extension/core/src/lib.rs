//! The rules of PercyTech as plain Rust: no pgrx, no server, no I/O.
//!
//! The extension turns SQL arguments into calls of this crate, and its answers into rows and errors.

pub mod analytics;
pub mod brand;
pub mod error;
pub mod journey;
pub mod optout;
