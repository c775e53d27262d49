//! Row level security policies and grants, declared once for all brand tables and reconciled with the database's.
//!
//! A declaration is plain SQL about a table called `brand_table`. It is run as it stands on a temporary table of that
//! name; what the server then has in its catalog for it is what every brand table must have. So nothing is compared as
//! text that the server would write differently. Lines in the comment at the top of a file say where it holds: `-- if-role-exists: role`,
//! `-- only-tables: schema.table, …`, `-- except-tables: schema.table, …`.

mod protection;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;
use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, ObjectType, RangeVar};
use postgres::error::SqlState;
use postgres::{Client, Transaction};
use postgres_protocol::escape::escape_identifier;
use serde::Serialize;

use crate::config::Config;
use crate::database::{self, SqlError};
use crate::migrate::lock;
use crate::owner::{self, become_owner};
use crate::script::{Script, comment_at_top};
use crate::tables;
use protection::Protection;

/// The name that stands for each brand table in a declaration.
const STAND_IN: &str = "brand_table";

/// Starts the line by which a declaration holds only where a role exists.
const IF_ROLE_EXISTS: &str = "-- if-role-exists: ";

/// Starts the line by which a declaration holds for these tables only.
const ONLY_TABLES: &str = "-- only-tables: ";

/// Starts the line by which a declaration holds for all tables but these.
const EXCEPT_TABLES: &str = "-- except-tables: ";

/// Why policies could not be compared or applied.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The declarations are not there, or not readable.
    #[error("cannot read the policies in {}: {source}", directory.display())]
    #[diagnostic(help("run this where sql/policies is, or name the directory with --dir"))]
    Directory {
        /// The directory, or the file in it.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no declaration.
    #[error("there is no .sql file in {}", directory.display())]
    #[diagnostic(help("name the directory that declares the policies with --dir"))]
    NothingDeclared {
        /// The directory.
        directory: PathBuf,
    },
    /// A declaration is no SQL, or the server refused it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Script(#[from] Box<crate::script::Error>),
    /// There is nothing to protect.
    #[error("no table of {schemas} has the column {column}")]
    #[diagnostic(help(
        "apply the migrations first: percytech migrate up. Other schemas and columns are named in percytech.toml"
    ))]
    NoBrandTable {
        /// Where we looked.
        schemas: String,
        /// The column.
        column: String,
    },
    /// A change was refused; none was made.
    #[error("{table}: {source}")]
    #[diagnostic(help(
        "nothing was changed. The statement was: {sql}\nRun this as the owner of the table, as a member of the owner, \
         or as a superuser"
    ))]
    Refused {
        /// The table.
        table: String,
        /// The statement.
        sql: String,
        /// What the server said.
        source: SqlError,
    },
    /// The tables' owner is not there, or not for this user.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Owner(#[from] owner::Error),
    /// The declarations cannot be tried out.
    #[error("the declarations need a temporary table, which this user may not make: {0}")]
    #[diagnostic(help(
        "grant it to the owner of the tables: grant temporary on database <database> to <owner>"
    ))]
    NoStandIn(SqlError),
    /// A statement succeeded, and changed nothing.
    #[error("{table} is not as declared, although this was done: {sql}")]
    #[diagnostic(help("nothing was changed. Look at the table with \\dp in psql, and report what it shows"))]
    Unsettled {
        /// The table.
        table: String,
        /// The statement.
        sql: String,
    },
    /// Somebody else is migrating.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] lock::Error),
    /// No connection, or a statement of ours failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] database::Error),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A statement that brings a table to what is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The table, with its schema.
    pub table: String,
    /// The statement, without semicolon.
    pub sql: String,
}

/// How the database differs from what is declared.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// How many brand tables there are.
    pub tables: usize,
    /// What is to be done, or was.
    pub changes: Vec<Change>,
    /// What the database has beyond the declaration: it stays, unless pruned.
    pub undeclared: Vec<Change>,
}

/// The declarations of a directory.
#[derive(Debug)]
pub struct Declaration(Vec<DeclarationFile>);

#[derive(Debug)]
struct DeclarationFile {
    script: Script,
    if_role_exists: Option<String>,
    only_tables: Option<Vec<String>>,
    except_tables: Option<Vec<String>>,
}

