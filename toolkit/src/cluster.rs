//! A private PostgreSQL cluster: a directory, a server on a Unix socket in it, and nothing left of either afterwards.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use miette::Diagnostic;
use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

use crate::interrupt::Guarded;

/// The superuser of a private cluster.
pub const SUPERUSER: &str = "postgres";

/// The port that names the socket; nothing listens on the network.
pub const PORT: u16 = 5432;

const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Whom the server runs as where we are root: the first that exists.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// A Unix socket's path must fit 107 bytes, of which `/percytech-XXXXXXXX/.s.PGSQL.5432` takes 33.
const LONGEST_PARENT: usize = 74;

/// Settings of a server whose data need not outlive it.
const THROWAWAY: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"];

/// Why there is no cluster.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// There is no PostgreSQL server on this machine, as far as we see.
    #[error("no PostgreSQL server is installed here: {reason}")]
    #[diagnostic(help(
        "install one (Debian and Ubuntu: apt-get install postgresql), or name the pg_config of the one to use: \
         PG_CONFIG=/path/to/pg_config"
    ))]
    NoServer {
        /// What we looked for.
        reason: String,
    },
    /// The server refuses to run as root, and there is nobody else to run it as.
    #[error("PostgreSQL refuses to run as root, and neither user postgres nor user nobody exists")]
    #[diagnostic(help("run this as another user, or create a user postgres"))]
    NobodyToRunAs,
    /// The directory could not be made.
    #[error("cannot prepare {}: {source}", directory.display())]
    #[diagnostic(help(
        "TMPDIR names the directory that it is made in; it must be writable and reachable for every user"
    ))]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory is within one that the server's user may not enter.
    #[error("user {user}, whom the server runs as, cannot reach {}", directory.display())]
    #[diagnostic(help("name a directory that every user can enter with TMPDIR: TMPDIR=/tmp"))]
    OutOfReach {
        /// The directory.
        directory: PathBuf,
        /// Who cannot.
        user: String,
    },
    /// A program of PostgreSQL could not be run, or failed.
    #[error("{program} failed: {reason}")]
    #[diagnostic(help("it said:\n{log}"))]
    Program {
        /// Which.
        program: &'static str,
        /// How.
        reason: String,
        /// The end of what it wrote.
        log: String,
    },
}

/// The programs of a PostgreSQL installation.
#[derive(Debug, Clone)]
pub struct Installation {
    bin: PathBuf,
}

impl Installation {
    /// The installation of `PG_CONFIG`, else of the `pg_config` on the path, else the newest under
    /// `/usr/lib/postgresql`.
    pub fn find() -> Result<Self, Error> {
        if let Some(pg_config) = std::env::var_os("PG_CONFIG").filter(|value| !value.is_empty()) {
            return Self::of_pg_config(&pg_config);
        }
        Self::of_pg_config(OsStr::new("pg_config")).or_else(|error| Self::newest_of_debian().ok_or(error))
    }

    fn of_pg_config(pg_config: &OsStr) -> Result<Self, Error> {
        let missing = |reason: String| Error::NoServer { reason };
        let shown = pg_config.to_string_lossy();
        let output = Command::new(pg_config)
            .arg("--bindir")
            .output()
            .map_err(|error| missing(format!("{shown} cannot be run ({error})")))?;
        let bin = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if output.status.success() && bin.join("initdb").exists() && bin.join("postgres").exists() {
            Ok(Self { bin })
        } else {
            Err(missing(format!("{shown} points to {}, where initdb or postgres is missing", bin.display())))
        }
    }

    fn newest_of_debian() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let newest = versions
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|major| Path::new(&format!("/usr/lib/postgresql/{major}/bin/initdb")).exists())
            .max()?;
        Some(Self { bin: format!("/usr/lib/postgresql/{newest}/bin").into() })
    }

    /// A program of the installation, as a path.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// A running server. When this is dropped the server ends, and its directory goes.
#[derive(Debug)]
pub struct Cluster {
    // In this order: the server ends before its directory goes.
    server: Option<Server>,
    directory: Option<TempDir>,
    path: PathBuf,
    installation: Installation,
}

#[derive(Debug)]
struct Server {
    child: Child,
    guard: Guarded,
}

impl Cluster {
    /// Makes a cluster and starts its server, with these settings (`name=value`) besides. Its superuser `postgres` is
    /// let in through the socket, which only the user it runs as, and root, can reach.
    pub fn start(installation: &Installation, settings: &[&str]) -> Result<Self, Error> {
        let user = unprivileged_user()?;
        let directory = directory()?;
        let path = directory.path().to_path_buf();
        let prepare = |source| Error::Directory { directory: path.clone(), source };
        // For its owner alone: who reaches the socket is the superuser.
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(prepare)?;
        if let Some(user) = &user {
            require_reachable(&path, user).map_err(prepare)??;
            chown(&path, Some(user.uid), Some(user.gid)).map_err(|errno| prepare(errno.into()))?;
        }
        let mut cluster =
            Self { server: None, directory: Some(directory), path, installation: installation.clone() };
        cluster.initialise(user.as_ref())?;
        cluster.serve(user.as_ref(), settings)?;
        Ok(cluster)
    }

