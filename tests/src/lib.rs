//! What the tests stand on: a private server for all of them, one as Supabase has it, a database for each, and the command
//! `percytech`.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod isolationtester;
pub mod pgbouncer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use std::os::unix::process::CommandExt;

use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::config::Config;
use percytech_toolkit::database;
use percytech_toolkit::migrate::{self, run::Silent};
use percytech_toolkit::policies::{self, Declaration};
use postgres::Client;
use postgres::error::SqlState;
use tempfile::TempDir;

/// The brands, in the order of the enum.
pub const BRANDS: [&str; 3] = ["gnymble", "percymd", "percytext"];

/// The tables that applications write to as they like, parents first.
pub const TABLES: [&str; 3] = ["customers", "conversations", "messages"];

/// A login that may do what an application may, as every brand.
pub const APP: &str = "test_app";

/// A login that needs a password, which is `secret`.
pub const WITH_PASSWORD: &str = "test_password";

/// A login that may create databases and roles, but is no superuser.
pub const ADMIN: &str = "test_admin";

/// Those, and what is kept of the journey and of consent.
pub const ALL_TABLES: [&str; 14] = [
    "customers",
    "conversations",
    "messages",
    "stage_transition_rules",
    "customer_stage_transitions",
    "brand_phone_numbers",
    "opt_out_policies",
    "quiet_hours",
    "reply_texts",
    "recipients",
    "consent_events",
    "opt_outs",
    "message_delivery_events",
    "inbound_receipts",
];

const TEMPLATE: &str = "migrated";

/// A login that may do what an application may, as one brand only.
#[must_use]
pub fn login_of(brand: &str) -> String {
    format!("test_{brand}")
}

/// Supabase's roles, with a library that one of them loads, as it has them.
pub const SUPABASE_ROLES: &str = "
    create role anon nologin noinherit;
    create role authenticated nologin noinherit;
    create role service_role nologin noinherit bypassrls;
    create role authenticator login noinherit;
    grant anon, authenticated, service_role to authenticator;
    alter role authenticator set session_preload_libraries = 'auto_explain';
";

/// What Supabase grants them in a database: everything that whoever migrates makes in public.
const SUPABASE_GRANTS: &str = "
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
    alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
";

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start("", "", &[]));
static SUPABASE: LazyLock<Server> = LazyLock::new(|| Server::start(SUPABASE_ROLES, SUPABASE_GRANTS, &[]));
static DURABLE: LazyLock<Server> = LazyLock::new(|| Server::start("", "", &DURABLE_SETTINGS));

/// As a server runs that is to keep what it was told, which those of tests need not.
const DURABLE_SETTINGS: [&str; 6] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
];

/// A server that tests of this process share. It ends with the process, however that ends.
struct Server {
    host: PathBuf,
    /// Waits for this process to end, and then ends the server.
    _warden: Child,
    /// PostgreSQL copies one template at a time.
    copying: Mutex<()>,
}

impl Server {
    /// A server with these settings and roles, and these grants in its database, before the schema is made.
    fn start(roles: &str, grants: &str, settings: &[&str]) -> Self {
        let own = ["max_connections=200", "max_prepared_transactions=10", "track_commit_timestamp=on"];
        let cluster = Cluster::start(&Installation::find().unwrap(), &[&own, settings].concat()).unwrap();
        let host = cluster.path().to_path_buf();
        let stop = cluster.stop_command().unwrap();
        cluster.keep();
        let warden = Command::new("sh")
            .arg("-c")
            .arg(format!("read -r line; {stop}"))
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { host, _warden: warden, copying: Mutex::new(()) };
        server.ask_for_password();

        let mut client = server.connect(SUPERUSER, "postgres");
        client.batch_execute(roles).unwrap();
        client.batch_execute(&format!("create database {TEMPLATE}")).unwrap();
        let mut template = server.connect(SUPERUSER, TEMPLATE);
        template.batch_execute(grants).unwrap();
        migrate_up(&mut template, &sql("migrations"));
        policies_apply(&mut template, &sql("policies"));
        client
            .batch_execute(&format!(
                "create role {APP} login in role percytech_app, brand_all;
                 create role {WITH_PASSWORD} login password 'secret';
                 create role {ADMIN} login createdb createrole;"
            ))
            .unwrap();
        for brand in BRANDS {
            let create =
                format!("create role {} login in role percytech_app, brand_{brand}", login_of(brand));
            client.batch_execute(&create).unwrap();
        }
        server
    }

