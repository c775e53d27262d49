//! The toolkit of PercyTech: migrations, row level security policies, and the proof that they keep brands apart.
//!
//! The binary `percytech` is a thin command line over these modules.

pub mod cli;
pub mod cluster;
pub mod config;
pub mod database;
pub mod demo;
pub mod interrupt;
pub mod migrate;
pub mod output;
pub mod owner;
pub mod policies;
pub mod report;
pub mod script;
pub mod tables;
pub mod verify;
