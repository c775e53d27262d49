//! What protects a table: row level security, its policies, and the grants; and how two tables differ in it.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;

use super::STAND_IN;

/// What protects one table.
#[derive(Debug, Clone)]
pub struct Protection {
    /// The table, with its schema, as SQL names it.
    pub table: String,
    /// The table, without its schema, as SQL names it.
    relation: String,
    row_security: bool,
    forced: bool,
    policies: BTreeMap<String, Policy>,
    grants: BTreeSet<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    permissive: bool,
    command: String,
    roles: String,
    using: Option<String>,
    with_check: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    grantee: String,
    privilege: String,
    grantable: bool,
    /// Who granted it, where that was not the owner.
    grantor: Option<String>,
}

/// The statements that lead from one protection to another.
#[derive(Debug, Default)]
pub struct Difference {
    /// What the declaration asks for.
    pub missing: Vec<String>,
    /// What takes away that it does not ask for.
    pub surplus: Vec<String>,
}

/// Roles whose grants are kept exactly as declared, besides those that the declaration names.
const NEVER_UNDECLARED: [&str; 2] = ["public", "anon"];

impl Protection {
    /// How to bring `actual` to this.
    pub fn difference(&self, actual: &Protection) -> Difference {
        let table = &actual.table;
        let mut difference = Difference::default();
        if self.row_security && !actual.row_security {
            difference.missing.push(format!("alter table {table} enable row level security"));
        }
        if self.forced && !actual.forced {
            difference.missing.push(format!("alter table {table} force row level security"));
        }
        for (name, policy) in &self.policies {
            let policy = policy.about(&actual.relation);
            match actual.policies.get(name) {
                Some(found) if *found == policy => continue,
                Some(_) => difference.missing.push(format!("drop policy {name} on {table}")),
                None => {}
            }
            difference.missing.push(policy.create(name, table));
        }
        let undeclared = actual.policies.keys().filter(|name| !self.policies.contains_key(*name));
        difference.surplus.extend(undeclared.map(|name| format!("drop policy {name} on {table}")));
        self.compare_grants(actual, &mut difference);
        difference
    }

    fn compare_grants(&self, actual: &Protection, difference: &mut Difference) {
        let table = &actual.table;
        // First what goes. With it goes more: with a privilege on the table those on its columns, and with a grant
        // option what it was used for.
        let mut touched = BTreeSet::new();
        for grant in actual.grants.difference(&self.grants) {
            let sql = grant.revoke(table, &self.grants);
            let is_exact = NEVER_UNDECLARED.contains(&grant.grantee.as_str())
                || self.grants.iter().any(|declared| declared.grantee == grant.grantee);
            let statements = if is_exact { &mut difference.missing } else { &mut difference.surplus };
            if !statements.contains(&sql) {
                statements.push(sql);
            }
            touched.insert((grant.grantor.as_ref().unwrap_or(&grant.grantee), grant.command()));
        }
        for declared in &self.grants {
            if !actual.grants.contains(declared) || touched.contains(&(&declared.grantee, declared.command()))
            {
                let Grant { grantee, privilege, grantable, .. } = declared;
                let option = if *grantable { " with grant option" } else { "" };
                difference.missing.push(format!("grant {privilege} on {table} to {grantee}{option}"));
            }
        }
    }
}

impl Grant {
    /// The command that it allows, on the table or on a column.
    fn command(&self) -> &str {
        self.privilege.split(' ').next().unwrap_or_default()
    }

    /// What takes it back. What another than the owner has granted goes when that one may grant no more.
    fn revoke(&self, table: &str, declared: &BTreeSet<Grant>) -> String {
        let Self { grantee, privilege, grantor, .. } = self;
        if let Some(grantor) = grantor {
            return format!("revoke grant option for {privilege} on {table} from {grantor} cascade");
        }
        let without_option = Self { grantable: false, ..self.clone() };
        let option = if declared.contains(&without_option) { "grant option for " } else { "" };
        // Whom it was passed on to does not keep it.
        let cascade = if self.grantable { " cascade" } else { "" };
        format!("revoke {option}{privilege} on {table} from {grantee}{cascade}")
    }
}

impl Policy {
    /// The same policy on the table of this name: within a sub-select, the server writes a column with its table.
    fn about(&self, relation: &str) -> Self {
        let renamed = |expression: &String| rename(expression, relation);
        Self {
            using: self.using.as_ref().map(renamed),
            with_check: self.with_check.as_ref().map(renamed),
            ..self.clone()
        }
    }

    fn create(&self, name: &str, table: &str) -> String {
        let kind = if self.permissive { "permissive" } else { "restrictive" };
        let using = self.using.as_ref().map(|using| format!(" using ({using})")).unwrap_or_default();
        let with_check =
            self.with_check.as_ref().map(|check| format!(" with check ({check})")).unwrap_or_default();
        format!(
            "create policy {name} on {table} as {kind} for {command} to {roles}{using}{with_check}",
            command = self.command,
            roles = self.roles,
        )
    }
}

/// Writes `relation` for the name that stands for each table. What cannot be split into tokens stays as it is.
fn rename(expression: &str, relation: &str) -> String {
    let Ok(scanned) = pg_query::scan(expression) else { return expression.to_owned() };
    let mut renamed = expression.to_owned();
    for token in scanned.tokens.iter().rev() {
        if let (Ok(start), Ok(end)) = (usize::try_from(token.start), usize::try_from(token.end))
            && expression.get(start..end) == Some(STAND_IN)
        {
            renamed.replace_range(start..end, relation);
        }
    }
    renamed
}

