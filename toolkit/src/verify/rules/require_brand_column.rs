//! Every table has the brand column.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-brand-column",
    severity: Severity::Error,
    summary: "Every table has the brand column.",
    why: "A row without a brand belongs to nobody, so nothing can keep it from the others. To look the brand up in a \
          parent table costs a join for every query, and one forgotten join is a leak.",
    violation: "create table notes (id uuid primary key, body text);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null, body text);",
    check: Check::Query(check),
};

const QUERY: &str = "
    select quote_ident(nspname) || '.' || quote_ident(relname)
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where pg_class.oid = any ($1)
      and not exists (
        select
        from pg_attribute
        where attrelid = pg_class.oid and attname = $2 and attnum > 0 and not attisdropped
      )
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let rows = catalog.query(QUERY, &[&tables, &catalog.config.brand.column])?;
    let (column, data_type) = (catalog.column(), &catalog.config.brand.data_type);
    let finding = |row: &postgres::Row| {
        let table: String = row.get(0);
        rule.finding(
            &table,
            format!("has no column {column}"),
            format!(
                "alter table {table} add column {column} {data_type};\n\
                 -- fill it in, brand by brand, then:\n\
                 alter table {table} alter column {column} set not null;"
            ),
        )
    };
    Ok(rows.iter().map(finding).collect())
}
