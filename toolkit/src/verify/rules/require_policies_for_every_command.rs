//! SELECT, INSERT, UPDATE and DELETE are each confined by a policy.

use crate::verify::catalog::{Catalog, Command, Policy};
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-policies-for-every-command",
    severity: Severity::Error,
    summary: "Each command has a policy that confines it to the brand in context, in USING and in WITH CHECK.",
    why: "Reading may be confined while writing is not: a row is then inserted into, or moved to, another brand.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                alter table notes enable row level security;
                create policy notes_read on notes for select
                  using (brand_id = current_setting('app.current_brand', true)::brand_id);
                create policy notes_write on notes for insert with check (true);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            alter table notes enable row level security;
            create policy notes_brand on notes for all
              using (brand_id = current_setting('app.current_brand', true)::brand_id);",
    check: Check::Tables(check),
};

fn check(rule: &'static Rule, catalog: &Catalog<'_, '_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in &catalog.tables {
        let is_confined = |command| table.policies.iter().any(|policy: &Policy| policy.confines(command));
        let open: Vec<_> =
            Command::ALL.into_iter().filter(|&command| !is_confined(command)).map(Command::word).collect();
        if open.is_empty() {
            continue;
        }
        let name = &table.name;
        findings.push(rule.finding(
            name,
            format!("no policy confines {} to the brand in context", open.join(", ")),
            catalog.floor(name),
        ));
    }
    findings
}
