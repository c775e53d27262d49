//! The customer's journey: what the schema's functions ask of the rules.

use percytech_core::brand::context;
use percytech_core::journey::DEFAULT_TRANSITIONS;
use pgrx::prelude::*;

use crate::brand::Backend;

/// The moves that a brand allows to begin with: what a new brand's `stage_transition_rules` are filled from.
#[pg_extern(immutable, parallel_safe)]
fn default_stage_transitions()
-> TableIterator<'static, (name!(from_stage, &'static str), name!(to_stage, &'static str))> {
    let moves = DEFAULT_TRANSITIONS.iter().flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)));
    TableIterator::new(moves)
}

/// Who acts: the subject of the token of a trusted login, else the login.
#[pg_extern(stable, parallel_safe)]
fn current_actor() -> String {
    context::actor(&Backend::now())
}

extension_sql_file!(
    "journey/grants.sql",
    name = "journey_grants_and_comments",
    requires = [default_stage_transitions, current_actor]
);
