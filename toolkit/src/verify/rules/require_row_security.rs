//! Row level security is enabled.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-row-security",
    severity: Severity::Error,
    summary: "Row level security is enabled.",
    why: "While it is off, policies mean nothing: whoever may read the table reads every brand.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            alter table notes enable row level security;",
    check: Check::Query(check),
};

const QUERY: &str = "
    select
      quote_ident(nspname) || '.' || quote_ident(relname),
      relkind = 'f',
      exists (select from pg_policy where polrelid = pg_class.oid)
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where (
        pg_class.oid = any ($1)
        or (
          relkind = 'f'
          and (
            nspname = any ($2)
            or exists (select from pg_inherits where inhrelid = pg_class.oid and inhparent = any ($1))
          )
        )
      )
      and not relrowsecurity
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let finding = |row: &postgres::Row| {
        let (table, is_foreign, has_policies): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
        if is_foreign {
            return rule.finding(
                &table,
                "is a foreign table: row level security cannot bind it",
                format!("-- nobody who is bound to a brand may read it:\nrevoke all on {table} from public;"),
            );
        }
        let message = if has_policies {
            "has policies, but row level security is off, so they mean nothing"
        } else {
            "row level security is off"
        };
        rule.finding(&table, message, format!("alter table {table} enable row level security;"))
    };
    Ok(catalog.query(QUERY, &[&tables, &catalog.config.schemas])?.iter().map(finding).collect())
}
