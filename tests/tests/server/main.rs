//! The tests that need a server. They share one, or one as Supabase has it, and each has a database of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aggregates;
mod analytics;
mod analytics_callers;
mod analytics_overview;
mod brand_authority;
mod brand_context;
mod brand_loading;
mod connection;
mod demo;
mod documents;
mod encryption;
mod isolation;
mod journey;
mod journey_bypass;
mod journey_concurrency;
mod maintenance;
mod migrate;
mod migration_files;
mod optout;
mod optout_bodies;
mod optout_bypass;
mod optout_concurrency;
mod optout_context;
mod optout_counters;
mod optout_delivery;
mod optout_numbers;
mod optout_outbound;
mod optout_quiet_hours;
mod optout_scope;
mod optout_secrecy;
mod plans;
mod policies;
mod pooler;
mod report;
mod roles;
mod schema;
mod sealing;
mod supabase;
mod verify;
