//! No PERMISSIVE policy opens more than the brand in context.

use crate::verify::catalog::{Catalog, Command, Kind};
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-brand-scoped-policies",
    severity: Severity::Error,
    summary: "Every PERMISSIVE policy compares the brand column with the brand in context, in USING and in WITH CHECK.",
    why: "PERMISSIVE policies add up, so the widest one counts. Over a floor it opens nothing, and is a warning: then \
          the floor alone keeps brands apart.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                alter table notes enable row level security;
                create policy notes_all on notes using (true);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            alter table notes enable row level security;
            create policy notes_all on notes
              using (brand_id = current_setting('app.current_brand', true)::brand_id);",
    check: Check::Tables(check),
};

fn check(rule: &'static Rule, catalog: &Catalog<'_, '_>) -> Vec<Finding> {
    let (column, context) = (catalog.column(), catalog.context_expression());
    let mut findings = Vec::new();
    for table in &catalog.tables {
        for policy in table.policies.iter().filter(|policy| policy.kind == Kind::Permissive) {
            let open: Vec<_> = Command::ALL
                .into_iter()
                .filter(|&command| policy.covers(command) && !policy.confines(command))
                .map(Command::word)
                .collect();
            if open.is_empty() {
                continue;
            }
            let mut finding = rule.finding(
                &format!("policy {} on {}", policy.name, table.name),
                format!("does not confine {} to the brand in context", open.join(", ")),
                mend(policy.command, &policy.name, &table.name, &format!("{column} = {context}")),
            );
            if table.has_floor() {
                finding.severity = Severity::Warning;
            }
            findings.push(finding);
        }
    }
    findings
}

/// An INSERT has no row to use, and SELECT and DELETE have none to check.
fn mend(command: Option<Command>, policy: &str, table: &str, condition: &str) -> String {
    let using = format!("\n  using ({condition})");
    let check = format!("\n  with check ({condition})");
    let clauses = match command {
        Some(Command::Insert) => check,
        Some(Command::Select | Command::Delete) => using,
        Some(Command::Update) | None => using + &check,
    };
    format!("alter policy {policy} on {table}{clauses};")
}