    fn ask_for_password(&self) {
        let file = self.host.join("data/pg_hba.conf");
        let rules = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("local all {WITH_PASSWORD} scram-sha-256\n{rules}")).unwrap();
        self.connect(SUPERUSER, "postgres").batch_execute("select pg_reload_conf()").unwrap();
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("host={} user={user} dbname={database}", self.host.display())
    }

    fn connect(&self, user: &str, database: &str) -> Client {
        database::connect(Some(&self.url(user, database)), "percytech tests").unwrap()
    }
}

/// A database of its own for one test.
pub struct TestDatabase {
    server: &'static Server,
    name: String,
}

impl TestDatabase {
    /// With the schema and its policies, and no rows.
    #[must_use]
    pub fn migrated() -> Self {
        Self::create(&SERVER, TEMPLATE)
    }

    /// The same, on a server whose commits are durable.
    #[must_use]
    pub fn durable() -> Self {
        Self::create(&DURABLE, TEMPLATE)
    }

    /// An empty database on the same server.
    #[must_use]
    pub fn neighbour(&self) -> Self {
        Self::create(self.server, "template0")
    }

    /// The same, on a server with Supabase's roles.
    #[must_use]
    pub fn supabase() -> Self {
        Self::create(&SUPABASE, TEMPLATE)
    }

    /// With nothing in it but grants, on a server with Supabase's roles.
    #[must_use]
    pub fn empty_supabase() -> Self {
        let database = Self::create(&SUPABASE, "template0");
        database.superuser().batch_execute(SUPABASE_GRANTS).unwrap();
        database
    }

    /// With nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self::create(&SERVER, "template0")
    }

    fn create(server: &'static Server, template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let _one_at_a_time = server.copying.lock();
        server
            .connect(SUPERUSER, "postgres")
            .batch_execute(&format!("create database {name} template {template}"))
            .unwrap();
        Self { server, name }
    }

    /// Where it is, for a user.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        self.server.url(user, &self.name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of its server's socket.
    #[must_use]
    pub fn host(&self) -> &Path {
        &self.server.host
    }

    /// A connection as a user.
    #[must_use]
    pub fn connect(&self, user: &str) -> Client {
        self.server.connect(user, &self.name)
    }

    /// A connection that sees everything.
    #[must_use]
    pub fn superuser(&self) -> Client {
        self.connect(SUPERUSER)
    }

    /// A connection of the application.
    #[must_use]
    pub fn app(&self) -> Client {
        self.connect(APP)
    }

    /// A connection of the application, in a brand's context for the session.
    #[must_use]
    pub fn app_of(&self, brand: &str) -> Client {
        let mut client = self.app();
        client.query("select percytech.set_brand_context($1, is_local => false)", &[&brand]).unwrap();
        client
    }

    /// The command `percytech` with these arguments, on this database as the superuser, in the project's directory.
    #[must_use]
    pub fn percytech(&self, arguments: &[&str]) -> Command {
        self.percytech_as(SUPERUSER, arguments)
    }

    /// The same, as another user.
    #[must_use]
    pub fn percytech_as(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = percytech(arguments);
        command.env("DATABASE_URL", self.url(user));
        command
    }

    /// Everything in it but rows, as `pg_dump` writes it.
    #[must_use]
    pub fn dump(&self) -> String {
        dump(&self.url(SUPERUSER))
    }
}

