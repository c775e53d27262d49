//! The brand column is the second.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-brand-column-second",
    severity: Severity::Warning,
    summary: "The brand column is the second, after the key.",
    why: "Where every table has it in the same place, a table that lacks it is seen at a glance, and an INSERT or COPY \
          without a column list does not put the brand elsewhere.",
    violation: "create table notes (id uuid primary key, body text, brand_id brand_id not null);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null, body text);",
    check: Check::Query(check),
};

const QUERY: &str = "
    select table_name, place
    from (
      select
        quote_ident(nspname) || '.' || quote_ident(relname) as table_name,
        attname,
        row_number() over (partition by pg_class.oid order by attnum) as place
      from pg_class
      join pg_namespace on pg_namespace.oid = relnamespace
      join pg_attribute on attrelid = pg_class.oid
      where pg_class.oid = any ($1) and attnum > 0 and not attisdropped
    ) as columns
    where attname = $2 and place <> 2
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let rows = catalog.query(QUERY, &[&tables, &catalog.config.brand.column])?;
    let column = catalog.column();
    let finding = |row: &postgres::Row| {
        let (table, place): (String, i64) = (row.get(0), row.get(1));
        rule.finding(
            &table,
            format!("its column {column} is number {place}, not the second"),
            format!(
                "-- PostgreSQL cannot move a column: create the table anew with {column} second and copy the rows, or\n\
                 -- except it in percytech.toml, with the reason"
            ),
        )
    };
    Ok(rows.iter().map(finding).collect())
}
