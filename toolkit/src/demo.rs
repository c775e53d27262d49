//! `percytech demo`: what the product does, shown on a private cluster that is gone afterwards.

mod journey;
mod optout;

use std::path::Path;
use std::time::Duration;

use miette::Diagnostic;
use owo_colors::OwoColorize;
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};
use serde::Serialize;

use crate::cluster::{self, Cluster, Installation};
use crate::config::Config;
use crate::database;
use crate::migrate;
use crate::migrate::run::{Silent, Watcher};
use crate::output::{self, MigrationSteps};
use crate::verify::{self, Report};
use crate::{policies, say};

const DATABASE: &str = "percytech";

/// The login of the application that the demo plays, which serves every brand.
const APPLICATION: &str = "demo_app";

/// A login that may act as gnymble only.
const OF_GNYMBLE: &str = "demo_gnymble";

const BRANDS: [&str; 3] = ["gnymble", "percymd", "percytext"];

/// Each brand gets another number, so that counts tell them apart.
const CUSTOMERS: [i32; 3] = [1_500, 1_200, 900];

/// Why the demo stopped.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// No server could be started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cluster(#[from] cluster::Error),
    /// The schema could not be made.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Migrate(#[from] migrate::Error),
    /// It could not be protected.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Policies(#[from] policies::Error),
    /// It could not be verified.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Verify(#[from] verify::Error),
    /// A statement of the demo failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] database::Error),
    /// A brand saw or changed what it must not: the reason for this product, and so the worst that can happen.
    #[error("isolation is broken: {0}")]
    #[diagnostic(help("do not put data into this schema; percytech verify shows what is wrong with it"))]
    NotIsolated(String),
    /// A number that had opted out would have been written to, or its opt-out not have been recorded.
    #[error("an opt-out is not kept: {0}")]
    #[diagnostic(help("do not send messages with this schema"))]
    NotKept(String),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Where the schema comes from, and what to leave behind.
pub struct Options<'a> {
    /// The migrations.
    pub migrations: &'a Path,
    /// The policies.
    pub policies: &'a Path,
    /// Leave the server running.
    pub keep: bool,
    /// Say nothing on the way.
    pub quiet: bool,
}

/// What was seen: how many rows each context shows, and what the verification found.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Rows by context.
    pub visible: Vec<Visible>,
    /// Statements against another brand, and what came of them.
    pub attempts: Vec<Attempt>,
    /// The verification.
    pub verification: Report,
    /// Where the server is, if it was kept.
    pub kept: Option<Kept>,
}

/// A server that was kept.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// How to connect.
    pub database_url: String,
    /// A shell command that ends the server and removes its directory.
    pub stop_command: String,
}

/// How many rows a context shows.
#[derive(Debug, Serialize)]
pub struct Visible {
    /// The brand in context, or none.
    pub context: Option<&'static str>,
    /// Rows of customers.
    pub customers: i64,
    /// Rows of conversations.
    pub conversations: i64,
    /// Rows of messages.
    pub messages: i64,
}

/// A statement against another brand.
#[derive(Debug, Serialize)]
pub struct Attempt {
    /// The statement.
    pub sql: &'static str,
    /// What came of it.
    pub result: String,
}

