//! Row level security binds the owner too.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-forced-row-security",
    severity: Severity::Error,
    summary: "Row level security is forced, so that it binds the table's owner.",
    why: "The owner is not bound by policies otherwise, and neither is what runs as the owner: a SECURITY DEFINER \
          function, a view, an application that connects as the owner.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                alter table notes enable row level security;",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            alter table notes enable row level security;
            alter table notes force row level security;",
    check: Check::Query(check),
};

const QUERY: &str = "
    select quote_ident(nspname) || '.' || quote_ident(relname), quote_ident(pg_get_userbyid(relowner))
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where pg_class.oid = any ($1) and not relforcerowsecurity
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let finding = |row: &postgres::Row| {
        let (table, owner): (String, String) = (row.get(0), row.get(1));
        rule.finding(
            &table,
            format!("row level security is not forced: its owner {owner} sees every brand"),
            format!("alter table {table} force row level security;"),
        )
    };
    Ok(catalog.query(QUERY, &[&tables])?.iter().map(finding).collect())
}
