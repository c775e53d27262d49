//! No rewrite rule leads to a table that must keep brands apart.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "forbid-rewrite-rules",
    severity: Severity::Error,
    summary: "No rule (CREATE RULE) is on a table that keeps brands apart, or leads to one.",
    why: "What a rule writes is checked as for the owner of the relation that it is on, by the owner's policies: even \
          on a view that is security_invoker, which is about reading only.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                create view note_ids with (security_invoker = true) as select id from notes;
                create rule forget as on delete to note_ids do instead delete from notes where id = old.id;",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            create view note_ids with (security_invoker = true) as select id from notes;",
    check: Check::Query(check),
};

const QUERY: &str = "
    select
      quote_ident(nspname) || '.' || quote_ident(relname),
      quote_ident(rulename)
    from pg_rewrite
    join pg_class on pg_class.oid = ev_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where ev_type <> '1'
      and relpersistence <> 't'
      and (
        ev_class = any ($1)
        or exists (
          select
          from pg_depend
          where classid = 'pg_rewrite'::regclass
            and objid = pg_rewrite.oid
            and refclassid = 'pg_class'::regclass
            and refobjid = any ($1)
        )
      )
    order by 1, 2
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let finding = |row: &postgres::Row| {
        let (relation, name): (String, String) = (row.get(0), row.get(1));
        rule.finding(
            &relation,
            format!("its rule {name} writes as the owner of {relation}, past its caller's policies"),
            format!("drop rule {name} on {relation};"),
        )
    };
    Ok(catalog.query(QUERY, &[&tables])?.iter().map(finding).collect())
}
