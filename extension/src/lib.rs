//! The PostgreSQL extension `percytech`: a thin shell around `percytech-core`.
//!
//! It owns functions and the settings of the brand context; tables, types, views and policies belong to the migrations.

use pgrx::prelude::*;

mod analytics;
mod brand;
mod journey;
mod optout;
mod refusal;
mod search;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("encoding.sql", name = "refuse_other_encodings", bootstrap);

/// Called by PostgreSQL when the library is loaded into a backend.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    brand::define_settings();
    analytics::define_settings();
}