    /// How to connect to a database of it as a user, as libpq and `--database-url` understand it.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        let quoted = |value: &str| format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"));
        let host = self.path.display().to_string();
        let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
        let host = if is_plain { host } else { quoted(&host) };
        format!("host={host} port={PORT} user={user} dbname={database}")
    }

    /// Where everything of it is, the socket included.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves server and directory as they are. [`Self::stop_command`] ends both.
    pub fn keep(mut self) {
        // Its destructor would end it.
        std::mem::forget(self.server.take());
        if let Some(directory) = self.directory.take() {
            let _ = directory.keep();
        }
    }

    /// A shell command that ends the server and removes its directory.
    pub fn stop_command(&self) -> Result<String, shlex::QuoteError> {
        let path = self.path.to_string_lossy();
        let (directory, pid_file) = (shlex::try_quote(&path)?, format!("{path}/data/postmaster.pid"));
        let pid_file = shlex::try_quote(&pid_file)?;
        Ok(format!(
            "kill -INT $(head -1 {pid_file}); while [ -e {pid_file} ]; do sleep 0.1; done; rm -r {directory}"
        ))
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn initialise(&self, user: Option<&User>) -> Result<(), Error> {
        let mut command = self.command("initdb", user)?;
        command.arg("--pgdata").arg(self.data()).args([
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let mut child = self.spawn("initdb", &mut command)?;
        let _guard = Guarded::new(child.id());
        let status = child.wait().map_err(|error| self.failed("initdb", error.to_string()))?;
        if status.success() { Ok(()) } else { Err(self.failed("initdb", status.to_string())) }
    }

    fn serve(&mut self, user: Option<&User>, settings: &[&str]) -> Result<(), Error> {
        let mut command = self.command("postgres", user)?;
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.path);
        let port = format!("port={PORT}");
        let ours = ["listen_addresses=", port.as_str()];
        for setting in THROWAWAY.iter().chain(&ours).chain(settings) {
            command.arg("-c").arg(setting);
        }
        let child = self.spawn("postgres", &mut command)?;
        let guard = Guarded::new(child.id());
        let server = self.server.insert(Server { child, guard });
        match server.wait_until_ready(&self.path.join("data/postmaster.pid")) {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.failed("postgres", reason)),
        }
    }

    /// A program that runs as the unprivileged user, apart from our terminal: Ctrl-C is ours to pass on.
    fn command(&self, program: &str, user: Option<&User>) -> Result<Command, Error> {
        let prepare = |source| Error::Directory { directory: self.path.clone(), source };
        let log = File::options().create(true).append(true).open(self.log()).map_err(prepare)?;
        let mut command = Command::new(self.installation.program(program));
        command
            .current_dir(&self.path)
            .env_remove("PGOPTIONS")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(prepare)?)
            .stderr(log)
            .process_group(0);
        if let Some(user) = user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        Ok(command)
    }

    fn spawn(&self, program: &'static str, command: &mut Command) -> Result<Child, Error> {
        command.spawn().map_err(|error| self.failed(program, error.to_string()))
    }

    fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn failed(&self, program: &'static str, reason: String) -> Error {
        let mut log = String::new();
        // What cannot be read is not shown; the reason still is.
        let _ = File::open(self.log()).and_then(|mut file| file.read_to_string(&mut log));
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(10)..].join("\n");
        Error::Program { program, reason, log: end }
    }
}

impl Server {
    /// The server writes `ready` to the last line of its pid file.
    fn wait_until_ready(&mut self, pid_file: &Path) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(status.to_string());
            }
            let state = fs::read_to_string(pid_file).unwrap_or_default();
            if state.lines().last().is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(format!("it was not ready after {} s", START_TIMEOUT.as_secs()))
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(POLL);
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.guard.stop();
        if self.wait(STOP_TIMEOUT).is_none() {
            self.guard.quit();
            self.wait(STOP_TIMEOUT);
        }
    }
}

/// Whether `user` may enter each directory above `path`.
fn require_reachable(path: &Path, user: &User) -> std::io::Result<Result<(), Error>> {
    for directory in path.ancestors().skip(1) {
        let metadata = fs::metadata(directory)?;
        let (mode, is_owner, is_group) =
            (metadata.mode(), metadata.uid() == user.uid.as_raw(), metadata.gid() == user.gid.as_raw());
        let may_enter = if is_owner {
            mode & 0o100
        } else if is_group {
            mode & 0o010
        } else {
            mode & 0o001
        };
        if may_enter == 0 {
            return Ok(Err(Error::OutOfReach {
                directory: directory.to_path_buf(),
                user: user.name.clone(),
            }));
        }
    }
    Ok(Ok(()))
}

fn unprivileged_user() -> Result<Option<User>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let found = UNPRIVILEGED_USERS.iter().find_map(|name| User::from_name(name).ok().flatten());
    found.map(Some).ok_or(Error::NobodyToRunAs)
}

fn directory() -> Result<TempDir, Error> {
    let named = std::env::temp_dir();
    let parent = if named.as_os_str().len() <= LONGEST_PARENT { named } else { PathBuf::from("/tmp") };
    tempfile::Builder::new()
        .prefix("percytech-")
        .rand_bytes(8)
        .tempdir_in(&parent)
        .map_err(|source| Error::Directory { directory: parent, source })
}
