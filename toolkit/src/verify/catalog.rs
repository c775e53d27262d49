//! What the rules look at: the tables and views of the brands' schemas, and the meaning of their policies.

use std::collections::BTreeMap;

use postgres::types::ToSql;
use postgres::{Row, Transaction};
use postgres_protocol::escape::escape_identifier;

use super::Error;
use super::scope::{Casts, Scope};
use crate::config::Config;
use crate::tables;

/// The catalog as one snapshot shows it.
pub struct Catalog<'t, 'c> {
    transaction: &'t mut Transaction<'c>,
    /// The settings.
    pub config: &'t Config,
    /// A function that returns the brand in context, where one of the settings' exists.
    context_function: Option<String>,
    /// The tables that must keep brands apart.
    pub tables: Vec<Table>,
    /// How many views there are in the same schemas.
    pub views: usize,
    /// What is not looked at: other schemas, and what extensions brought along.
    pub not_checked: Vec<String>,
}

/// A table that must keep brands apart.
pub struct Table {
    /// Its place in the catalog.
    pub oid: u32,
    /// Its name, with its schema, as SQL writes it.
    pub name: String,
    /// Its policies.
    pub policies: Vec<Policy>,
}

/// A policy, and whether it is brand-scoped.
pub struct Policy {
    /// Its name, as SQL writes it.
    pub name: String,
    /// Whether it opens or closes.
    pub kind: Kind,
    /// Whether it binds every role.
    pub for_everybody: bool,
    /// The command that it is for, or all.
    pub command: Option<Command>,
    /// Whether USING lets through rows of the brand in context only.
    pub using_scoped: bool,
    /// Whether WITH CHECK, or USING in its place, does.
    pub check_scoped: bool,
}

/// How a policy adds to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It opens what it allows, whatever the others of its kind do.
    Permissive,
    /// It closes what it does not allow, whatever the others do.
    Restrictive,
}

/// A command that policies are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `SELECT`
    Select,
    /// `INSERT`
    Insert,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
}

impl Command {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Select, Self::Insert, Self::Update, Self::Delete];

    /// As SQL writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn of_catalog(code: &str) -> Option<Self> {
        match code {
            "r" => Some(Self::Select),
            "a" => Some(Self::Insert),
            "w" => Some(Self::Update),
            "d" => Some(Self::Delete),
            _ => None,
        }
    }
}

impl Policy {
    /// Whether it has a say on this command.
    pub fn covers(&self, command: Command) -> bool {
        self.command.is_none_or(|own| own == command)
    }

    /// Whether it confines this command to the brand in context: the rows it reads, and those it writes.
    pub fn confines(&self, command: Command) -> bool {
        self.covers(command)
            && match command {
                Command::Select | Command::Delete => self.using_scoped,
                Command::Insert => self.check_scoped,
                Command::Update => self.using_scoped && self.check_scoped,
            }
    }
}

impl Table {
    /// Whether a floor is under it: policies that bind every role, and that no other policy can open, confine every
    /// command.
    pub fn has_floor(&self) -> bool {
        let is_floor = |policy: &&Policy| policy.kind == Kind::Restrictive && policy.for_everybody;
        Command::ALL
            .iter()
            .all(|&command| self.policies.iter().filter(is_floor).any(|policy| policy.confines(command)))
    }
}

impl<'t, 'c> Catalog<'t, 'c> {
    /// Reads what all rules need.
    pub fn read(transaction: &'t mut Transaction<'c>, config: &'t Config) -> Result<Self, Error> {
        let brand_type = transaction.query_one(include_str!("brand_type.sql"), &[&config.brand.data_type])?;
        let casts = if brand_type.get("has_casts") {
            Casts::Redefined
        } else {
            Casts::Faithful(brand_type.get("name"))
        };
        let scope = Scope::new(&config.brand, casts);
        let mut tables: Vec<_> = tables::of_schemas(transaction, &config.schemas)?
            .into_iter()
            .map(|table| Table { oid: table.oid, name: table.name, policies: Vec::new() })
            .collect();
        let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
        let mut policies: BTreeMap<u32, Vec<Policy>> = BTreeMap::new();
        for row in transaction.query(include_str!("policies.sql"), &[&oids])? {
            policies.entry(row.get("table_oid")).or_default().push(policy(&scope, &row));
        }
        for table in &mut tables {
            table.policies = policies.remove(&table.oid).unwrap_or_default();
        }
        let context_function = transaction
            .query_opt(include_str!("context_function.sql"), &[&config.brand.functions])?
            .map(|row| row.get(0));
        let views: i64 = transaction.query_one(include_str!("view_count.sql"), &[&config.schemas])?.get(0);
        let not_checked = transaction
            .query(include_str!("not_checked.sql"), &[&config.schemas])?
            .iter()
            .map(|row| row.get(0))
            .collect();
        Ok(Self {
            config,
            context_function,
            tables,
            views: usize::try_from(views).unwrap_or_default(),
            not_checked,
            transaction,
        })
    }

    /// The tables, as a parameter for a query.
    pub fn table_oids(&self) -> Vec<u32> {
        self.tables.iter().map(|table| table.oid).collect()
    }

    /// Asks the same snapshot.
    pub fn query(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        Ok(self.transaction.query(sql, parameters)?)
    }

    /// The brand column, as SQL writes it.
    pub fn column(&self) -> String {
        let column = &self.config.brand.column;
        let plain =
            column.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if plain { column.clone() } else { escape_identifier(column) }
    }

    /// The floor that a table lacks.
    pub fn floor(&self, table: &str) -> String {
        let condition = format!("{} = {}", self.column(), self.context_expression());
        format!(
            "create policy brand_floor on {table} as restrictive for all to public\n  \
             using ({condition})\n  with check ({condition});"
        )
    }

    /// An expression that a policy may compare the brand column with.
    pub fn context_expression(&self) -> String {
        let brand = &self.config.brand;
        match &self.context_function {
            Some(function) => format!("(select {function}()::{})", brand.data_type),
            None => format!(
                "(select nullif(current_setting('{}', true), '')::{})",
                brand.setting, brand.data_type
            ),
        }
    }
}

fn policy(scope: &Scope<'_>, row: &Row) -> Policy {
    let is_scoped =
        |expression: Option<String>| expression.is_some_and(|expression| scope.is_confined(&expression));
    let using: Option<String> = row.get("using_expression");
    let check: Option<String> = row.get("check_expression");
    let check_scoped = is_scoped(check.or_else(|| using.clone()));
    Policy {
        name: row.get("name"),
        kind: if row.get("permissive") { Kind::Permissive } else { Kind::Restrictive },
        for_everybody: row.get("for_everybody"),
        command: Command::of_catalog(row.get("command")),
        using_scoped: is_scoped(using),
        check_scoped,
    }
}
