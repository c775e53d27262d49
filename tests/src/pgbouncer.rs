//! A PgBouncer in transaction mode, before the server of a test database.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use percytech_toolkit::database;
use postgres::Client;
use tempfile::TempDir;

use crate::TestDatabase;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running PgBouncer. It ends when this is dropped.
pub struct PgBouncer {
    process: Child,
    directory: TempDir,
    database: String,
}

impl PgBouncer {
    /// Pools connections of these users to a database: at most `connections` to the server for each user.
    #[must_use]
    pub fn before(database: &TestDatabase, users: &[&str], connections: usize) -> Self {
        let server = database.host();
        // It refuses to run as root, and must reach the server's socket: it runs as the server does.
        let owner = fs::metadata(server).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let settings = format!(
            "[databases]\n\
             {name} = host={server}\n\
             [pgbouncer]\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_client_conn = 200\n\
             server_round_robin = 1\n\
             listen_addr =\n\
             unix_socket_dir = {directory}\n\
             auth_type = trust\n\
             auth_file = {directory}/users\n\
             logfile = {directory}/log\n",
            name = database.name(),
            server = server.display(),
            directory = path.display(),
        );
        let users: Vec<_> = users.iter().map(|user| format!("\"{user}\" \"\"")).collect();
        let files = [("settings", settings), ("users", users.join("\n"))];
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
            chown(path.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut command = Command::new(program());
        command.arg("--quiet").arg(path.join("settings")).stdin(Stdio::null());
        if owner.uid() != nix::unistd::Uid::effective().as_raw() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let mut process = command.spawn().unwrap();
        wait_until_ready(&mut process, path);
        Self { process, directory, database: database.name().to_owned() }
    }

    /// A client of the pool.
    #[must_use]
    pub fn connect(&self, user: &str) -> Client {
        let url = format!(
            "host={} port=6432 user={user} dbname={}",
            self.directory.path().display(),
            self.database
        );
        database::connect(Some(&url), "percytech tests").unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian puts it where only root's path leads.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.push("/usr/sbin".into());
    directories
        .into_iter()
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("pgbouncer is not installed: tests/install.sh installs it"))
}

fn wait_until_ready(process: &mut Child, directory: &Path) {
    let start = Instant::now();
    while !directory.join(".s.PGSQL.6432").exists() {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        if let Some(status) = process.try_wait().unwrap() {
            panic!("pgbouncer ended ({status}): {}", log());
        }
        assert!(start.elapsed() < START_TIMEOUT, "pgbouncer is not ready: {}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
}
