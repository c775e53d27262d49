//! Views read as their caller.

use crate::verify::Error;
use crate::verify::catalog::Catalog;
use crate::verify::rule::{Check, Finding, Rule, Severity};

pub static RULE: Rule = Rule {
    id: "require-security-invoker-views",
    severity: Severity::Error,
    summary: "Every view over tables is security_invoker; there is no materialized view.",
    why: "A view reads as its owner, by the owner's policies: of a superuser's view, every role sees every brand. A \
          materialized view holds the rows that its owner saw, and row level security cannot be put on it.",
    violation: "create table notes (id uuid primary key, brand_id brand_id not null);
                create view recent_notes as select * from notes;",
    clean: "create table notes (id uuid primary key, brand_id brand_id not null);
            create view recent_notes with (security_invoker = true) as select * from notes;",
    check: Check::Query(check),
};

/// Views of the schemas that read a table, and views of any schema that read a table which must keep brands apart; each
/// directly, or through other views. And every materialized view of the schemas: what it holds came through whatever
/// function it calls.
const QUERY: &str = "
    with recursive reads as (
      select distinct ev_class as reader, refobjid as source
      from pg_rewrite
      join pg_depend
        on classid = 'pg_rewrite'::regclass
        and objid = pg_rewrite.oid
        and refclassid = 'pg_class'::regclass
        and refobjid <> ev_class
    ),
    reaches as (
      select reader as view, source from reads
      union
      select reaches.view, reads.source
      from reaches
      join reads on reads.reader = reaches.source
    )
    select
      quote_ident(nspname) || '.' || quote_ident(relname),
      relkind = 'm',
      quote_ident(pg_get_userbyid(relowner))
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('v', 'm')
      and relpersistence <> 't'
      and not exists (
        select
        from pg_depend
        where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
      )
      and (
        (relkind = 'm' and nspname = any ($1))
        or exists (
          select
          from reaches
          join pg_class as source on source.oid = reaches.source
          join pg_namespace as source_schema on source_schema.oid = source.relnamespace
          where reaches.view = pg_class.oid
            and (
              source.oid = any ($2)
              or (
                pg_namespace.nspname = any ($1)
                and source.relkind in ('r', 'p', 'f')
                and source_schema.nspname not in ('pg_catalog', 'information_schema')
              )
            )
        )
      )
      and not exists (
        select
        from pg_options_to_table(reloptions)
        where option_name = 'security_invoker' and option_value::boolean
      )
    order by 1
";

fn check(rule: &'static Rule, catalog: &mut Catalog<'_, '_>) -> Result<Vec<Finding>, Error> {
    let tables = catalog.table_oids();
    let finding = |row: &postgres::Row| {
        let (view, materialized, owner): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
        if materialized {
            rule.finding(
                &view,
                "is a materialized view: row level security cannot bind it, and it holds what its owner saw",
                format!(
                    "-- keep it from every role that is bound to a brand, or replace it by a table with the brand column:\n\
                     revoke all on {view} from public;"
                ),
            )
        } else {
            rule.finding(
                &view,
                format!("reads as its owner {owner}, not as its caller"),
                format!("alter view {view} set (security_invoker = true);"),
            )
        }
    };
    Ok(catalog.query(QUERY, &[&catalog.config.schemas, &tables])?.iter().map(finding).collect())
}