/// What protects each of these tables, in their order.
pub fn read(transaction: &mut Transaction<'_>, tables: &[u32]) -> Result<Vec<Protection>, postgres::Error> {
    let mut policies: BTreeMap<u32, BTreeMap<String, Policy>> = BTreeMap::new();
    for row in transaction.query(include_str!("policies.sql"), &[&tables])? {
        let policy = Policy {
            permissive: row.get("permissive"),
            command: row.get("command"),
            roles: row.get("roles"),
            using: row.get("using_expression"),
            with_check: row.get("check_expression"),
        };
        policies.entry(row.get("table_oid")).or_default().insert(row.get("name"), policy);
    }
    let mut grants: BTreeMap<u32, BTreeSet<Grant>> = BTreeMap::new();
    for row in transaction.query(include_str!("grants.sql"), &[&tables])? {
        let grant = Grant {
            grantee: row.get("grantee"),
            privilege: row.get("privilege"),
            grantable: row.get("grantable"),
            grantor: row.get("grantor"),
        };
        grants.entry(row.get("table_oid")).or_default().insert(grant);
    }
    let rows = transaction.query(include_str!("row_security.sql"), &[&tables])?;
    Ok(rows
        .iter()
        .map(|row| {
            let table: u32 = row.get("table_oid");
            Protection {
                table: row.get("name"),
                relation: row.get("relation"),
                row_security: row.get("row_security"),
                forced: row.get("forced"),
                policies: policies.remove(&table).unwrap_or_default(),
                grants: grants.remove(&table).unwrap_or_default(),
            }
        })
        .collect())
}

/// Who holds a privilege on a table, besides its owner.
pub fn grantees(transaction: &mut Transaction<'_>, table: u32) -> Result<BTreeSet<String>, postgres::Error> {
    let rows = transaction.query(include_str!("grants.sql"), &[&vec![table]])?;
    Ok(rows.iter().map(|row| row.get("grantee")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected(table: &str) -> Protection {
        let policy = Policy {
            permissive: false,
            command: "all".into(),
            roles: "public".into(),
            using: Some("(brand_id = ( SELECT brand_table.x))".into()),
            with_check: None,
        };
        let grant = |privilege: &str| Grant {
            grantee: "app".into(),
            privilege: privilege.into(),
            grantable: false,
            grantor: None,
        };
        Protection {
            table: table.into(),
            relation: "t".into(),
            row_security: true,
            forced: true,
            policies: [("floor".to_owned(), policy)].into(),
            grants: [grant("SELECT"), grant("INSERT")].into(),
        }
    }

    fn bare() -> Protection {
        Protection {
            row_security: false,
            forced: false,
            policies: BTreeMap::new(),
            grants: BTreeSet::new(),
            ..protected("public.t")
        }
    }

    #[test]
    fn a_bare_table_gets_all_that_is_declared() {
        let difference = protected("brand_table").difference(&bare());
        assert_eq!(
            difference.missing,
            [
                "alter table public.t enable row level security",
                "alter table public.t force row level security",
                "create policy floor on public.t as restrictive for all to public using ((brand_id = ( SELECT t.x)))",
                "grant INSERT on public.t to app",
                "grant SELECT on public.t to app",
            ]
        );
        assert!(difference.surplus.is_empty());
    }

    #[test]
    fn a_table_that_has_it_all_needs_nothing() {
        let mut same = protected("public.t");
        same.policies = protected("public.t")
            .policies
            .into_iter()
            .map(|(name, policy)| (name, policy.about("t")))
            .collect();
        let difference = protected("brand_table").difference(&same);
        assert!(difference.missing.is_empty() && difference.surplus.is_empty(), "{difference:?}");
    }

    #[test]
    fn a_declared_role_public_and_anon_keep_no_more_than_declared() {
        let mut actual = bare();
        for grantee in ["app", "public", "anon", "reporting"] {
            actual.grants.insert(Grant {
                grantee: grantee.into(),
                privilege: "TRUNCATE".into(),
                grantable: false,
                grantor: None,
            });
        }
        let difference = protected("brand_table").difference(&actual);
        for grantee in ["app", "public", "anon"] {
            assert!(difference.missing.contains(&format!("revoke TRUNCATE on public.t from {grantee}")));
        }
        assert_eq!(difference.surplus, ["revoke TRUNCATE on public.t from reporting"]);
    }

    #[test]
    fn an_undeclared_grant_option_alone_is_revoked() {
        let mut actual = bare();
        actual.grants.insert(Grant {
            grantee: "app".into(),
            privilege: "SELECT".into(),
            grantable: true,
            grantor: None,
        });
        let difference = protected("brand_table").difference(&actual);
        assert!(
            difference
                .missing
                .contains(&"revoke grant option for SELECT on public.t from app cascade".to_owned())
        );
    }

    #[test]
    fn a_grant_that_another_role_made_goes_with_that_roles_grant_option() {
        let mut actual = bare();
        let grantor = Some("middleman".to_owned());
        actual.grants.insert(Grant {
            grantee: "anon".into(),
            privilege: "SELECT".into(),
            grantable: false,
            grantor,
        });
        let difference = protected("brand_table").difference(&actual);
        let expected = "revoke grant option for SELECT on public.t from middleman cascade".to_owned();
        assert!(difference.missing.contains(&expected), "{difference:?}");
    }

    #[test]
    fn only_the_name_itself_is_replaced() {
        let expression = "(EXISTS ( SELECT FROM old_brand_table o WHERE (o.id = brand_table.id) AND 'brand_table.' = o.x))";
        assert_eq!(
            rename(expression, "\"a.b\""),
            "(EXISTS ( SELECT FROM old_brand_table o WHERE (o.id = \"a.b\".id) AND 'brand_table.' = o.x))"
        );
    }
}
