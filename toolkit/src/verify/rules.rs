//! The rules, one file each. A new one is a file and a line here.

mod forbid_rewrite_rules;
mod require_brand_column;
mod require_brand_column_not_null;
mod require_brand_column_second;
mod require_brand_column_type;
mod require_brand_scoped_policies;
mod require_forced_row_security;
mod require_policies_for_every_command;
mod require_restrictive_floor;
mod require_row_security;
mod require_security_invoker_views;

use super::rule::Rule;

/// All of them, in the order in which one would mend.
pub const ALL: &[&Rule] = &[
    &require_brand_column::RULE,
    &require_brand_column_type::RULE,
    &require_brand_column_not_null::RULE,
    &require_brand_column_second::RULE,
    &require_row_security::RULE,
    &require_forced_row_security::RULE,
    &require_restrictive_floor::RULE,
    &require_policies_for_every_command::RULE,
    &require_brand_scoped_policies::RULE,
    &require_security_invoker_views::RULE,
    &forbid_rewrite_rules::RULE,
];
