//! Encrypted connections, by libpq's names: `sslmode` and `sslrootcert` of a database URL.
//!
//! `prefer` (the default) and `require` encrypt without asking who the server is, as libpq does; `verify-full` asks:
//! its certificate must be for the host's name, and signed by `sslrootcert` or by an authority that the system trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postgres::config::SslMode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why a connection could not be encrypted as asked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is no such mode, or not here.
    #[error("sslmode={0} is not supported")]
    #[diagnostic(help(
        "it is disable, prefer, require (encrypted) or verify-full (encrypted, to the right server)"
    ))]
    Mode(String),
    /// The certificates to trust cannot be read.
    #[error("cannot read certificates from {}: {reason}", file.display())]
    #[diagnostic(help("sslrootcert names a PEM file with the certificates of who signed the server's"))]
    RootCertificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts nobody.
    #[error("this system has no certificates of authorities to trust")]
    #[diagnostic(help(
        "install them (Debian and Ubuntu: apt-get install ca-certificates), or name some with sslrootcert"
    ))]
    NoRoots,
    /// The library cannot do what every version of it can.
    #[error("TLS is not available: {0}")]
    #[diagnostic(help("this is a fault of the build: please report it"))]
    Library(#[from] rustls::Error),
}

/// How a connection is to be encrypted.
#[derive(Debug)]
pub struct Encryption {
    /// What the client asks of the server.
    pub mode: SslMode,
    verify: bool,
    root_certificate: Option<PathBuf>,
}

impl Encryption {
    /// Takes `sslmode` and `sslrootcert` out of a database URL: the client library knows fewer modes.
    pub fn take_from(url: &mut String) -> Result<Self, Error> {
        let root_certificate = take_option(url, "sslrootcert").map(PathBuf::from);
        let (mode, verify) = match take_option(url, "sslmode").as_deref() {
            Some("disable") => (SslMode::Disable, false),
            None | Some("prefer") => (SslMode::Prefer, false),
            Some("require") => (SslMode::Require, false),
            Some("verify-full") => (SslMode::Require, true),
            Some(other) => return Err(Error::Mode(other.to_owned())),
        };
        Ok(Self { mode, verify, root_certificate })
    }

    /// What encrypts the connection.
    pub fn connector(&self) -> Result<MakeRustlsConnect, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = if self.verify {
            builder.with_root_certificates(self.roots()?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.root_certificate {
            add_file(&mut roots, file)?;
        } else {
            // What cannot be read of the system's is not trusted; the rest is.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Error::NoRoots);
            }
        }
        Ok(roots)
    }
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), Error> {
    let unreadable = |reason: String| Error::RootCertificate { file: file.to_path_buf(), reason };
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unreadable("there is none in it".to_owned())) } else { Ok(()) }
}

/// Takes whoever answers for the server: the connection cannot be read on the way, but may go to somebody else.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Removes an option from either form of a database URL, and returns its value.
fn take_option(url: &mut String, name: &str) -> Option<String> {
    let (separator, start) = if url.contains("://") { ('&', url.find('?')? + 1) } else { (' ', 0) };
    let (kept, mut taken): (Vec<_>, Vec<_>) =
        split_unquoted(&url[start..], separator).into_iter().partition(|option| {
            option.trim_start().split_once('=').is_none_or(|(key, _)| key.trim_end() != name)
        });
    let value = taken.pop()?.split_once('=')?.1.trim().trim_matches('\'').to_owned();
    *url = format!("{}{}", &url[..start], kept.join(&separator.to_string()));
    Some(if separator == '&' {
        percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned()
    } else {
        value
    })
}

/// Splits where the separator is not within single quotes.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|character| {
        let is_escaped = std::mem::take(&mut escaped);
        match character {
            '\\' if !is_escaped => escaped = true,
            '\'' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(url: &str, name: &str) -> (String, Option<String>) {
        let mut url = url.to_owned();
        let value = take_option(&mut url, name);
        (url, value)
    }

    #[test]
    fn an_option_is_taken_out_of_either_form() {
        let value = Some("verify-full".to_owned());
        assert_eq!(
            taken("postgresql://me@host/db?a=1&sslmode=verify-full&b=2", "sslmode"),
            ("postgresql://me@host/db?a=1&b=2".into(), value.clone())
        );
        assert_eq!(
            taken("postgresql://host/db?sslmode=verify-full", "sslmode"),
            ("postgresql://host/db?".into(), value.clone())
        );
        assert_eq!(
            taken("host=h sslmode=verify-full user=me", "sslmode"),
            ("host=h user=me".into(), value.clone())
        );
        assert_eq!(taken("sslmode='verify-full'", "sslmode"), (String::new(), value));
        let file = Some("/a b/root.pem".to_owned());
        assert_eq!(taken("postgresql://host/?sslrootcert=%2Fa%20b/root.pem", "sslrootcert").1, file);
        assert_eq!(taken("host=h sslrootcert='/a b/root.pem'", "sslrootcert").1, file);
    }

    #[test]
    fn what_only_resembles_an_option_stays() {
        for url in [
            "postgresql://me:sslmode=x@host/db",
            "postgresql://host/db?xsslmode=require",
            "host=h password='a sslmode=disable b' user=me",
            r"host=h password='it\'s sslmode=disable ' user=me",
            "",
            "?",
        ] {
            assert_eq!(taken(url, "sslmode"), (url.to_owned(), None));
        }
    }

    #[test]
    fn modes_are_told_apart() {
        let mode = |text: &str| Encryption::take_from(&mut format!("host=h sslmode={text}"));
        assert_eq!(mode("disable").unwrap().mode, SslMode::Disable);
        assert!(mode("verify-full").unwrap().verify);
        assert!(!mode("require").unwrap().verify);
        assert!(matches!(mode("verify-ca"), Err(Error::Mode(_))));
        assert_eq!(Encryption::take_from(&mut "host=h".to_owned()).unwrap().mode, SslMode::Prefer);
    }
}
