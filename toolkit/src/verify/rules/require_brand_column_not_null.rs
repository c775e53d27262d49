//! The brand column is NOT NULL.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-brand-column-not-null",
    severity: Severity::Error,
    summary: "The brand column is NOT NULL.",
    why: "A row whose brand is NULL is hidden from every brand, is in no brand's export, and slips through unique and \
          foreign keys, which NULL satisfies.",
    violation: "create table notes (id uuid primary key, brand_id brand_id);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);",
    check: Check::Query(check),
};

const QUERY: &str = "
    select quote_ident(nspname) || '.' || quote_ident(relname)
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    join pg_attribute on attrelid = pg_class.oid
    where pg_class.oid = any ($1)
      and attname = $2
      and attnum > 0
      and not attisdropped
      and not attnotnull
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let rows = catalog.query(QUERY, &[&tables, &catalog.config.brand.column])?;
    let column = catalog.column();
    let finding = |row: &postgres::Row| {
        let table: String = row.get(0);
        rule.finding(
            &table,
            format!("its column {column} may be NULL"),
            format!(
                "-- where it is NULL, fill it in or remove the row, then:\n\
                 alter table {table} alter column {column} set not null;"
            ),
        )
    };
    Ok(rows.iter().map(finding).collect())
}