/// Plays the demo.
pub fn run(config: &Config, options: &Options<'_>) -> Result<Outcome, Error> {
    // Read first: a slip in a file shows before a server is started.
    let migrations = migrate::file::read_all(options.migrations).map_err(migrate::Error::from)?;
    let declared = policies::Declaration::read(options.policies)?;

    let stage = Stage { quiet: options.quiet };
    let cluster = stage.step("start a PostgreSQL server of our own", || {
        Cluster::start(&Installation::find()?, &[]).map_err(Error::from)
    })?;
    let mut owner = connect(&cluster, cluster::SUPERUSER, "postgres")?;
    owner.batch_execute(&format!("create database {DATABASE}"))?;
    let mut owner = connect(&cluster, cluster::SUPERUSER, DATABASE)?;

    stage.heading("The schema: every table has brand_id, as its second column");
    let mut watcher: Box<dyn Watcher> =
        if options.quiet { Box::new(Silent) } else { Box::new(MigrationSteps::default()) };
    migrate::up(&mut owner, config, &migrations, Duration::ZERO, watcher.as_mut())?;
    drop(watcher);

    stage.heading("The policies: declared once, applied to every table");
    let plan = stage.step("apply the floor and the grants", || {
        policies::apply(&mut owner, config, &declared, false, Duration::ZERO)
    })?;
    stage.say(&format!("  {} changes on {} tables", plan.changes.len(), plan.tables));

    stage.heading(
        "The data: three brands in one database, written by the application, under row level security",
    );
    owner.batch_execute(&format!(
        "create role {APPLICATION} login in role percytech_app, brand_all;
         create role {OF_GNYMBLE} login in role percytech_app, brand_gnymble"
    ))?;
    let mut application = connect(&cluster, APPLICATION, DATABASE)?;
    for (brand, customers) in BRANDS.into_iter().zip(CUSTOMERS) {
        stage.step(&format!("{customers} customers of {brand}, their conversations and messages"), || {
            load(&mut application, brand, customers)
        })?;
    }
    owner.batch_execute("analyze")?;

    let visible = show_contexts(&stage, &mut owner, &mut application)?;
    stage.heading("What gnymble can do to percymd");
    let mut of_gnymble = connect(&cluster, OF_GNYMBLE, DATABASE)?;
    let mut attempts = show_attempts(&stage, &mut of_gnymble, false, &ATTEMPTS)?;
    stage.heading(
        "What a statement can do that somebody has smuggled into a sealed transaction of the application",
    );
    attempts.extend(show_attempts(&stage, &mut application, true, &SMUGGLED)?);
    journey::show(&stage, &mut application)?;
    optout::show(&stage, &mut owner, &mut application)?;
    show_analytics(&stage, &mut application)?;
    show_search(&stage, &mut application)?;

    let kept = options.keep.then(|| kept(&cluster)).transpose()?;
    if let Some(kept) = &kept {
        stage.heading("The server is kept");
        stage.say(&format!("  psql \"{}\"", kept.database_url));
        stage.say("  select percytech.set_brand_context('gnymble', is_local => false);");
        stage.say(&format!("  to end the server and remove it: {}", kept.stop_command));
    }
    stage.heading("The proof");
    let verification = stage.step("verify what the catalog says", || verify::verify(&mut owner, config))?;
    if options.keep {
        cluster.keep();
    }
    Ok(Outcome { visible, attempts, verification, kept })
}

fn kept(cluster: &Cluster) -> Result<Kept, Error> {
    let stop_command = cluster.stop_command().map_err(|error| cluster::Error::Directory {
        directory: cluster.path().to_path_buf(),
        source: std::io::Error::other(error),
    })?;
    Ok(Kept { database_url: cluster.url(APPLICATION, DATABASE), stop_command })
}

fn connect(cluster: &Cluster, user: &str, database: &str) -> Result<Client, Error> {
    Ok(database::connect(Some(&cluster.url(user, database)), "percytech demo")?)
}

fn load(application: &mut Client, brand: &str, customers: i32) -> Result<(), Error> {
    let mut transaction = application.transaction()?;
    transaction.query("select percytech.set_brand_context($1)", &[&brand])?;
    transaction.execute(include_str!("demo/customers.sql"), &[&customers])?;
    transaction.execute(include_str!("demo/moves.sql"), &[])?;
    transaction.execute(include_str!("demo/conversations.sql"), &[])?;
    transaction.execute(include_str!("demo/messages.sql"), &[])?;
    transaction.commit()?;
    Ok(())
}

fn show_contexts(stage: &Stage, owner: &mut Client, application: &mut Client) -> Result<Vec<Visible>, Error> {
    stage.heading("The same query, under each brand's context and under none");
    stage.sql(include_str!("demo/counts.sql"));
    let mut visible = Vec::new();
    for context in [None].into_iter().chain(BRANDS.map(Some)) {
        application.query("select percytech.set_brand_context($1, is_local => false)", &[&context])?;
        let row = application.query_one(include_str!("demo/counts.sql"), &[])?;
        let (customers, conversations, messages) = (row.get(0), row.get(1), row.get(2));
        visible.push(Visible { context, customers, conversations, messages });
    }
    application.execute("select percytech.clear_brand_context()", &[])?;

    let rows: Vec<_> = visible
        .iter()
        .map(|seen| {
            let context = seen.context.unwrap_or("(none)").to_owned();
            vec![
                context,
                seen.customers.to_string(),
                seen.conversations.to_string(),
                seen.messages.to_string(),
            ]
        })
        .collect();
    stage.table(&["context", "customers", "conversations", "messages"], &rows);

    let all: i64 = owner.query_one("select count(*) from customers", &[])?.get(0);
    let (nobody, brands) = visible.split_at(1);
    if nobody.iter().any(|seen| seen.customers + seen.conversations + seen.messages > 0) {
        return Err(Error::NotIsolated("without a brand in context, rows are visible".to_owned()));
    }
    if brands.iter().zip(CUSTOMERS).any(|(seen, customers)| seen.customers != i64::from(customers)) {
        return Err(Error::NotIsolated("a brand does not see exactly its own customers".to_owned()));
    }
    stage.say(&format!(
        "  One table holds all {all} customers. Without a brand in context, nobody's are visible."
    ));
    Ok(visible)
}

