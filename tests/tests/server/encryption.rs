//! Connections over the network are encrypted, and go to the right server where that is asked for.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User, chown};
use percytech_tests::{percytech, run, value};
use percytech_toolkit::cluster::{Cluster, Installation, SUPERUSER};
use percytech_toolkit::database::{self, Error};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A server on the network whose certificate is for `localhost`.
struct EncryptingServer {
    _cluster: Cluster,
    _certificates: TempDir,
    port: u16,
    authority: PathBuf,
}

impl EncryptingServer {
    fn start(ssl: bool) -> Self {
        let certificates = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(certificates.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let authority = certificates.path().join("authority.pem");
        let (certificate, key) = certify(certificates.path(), &authority);
        // Asked for and given back: another process is unlikely to take it in between.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = [
            "listen_addresses=localhost".to_owned(),
            format!("port={port}"),
            format!("ssl={ssl}"),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ];
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        let cluster = Cluster::start(&Installation::find().unwrap(), &settings).unwrap();
        Self { _cluster: cluster, _certificates: certificates, port, authority }
    }

    fn url(&self, host: &str, options: &str) -> String {
        format!("postgresql://{SUPERUSER}@{host}:{}/postgres?{options}", self.port)
    }

    /// Whether a connection is encrypted, or why there is none.
    fn connect(&self, host: &str, options: &str) -> Result<bool, Error> {
        let mut client = database::connect(Some(&self.url(host, options)), "percytech tests")?;
        Ok(value(&mut client, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
    }
}

/// An authority, and a certificate for `localhost` that it has signed, readable for the server alone.
fn certify(directory: &Path, authority: &Path) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    fs::write(authority, params.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, authority_key);

    let server_key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.join("server.pem"), directory.join("server.key"));
    fs::write(&certificate, params.signed_by(&server_key, &issuer).unwrap().pem()).unwrap();
    fs::write(&key, server_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    if Uid::effective().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        chown(&key, Some(user.uid), Some(user.gid)).unwrap();
    }
    (certificate, key)
}

/// Whether the server is built to encrypt: some that come in an archive are not.
fn server_can_encrypt() -> bool {
    let output =
        Command::new(Installation::find().unwrap().program("pg_config")).arg("--configure").output().unwrap();
    let options = String::from_utf8(output.stdout).unwrap();
    let can = options.contains("--with-openssl") || options.contains("--with-ssl=openssl");
    if !can {
        eprintln!("skipped: this PostgreSQL is built without OpenSSL");
    }
    can
}

#[test]
fn a_connection_is_encrypted_as_its_sslmode_says() {
    if !server_can_encrypt() {
        return;
    }
    let server = EncryptingServer::start(true);
    let trusted = format!("sslmode=verify-full&sslrootcert={}", server.authority.display());
    assert!(server.connect("localhost", "").unwrap());
    assert!(server.connect("localhost", "sslmode=prefer").unwrap());
    assert!(server.connect("localhost", "sslmode=require").unwrap());
    assert!(server.connect("127.0.0.1", "sslmode=require").unwrap());
    assert!(server.connect("localhost", &trusted).unwrap());
    assert!(!server.connect("localhost", "sslmode=disable").unwrap());
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_refused_where_that_is_asked_for() {
    if !server_can_encrypt() {
        return;
    }
    let server = EncryptingServer::start(true);
    let trusted = format!("sslmode=verify-full&sslrootcert={}", server.authority.display());
    // Another name than the certificate's, and an authority that the system does not know.
    for (host, options) in [("127.0.0.1", trusted.as_str()), ("localhost", "sslmode=verify-full")] {
        let refused = server.connect(host, options);
        assert!(matches!(refused, Err(Error::NotEncrypted { .. } | Error::Encryption(_))), "{refused:?}");
    }
    run(percytech(&["verify"]).env("DATABASE_URL", server.url("127.0.0.1", &trusted)))
        .expect(2)
        .says(&["could not be encrypted", "sslmode=verify-full wants a certificate for the host's name"]);
}

#[test]
fn a_server_that_does_not_encrypt_is_refused_where_that_is_asked_for() {
    let server = EncryptingServer::start(false);
    assert!(!server.connect("localhost", "").unwrap());
    let trusted = format!("sslmode=verify-full&sslrootcert={}", server.authority.display());
    for options in ["sslmode=require", &trusted] {
        let refused = server.connect("localhost", options);
        assert!(matches!(refused, Err(Error::NotEncrypted { .. })), "{refused:?}");
        run(percytech(&["verify"]).env("DATABASE_URL", server.url("localhost", options)))
            .expect(2)
            .says(&["could not be encrypted: server does not support TLS"]);
    }
}

#[test]
fn an_encryption_that_cannot_be_is_told() {
    let refused = |options: &str| {
        run(percytech(&["verify"]).env("DATABASE_URL", format!("postgresql://localhost/x?{options}")))
    };
    refused("sslmode=verify-ca").expect(2).says(&["sslmode=verify-ca is not supported", "verify-full"]);
    refused("sslmode=require&sslrootcert=/no/such.pem")
        .expect(2)
        .says(&["sslrootcert has no effect unless sslmode=verify-full"]);
    run(percytech(&["verify"])
        .env("DATABASE_URL", "postgresql://localhost/x")
        .env("PGSSLMODE", "require")
        .env("PGSSLROOTCERT", "/no/such.pem"))
    .expect(2)
    .says(&["leave out sslrootcert and PGSSLROOTCERT"]);
    refused("sslmode=verify-full&sslrootcert=/no/such.pem")
        .expect(2)
        .says(&["cannot read certificates from /no/such.pem", "PEM file"]);
}
