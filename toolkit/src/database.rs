//! The connection to the database, and PostgreSQL's errors in words that say what to do.

pub mod tls;

use std::error::Error as _;
use std::time::Duration;

use miette::Diagnostic;
use postgres::config::{Host, SslMode};
use postgres::error::{DbError, SqlState};
use postgres::{Client, Config};

use tls::Encryption;

/// Why there is no connection, or why a statement of ours failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Neither option nor environment names a database.
    #[error("no database is named")]
    #[diagnostic(help("pass --database-url postgresql://USER@HOST:PORT/DATABASE, or set DATABASE_URL"))]
    NoUrl,
    /// The URL does not parse.
    #[error("the database URL cannot be read: {0}")]
    #[diagnostic(help(
        "it looks like postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters %-encoded, \
         or like 'host=/var/run/postgresql user=USER dbname=DATABASE'"
    ))]
    BadUrl(String),
    /// Nobody answers there.
    #[error("the server at {target} cannot be reached: {reason}")]
    #[diagnostic(help(
        "check that it runs, and that host, port and firewall are right: pg_isready -d '{target}'"
    ))]
    Unreachable {
        /// The server, without password.
        target: String,
        /// What the system said.
        reason: String,
    },
    /// The server does not let this user in.
    #[error("the server at {target} refused the login: {reason}")]
    #[diagnostic(help("{advice}"))]
    Refused {
        /// The server, without password.
        target: String,
        /// What the server said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// It could not be encrypted as asked.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Encryption(#[from] tls::Error),
    /// The server does not encrypt, or is not who it is asked to be.
    #[error("the connection to {target} could not be encrypted: {reason}")]
    #[diagnostic(help(
        "sslmode=verify-full wants a certificate for the host's name, signed by sslrootcert or by an authority that \
         this system trusts; sslmode=require encrypts whoever answers; sslmode=disable does not encrypt"
    ))]
    NotEncrypted {
        /// The server, without password.
        target: String,
        /// What went wrong.
        reason: String,
    },
    /// A statement failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sql(#[from] SqlError),
}

/// What the server said of a statement that failed.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{message}{}", code.as_ref().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default())]
pub struct SqlError {
    /// What happened.
    pub message: String,
    /// The five characters, where the server sent them.
    pub code: Option<String>,
    /// The server's detail and hint, and the place within a function.
    #[help]
    pub help: Option<String>,
}

impl From<postgres::Error> for SqlError {
    fn from(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self {
                message: db.message().to_owned(),
                code: Some(db.code().code().to_owned()),
                help: particulars(db),
            },
            None => Self {
                message: chain(&error),
                code: None,
                help: error
                    .is_closed()
                    .then(|| "the connection is gone: look into the server's log".to_owned()),
            },
        }
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Sql(error.into())
    }
}

fn particulars(db: &DbError) -> Option<String> {
    let advice = (*db.code() == SqlState::INSUFFICIENT_PRIVILEGE && db.hint().is_none()).then_some(
        "connect as a superuser or as a member of the role that owns the schema, or grant what is missing",
    );
    let parts = [db.detail(), db.hint(), db.where_(), advice];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then_some(text)
}

fn chain(error: &postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to `url`, encrypted as its `sslmode` says; `purpose` shows in `pg_stat_activity`. A password that the URL
/// lacks is taken from PGPASSWORD.
pub fn connect(url: Option<&str>, purpose: &str) -> Result<Client, Error> {
    let mut url = url.ok_or(Error::NoUrl)?.to_owned();
    let encryption = Encryption::take_from(&mut url)?;
    let mut config: Config = url.parse().map_err(|error: postgres::Error| Error::BadUrl(chain(&error)))?;
    let hosts = config.get_hosts();
    let is_local = !hosts.is_empty()
        && hosts.iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty();
    // Nothing listens in on a Unix socket, and no server encrypts it. Elsewhere nothing is made weaker than it was.
    let mode = match (is_local, config.get_ssl_mode()) {
        (true, _) => SslMode::Disable,
        (false, SslMode::Require) => SslMode::Require,
        (false, _) => encryption.mode,
    };
    config.ssl_mode(mode);
    config.application_name(purpose);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_password().is_none()
        && let Some(password) = std::env::var_os("PGPASSWORD")
    {
        config.password(password.as_encoded_bytes());
    }
    config.notice_callback(|notice| {
        if notice.severity() == "WARNING" {
            anstream::eprintln!("warning: {}", notice.message());
            for particular in [notice.detail(), notice.hint()].into_iter().flatten() {
                anstream::eprintln!("  {particular}");
            }
        }
    });
    config.connect(encryption.connector()?).map_err(|error| connection_error(&config, &error))
}

fn connection_error(config: &Config, error: &postgres::Error) -> Error {
    let target = describe(config);
    let Some(db) = error.as_db_error() else {
        let reason = chain(error);
        if error.to_string().starts_with("error performing TLS handshake") {
            return Error::NotEncrypted { target, reason };
        }
        return match reason.as_str() {
            "password missing" => Error::Refused {
                target,
                reason: "it asks for a password, and there is none".to_owned(),
                advice: "put the password into the URL, or into PGPASSWORD",
            },
            _ => Error::Unreachable { target, reason },
        };
    };
    let advice = match *db.code() {
        SqlState::INVALID_PASSWORD => "check user and password, in the URL or in PGPASSWORD",
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => "check the user, and what pg_hba.conf lets in",
        SqlState::INVALID_CATALOG_NAME => "create the database first, or name another one",
        SqlState::TOO_MANY_CONNECTIONS => "try again when others have disconnected, or raise max_connections",
        SqlState::CANNOT_CONNECT_NOW => "wait until the server has started, and try again",
        _ => "the server's log may say more",
    };
    Error::Refused { target, reason: db.message().to_owned(), advice }
}

/// The server, user and database, without the password.
fn describe(config: &Config) -> String {
    let host = config.get_hosts().first().map_or("localhost".to_owned(), |host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(directory) => directory.display().to_string(),
    });
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("host={host} port={port} user={user} dbname={database}")
}