/// Statements of one brand against another. Each must fail, or change nothing.
const ATTEMPTS: [&str; 7] = [
    "insert into customers (brand_id, email) values ('percymd', 'mallory@example.com')",
    "update customers set brand_id = 'percymd'",
    "update customers set email = 'taken' where brand_id = 'percymd'",
    "delete from messages where brand_id = 'percymd'",
    "set app.current_brand = 'percymd'",
    "select percytech.set_brand_context('percymd')",
    "set app.current_brand = 'acme'",
];

/// Statements of a role that may act as every brand, in a transaction that is sealed to one.
const SMUGGLED: [&str; 3] = [
    "set app.current_brand = 'percymd'",
    "select percytech.set_brand_context('percymd')",
    "delete from messages where brand_id = 'percymd'",
];

fn show_attempts(
    stage: &Stage,
    client: &mut Client,
    seal: bool,
    statements: &[&'static str],
) -> Result<Vec<Attempt>, Error> {
    let mut attempts = Vec::new();
    for &sql in statements {
        let mut transaction = client.transaction()?;
        transaction.query("select percytech.set_brand_context('gnymble', seal => $1)", &[&seal])?;
        let result = match transaction.simple_query(sql) {
            Ok(messages) => match messages.iter().find_map(affected) {
                Some(0) => "0 rows".to_owned(),
                Some(rows) => return Err(Error::NotIsolated(format!("{sql}: {rows} rows"))),
                None => return Err(Error::NotIsolated(format!("{sql}: succeeded"))),
            },
            Err(error) => refusal(error)?,
        };
        stage.sql(sql);
        stage.refused(&result);
        attempts.push(Attempt { sql, result });
    }
    Ok(attempts)
}

fn affected(message: &SimpleQueryMessage) -> Option<u64> {
    match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    }
}

/// The words of a refusal. An error that refuses nothing is one of ours.
fn refusal(error: postgres::Error) -> Result<String, Error> {
    let refused =
        [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_PARAMETER_VALUE, SqlState::CHECK_VIOLATION];
    match error.as_db_error() {
        Some(db) if refused.contains(db.code()) => Ok(format!("ERROR: {}", db.message())),
        _ => Err(error.into()),
    }
}

/// The columns and the rows of what a simple query returned.
fn rows_of(messages: &[SimpleQueryMessage]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut header = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            header = row.columns().iter().map(|column| column.name().to_owned()).collect();
            rows.push((0..row.len()).map(|index| row.get(index).unwrap_or_default().to_owned()).collect());
        }
    }
    (header, rows)
}

fn show_analytics(stage: &Stage, application: &mut Client) -> Result<(), Error> {
    stage.heading("The journey, brand by brand: the view customer_analytics");
    stage.sql(include_str!("demo/analytics.sql"));
    for brand in BRANDS {
        show_query(stage, application, brand, include_str!("demo/analytics.sql"))?;
    }
    stage.heading("How far customers come: the report journey_funnel");
    stage.sql(include_str!("demo/funnel.sql"));
    for brand in BRANDS {
        show_query(stage, application, brand, include_str!("demo/funnel.sql"))?;
    }
    Ok(())
}

fn show_search(stage: &Stage, application: &mut Client) -> Result<(), Error> {
    const SEARCH: &str = "select first_name, last_name, email from search_customers('ada love', 3)";
    stage.heading("Finding a customer: the same search, each brand's own people");
    stage.sql(SEARCH);
    for brand in BRANDS {
        show_query(stage, application, brand, SEARCH)?;
    }
    Ok(())
}

/// Runs a query whose columns are text in a brand's context, and shows what it returns.
fn show_query(stage: &Stage, application: &mut Client, brand: &str, sql: &str) -> Result<(), Error> {
    let mut transaction = application.transaction()?;
    transaction.query("select percytech.set_brand_context($1)", &[&brand])?;
    let statement = transaction.prepare(sql)?;
    let rows: Vec<Vec<String>> = transaction
        .query(&statement, &[])?
        .iter()
        .map(|row| (0..row.len()).map(|index| row.get(index)).collect())
        .collect();
    let header: Vec<_> = statement.columns().iter().map(postgres::Column::name).collect();
    stage.say(&format!("\n  {}", brand.bold()));
    stage.table(&header, &rows);
    Ok(())
}

/// Where the demo speaks, or keeps silent.
struct Stage {
    quiet: bool,
}

impl Stage {
    fn step<T, E>(&self, name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.quiet { work() } else { output::step(name, work) }
    }

    fn heading(&self, text: &str) {
        if !self.quiet {
            output::heading(text);
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            say!("{text}");
        }
    }

    fn sql(&self, sql: &str) {
        for line in sql.trim_end().lines() {
            self.say(&format!("  {}", line.cyan()));
        }
    }

    fn refused(&self, words: &str) {
        self.say(&format!("    {}", words.dimmed()));
    }

    fn table(&self, header: &[&str], rows: &[Vec<String>]) {
        self.say(&output::table(header, rows).to_string());
    }
}