impl DeclarationFile {
    fn new(script: Script, text: &str) -> Self {
        let said = |marker| {
            let lines = comment_at_top(text).filter_map(|line| line.strip_prefix(marker));
            let names: Vec<_> =
                lines.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect();
            (!names.is_empty()).then_some(names)
        };
        Self {
            script,
            if_role_exists: said(IF_ROLE_EXISTS).and_then(|roles| roles.into_iter().next()),
            only_tables: said(ONLY_TABLES),
            except_tables: said(EXCEPT_TABLES),
        }
    }

    fn is_about(&self, table: &str) -> bool {
        let names = |tables: &Vec<String>| tables.iter().any(|name| name == table);
        self.only_tables.as_ref().is_none_or(names) && !self.except_tables.as_ref().is_some_and(names)
    }
}

impl Declaration {
    /// Reads every `.sql` file, in the order of their names.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let unreadable = |path: &Path| {
            let directory = path.to_path_buf();
            move |source| Error::Directory { directory, source }
        };
        let mut files = std::fs::read_dir(directory)
            .map_err(unreadable(directory))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable(directory))?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == "sql"));
        files.sort();
        if files.is_empty() {
            return Err(Error::NothingDeclared { directory: directory.to_path_buf() });
        }
        let scripts = files.iter().map(|file| {
            let text = std::fs::read_to_string(file).map_err(unreadable(file))?;
            let script = Script::parse(file, &text)?;
            refuse_other_statements(&script)?;
            Ok(DeclarationFile::new(script, &text))
        });
        scripts.collect::<Result<_, Error>>().map(Self)
    }
}

/// Refuses what is no policy, no switch of row level security and no grant, of the table that stands for each: nothing
/// else could be told from the catalog, and so be given to the tables.
fn refuse_other_statements(script: &Script) -> Result<(), Box<crate::script::Error>> {
    let is_stand_in = |table: Option<&RangeVar>| {
        table.is_some_and(|table| table.relname == STAND_IN && table.schemaname.is_empty())
    };
    for statement in script.statements() {
        let fits = match &statement.node {
            Some(NodeEnum::CreatePolicyStmt(policy)) => is_stand_in(policy.table.as_ref()),
            Some(NodeEnum::AlterTableStmt(alter)) => {
                is_stand_in(alter.relation.as_ref())
                    && alter.cmds.iter().all(|command| match &command.node {
                        Some(NodeEnum::AlterTableCmd(command)) => matches!(
                            command.subtype(),
                            AlterTableType::AtEnableRowSecurity | AlterTableType::AtForceRowSecurity
                        ),
                        _ => false,
                    })
            }
            Some(NodeEnum::GrantStmt(grant)) => {
                grant.objtype() == ObjectType::ObjectTable
                    && grant.objects.iter().all(|object| match &object.node {
                        Some(NodeEnum::RangeVar(table)) => is_stand_in(Some(table)),
                        _ => false,
                    })
            }
            _ => false,
        };
        if !fits {
            return Err(script.error_at(
                statement,
                "a declaration may not say this",
                "it is CREATE POLICY, ALTER TABLE … ENABLE or FORCE ROW LEVEL SECURITY, GRANT or REVOKE, about \
                 brand_table; anything else belongs into a migration",
            ));
        }
    }
    Ok(())
}

/// What `apply` would do; changes nothing.
pub fn diff(
    client: &mut Client,
    config: &Config,
    declared: &Declaration,
    prune: bool,
) -> Result<Plan, Error> {
    let mut transaction = client.transaction()?;
    let plan = plan(&mut transaction, config, declared, prune)?;
    transaction.rollback()?;
    Ok(plan)
}

/// Brings every brand table to what is declared, in one transaction. With `prune`, what is undeclared goes.
pub fn apply(
    client: &mut Client,
    config: &Config,
    declared: &Declaration,
    prune: bool,
    patience: Duration,
) -> Result<Plan, Error> {
    lock::acquire(client, patience)?;
    let result = apply_under_lock(client, config, declared, prune);
    // Where this fails the connection is gone, and the lock with it; the result tells.
    let _ = lock::release(client);
    result
}

