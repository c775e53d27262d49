//! A RESTRICTIVE policy for everybody confines every command to the brand in context.

use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-restrictive-floor",
    severity: Severity::Error,
    summary: "A RESTRICTIVE policy FOR ALL TO PUBLIC confines the table to the brand in context.",
    why: "PERMISSIVE policies add up: one more, added in a hurry with USING (true), opens every brand. A RESTRICTIVE \
          one is a floor that no other can open, and TO PUBLIC leaves no role out.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                alter table notes enable row level security;
                create policy notes_brand on notes
                  using (brand_id = current_setting('app.current_brand', true)::brand_id);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            alter table notes enable row level security;
            create policy notes_floor on notes as restrictive
              using (brand_id = current_setting('app.current_brand', true)::brand_id);",
    check: Check::Tables(check),
};

fn check(rule: &'static Rule, catalog: &Catalog<'_, '_>) -> Vec<Finding> {
    let without_floor = catalog.tables.iter().filter(|table| !table.has_floor());
    without_floor
        .map(|table| {
            let name = &table.name;
            rule.finding(
                name,
                "has no floor: one PERMISSIVE policy is enough to open every brand",
                catalog.floor(name),
            )
        })
        .collect()
}