/// Everything in a database but rows and the history of migrations, as `pg_dump` writes it.
#[must_use]
pub fn dump(url: &str) -> String {
    let output = Command::new(Installation::find().unwrap().program("pg_dump"))
        .args(["--schema-only", "--exclude-schema=percytech_migrations", "--dbname", url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // Newer minors fence the dump with a key that is another each time.
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The command `percytech`, built before the first use, in the project's directory and without its environment.
#[must_use]
pub fn percytech(arguments: &[&str]) -> Command {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "percytech-toolkit", "--bin", "percytech"])
            .current_dir(root())
            .status()
            .unwrap();
        assert!(status.success());
        // This runs as target/<profile>/deps/<test>.
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        profile.join("percytech")
    });
    let mut command = Command::new(&*BINARY);
    command
        .args(arguments)
        .current_dir(root())
        .env_remove("DATABASE_URL")
        .env_remove("PGPASSWORD")
        .env_remove("PGSSLMODE")
        .env_remove("PGSSLROOTCERT")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
#[must_use]
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Ran {
    /// Fails unless it ended with this exit code.
    #[track_caller]
    #[allow(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "for chaining, or for nothing"
    )]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Fails unless the error output has all of these words.
    #[track_caller]
    #[allow(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "for chaining, or for nothing"
    )]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing in {self:#?}");
        }
        self
    }
}

/// The project's directory.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A directory of the project's SQL.
#[must_use]
pub fn sql(directory: &str) -> PathBuf {
    root().join("sql").join(directory)
}

/// A directory with these files in it.
#[must_use]
pub fn directory_of(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// A copy of a directory of the project's SQL, with these files besides.
#[must_use]
pub fn sql_and(directory: &str, files: &[(&str, &str)]) -> TempDir {
    let copy = directory_of(files);
    for entry in fs::read_dir(sql(directory)).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// A copy of a directory of the project's SQL in which `from` is written as `to`, wherever it is; it must be somewhere.
#[must_use]
pub fn edited_sql(directory: &str, from: &str, to: &str) -> TempDir {
    let copy = sql_and(directory, &[]);
    let mut found = false;
    for entry in fs::read_dir(copy.path()).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        found |= text.contains(from);
        fs::write(&file, text.replace(from, to)).unwrap();
    }
    assert!(found && from != to, "nothing in sql/{directory} says {from:?}");
    copy
}

/// Applies the migrations of a directory.
pub fn migrate_up(client: &mut Client, directory: &Path) {
    let files = migrate::file::read_all(directory).unwrap();
    migrate::up(client, &Config::default(), &files, Duration::from_secs(10), &mut Silent).unwrap();
}

/// Applies the policies of a directory.
pub fn policies_apply(client: &mut Client, directory: &Path) {
    let declaration = Declaration::read(directory).unwrap();
    policies::apply(client, &Config::default(), &declaration, false, Duration::from_secs(10)).unwrap();
}

/// Two customers for each brand, each with a conversation of two messages. The numbers in them are alike.
pub fn fill(client: &mut Client) {
    client.batch_execute(include_str!("fill.sql")).unwrap();
}

/// The value of the first column of the only row.
pub fn value<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, sql: &str) -> T {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

/// The values of the first column.
pub fn values<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, sql: &str) -> Vec<T> {
    let rows = client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The SQLSTATE that a statement fails with.
#[track_caller]
pub fn refusal(client: &mut Client, sql: &str) -> SqlState {
    match client.batch_execute(sql) {
        Ok(()) => panic!("{sql} succeeded"),
        Err(error) => error.code().unwrap_or_else(|| panic!("{sql}: {error}")).clone(),
    }
}

/// How many rows a statement changes.
#[track_caller]
pub fn changed(client: &mut Client, sql: &str) -> u64 {
    client.execute(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}
