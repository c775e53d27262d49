//! The brand column has the brands' type.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-brand-column-type",
    severity: Severity::Error,
    summary: "The brand column has the brands' type.",
    why: "Another type holds values that are no brand: a misspelt one belongs to nobody, and text that differs in \
          case or in trailing spaces is another brand.",
    violation: "create table notes (id uuid primary key, brand_id text not null);",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);",
    check: Check::Query(check),
};

const QUERY: &str = "
    select
      quote_ident(nspname) || '.' || quote_ident(relname),
      format_type(atttypid, atttypmod),
      atttypid = to_regtype($3)
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    join pg_attribute on attrelid = pg_class.oid
    left join pg_collation on pg_collation.oid = attcollation
    where pg_class.oid = any ($1)
      and attname = $2
      and attnum > 0
      and not attisdropped
      and (atttypid <> to_regtype($3) or not coalesce(collisdeterministic, true))
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let brand = &catalog.config.brand;
    let rows = catalog.query(QUERY, &[&tables, &brand.column, &brand.data_type])?;
    let (column, data_type) = (catalog.column(), &brand.data_type);
    let finding = |row: &postgres::Row| {
        let (table, actual, is_right): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
        if is_right {
            return rule.finding(
                &table,
                format!("its column {column} has a collation that takes different brands for equal"),
                format!("alter table {table} alter column {column} type {data_type} collate \"C\";"),
            );
        }
        rule.finding(
            &table,
            format!("its column {column} is of type {actual}, not {data_type}"),
            format!("alter table {table} alter column {column} type {data_type} using {column}::text::{data_type};"),
        )
    };
    Ok(rows.iter().map(finding).collect())
}