fn apply_under_lock(
    client: &mut Client,
    config: &Config,
    declared: &Declaration,
    prune: bool,
) -> Result<Plan, Error> {
    let mut transaction = client.transaction()?;
    let done = plan(&mut transaction, config, declared, prune)?;
    for change in &done.changes {
        transaction.batch_execute(&change.sql).map_err(|error| Error::Refused {
            table: change.table.clone(),
            sql: change.sql.clone(),
            source: error.into(),
        })?;
    }
    // What is said to be done is done: a statement that succeeds and changes nothing would go unnoticed.
    if let Some(Change { table, sql }) =
        plan(&mut transaction, config, declared, prune)?.changes.into_iter().next()
    {
        return Err(Error::Unsettled { table, sql });
    }
    transaction.commit()?;
    Ok(done)
}

fn plan(
    transaction: &mut Transaction<'_>,
    config: &Config,
    declared: &Declaration,
    prune: bool,
) -> Result<Plan, Error> {
    // With nothing else on the path, an operator or a function that somebody has put into a schema of the brands is not
    // taken for PostgreSQL's own, neither in a declaration nor in what is read of the tables.
    transaction.batch_execute("set local search_path = pg_temp, pg_catalog")?;
    become_owner(transaction, config, "reading and changing policies")?;
    let mut declared_here = Vec::new();
    for file in &declared.0 {
        if holds(transaction, file)? {
            declared_here.push(file);
        }
    }
    let all: Vec<_> =
        tables::of_schemas(transaction, &config.schemas)?.into_iter().map(|table| table.oid).collect();
    let tables: Vec<u32> = transaction
        .query(include_str!("policies/with_column.sql"), &[&all, &config.brand.column])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    if tables.is_empty() {
        return Err(Error::NoBrandTable {
            schemas: config.schemas.join(", "),
            column: config.brand.column.clone(),
        });
    }
    let mut plan = Plan { tables: tables.len(), changes: Vec::new(), undeclared: Vec::new() };
    // Most tables have the same files, and so the same protection.
    let mut known: BTreeMap<Vec<&Path>, Protection> = BTreeMap::new();
    for actual in protection::read(transaction, &tables)? {
        let files: Vec<_> = declared_here.iter().filter(|file| file.is_about(&actual.table)).collect();
        let names = files.iter().map(|file| file.script.path()).collect();
        let wanted = match known.entry(names) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let scripts = files.iter().map(|file| &file.script);
                unknown.insert(wanted_protection(transaction, config, scripts)?)
            }
        };
        let difference = wanted.difference(&actual);
        let change = |sql| Change { table: actual.table.clone(), sql };
        plan.changes.extend(difference.missing.into_iter().map(change));
        let surplus = difference.surplus.into_iter().map(change);
        if prune { plan.changes.extend(surplus) } else { plan.undeclared.extend(surplus) }
    }
    Ok(plan)
}

/// Whether the role is there that a declaration is about.
fn holds(transaction: &mut Transaction<'_>, file: &DeclarationFile) -> Result<bool, postgres::Error> {
    let Some(role) = &file.if_role_exists else { return Ok(true) };
    let found = transaction.query_opt("select from pg_catalog.pg_roles where rolname = $1", &[role])?;
    Ok(found.is_some())
}

/// What these declarations give a table, told by giving it to a temporary one.
fn wanted_protection<'a>(
    transaction: &mut Transaction<'_>,
    config: &Config,
    declared: impl Iterator<Item = &'a Script>,
) -> Result<Protection, Error> {
    let create = format!(
        "create temporary table {STAND_IN} (id uuid, {column} {data_type}) on commit drop",
        column = escape_identifier(&config.brand.column),
        data_type = config.brand.data_type,
    );
    transaction.batch_execute(&create).map_err(|error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Error::NoStandIn(error.into()),
        _ => error.into(),
    })?;
    let stand_in: u32 = transaction.query_one("select 'pg_temp.brand_table'::regclass::oid", &[])?.get(0);
    for grantee in protection::grantees(transaction, stand_in)? {
        transaction.batch_execute(&format!("revoke all on {STAND_IN} from {grantee}"))?;
    }
    for script in declared {
        script.run(transaction)?;
    }
    let mut wanted = protection::read(transaction, &[stand_in])?;
    transaction.batch_execute(&format!("drop table pg_temp.{STAND_IN}"))?;
    // There is one: the table was made above, and a declaration cannot drop it.
    Ok(wanted.swap_remove(0))
}
