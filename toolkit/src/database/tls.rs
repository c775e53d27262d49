//! Encrypted connections, by libpq's names: `sslmode` and `sslrootcert` of a database URL.
//!
//! `prefer` (the default) and `require` encrypt without asking who the server is, as libpq does where no root
//! certificate is named; `verify-full` asks:
//! its certificate must be for the host's name, and signed by `sslrootcert` or by an authority that the system trusts.

use std::ops::Range;
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
    /// Whom to trust is said, and that nobody is to be asked.
    #[error("sslrootcert has no effect unless sslmode=verify-full")]
    #[diagnostic(help("say sslmode=verify-full, or leave out sslrootcert and PGSSLROOTCERT"))]
    RootWithoutVerify,
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
    /// Takes `sslmode` and `sslrootcert` out of a database URL: the client library knows fewer modes. What the URL
    /// lacks is taken from PGSSLMODE and PGSSLROOTCERT.
    pub fn take_from(url: &mut String) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = take_option(url, "sslrootcert");
        let mode = take_option(url, "sslmode").or_else(|| variable("PGSSLMODE"));
        let (mode, verify) = match mode.as_deref() {
            Some("disable") => (SslMode::Disable, false),
            None | Some("prefer") => (SslMode::Prefer, false),
            Some("require") => (SslMode::Require, false),
            Some("verify-full") => (SslMode::Require, true),
            Some(other) => return Err(Error::Mode(other.to_owned())),
        };
        let is_asked_for = named.is_some() || mode == SslMode::Require;
        let root_certificate = named.or_else(|| variable("PGSSLROOTCERT")).map(PathBuf::from);
        // To encrypt to whoever answers, where somebody has said whom to trust, would be less than was asked for.
        if root_certificate.is_some() && is_asked_for && !verify {
            return Err(Error::RootWithoutVerify);
        }
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

/// Removes an option from either form of a database URL, and returns its value; of several, the last one's.
fn take_option(url: &mut String, name: &str) -> Option<String> {
    let options = match query_start(url) {
        Some(start) => url_options(url, start),
        None => keyword_options(url),
    };
    let mut value = None;
    for option in options.into_iter().filter(|option| option.name == name).rev() {
        value = value.or(Some(option.value));
        url.replace_range(option.place, "");
    }
    value
}

/// An option as it stands in a database URL.
struct UrlOption {
    place: Range<usize>,
    name: String,
    value: String,
}

/// Where the options of a URL start; nothing where it is of the other form.
fn query_start(url: &str) -> Option<usize> {
    let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"))?;
    // A question mark may be in the password, which ends at the first @.
    let after_login = url.len() - rest.len() + rest.find('@').map_or(0, |at| at + 1);
    Some(url[after_login..].find('?').map_or(url.len(), |at| after_login + at + 1))
}

fn url_options(url: &str, start: usize) -> Vec<UrlOption> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut place = start;
    url[start..]
        .split_inclusive('&')
        .map(|option| {
            let from = place;
            place += option.len();
            let (name, value) = option.trim_end_matches('&').split_once('=').unwrap_or((option, ""));
            UrlOption { place: from..place, name: decoded(name), value: decoded(value) }
        })
        .collect()
}

/// `name = value`, by libpq's grammar: white space around the sign and between options, a backslash before any
/// character of a value, and single quotes around one. Where it is not that, the rest is left to who reads it next.
fn keyword_options(text: &str) -> Vec<UrlOption> {
    let mut options = Vec::new();
    let mut characters = text.char_indices().peekable();
    loop {
        while characters.next_if(|(_, character)| character.is_whitespace()).is_some() {}
        let Some(&(from, _)) = characters.peek() else { return options };
        let mut name = String::new();
        while let Some((_, character)) = characters.next_if(|(_, c)| !c.is_whitespace() && *c != '=') {
            name.push(character);
        }
        while characters.next_if(|(_, character)| character.is_whitespace()).is_some() {}
        if characters.next_if(|(_, character)| *character == '=').is_none() {
            return options;
        }
        while characters.next_if(|(_, character)| character.is_whitespace()).is_some() {}
        let quoted = characters.next_if(|(_, character)| *character == '\'').is_some();
        let ends = |character: char| if quoted { character == '\'' } else { character.is_whitespace() };
        let mut value = String::new();
        while let Some((_, character)) = characters.next_if(|(_, character)| !ends(*character)) {
            let escaped = if character == '\\' { characters.next().map(|(_, next)| next) } else { None };
            value.push(escaped.unwrap_or(character));
        }
        if quoted {
            characters.next();
        }
        let to = characters.peek().map_or(text.len(), |(at, _)| *at);
        options.push(UrlOption { place: from..to, name, value });
    }
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
        for (url, rest) in [
            ("postgresql://me@host/db?a=1&sslmode=verify-full&b=2", "postgresql://me@host/db?a=1&b=2"),
            ("postgresql://host/db?sslmode=verify-full", "postgresql://host/db?"),
            ("postgres://u:se?cret@h/d?sslmode=verify-full", "postgres://u:se?cret@h/d?"),
            (
                "postgresql://h/d?application_name=bob's&sslmode=verify-full",
                "postgresql://h/d?application_name=bob's&",
            ),
            ("postgresql://h/d?sslmod%65=verify%2dfull", "postgresql://h/d?"),
            ("host=h sslmode=verify-full user=me", "host=h  user=me"),
            ("host=h sslmode = verify-full", "host=h "),
            ("host=h\tsslmode=verify-full", "host=h\t"),
            ("sslmode='verify-full'", ""),
            ("sslmode=disable sslmode=verify-full", " "),
            ("password=a://b sslmode=verify-full", "password=a://b "),
            (r"password='it\'s' sslmode=verify\-full", r"password='it\'s' "),
        ] {
            assert_eq!(taken(url, "sslmode"), (rest.to_owned(), Some("verify-full".to_owned())), "{url}");
        }
        let file = Some("/a b/root.pem".to_owned());
        assert_eq!(taken("postgresql://host/?sslrootcert=%2Fa%20b/root.pem", "sslrootcert").1, file);
        assert_eq!(taken("host=h sslrootcert='/a b/root.pem'", "sslrootcert").1, file);
        assert_eq!(taken(r"host=h sslrootcert=/a\ b/root.pem", "sslrootcert").1, file);
    }

    #[test]
    fn what_only_resembles_an_option_stays() {
        for url in [
            "postgresql://me:sslmode=x@host/db",
            "postgresql://me:?sslmode=x@host/db",
            "postgresql://host/db?xsslmode=require",
            "host=h password='a sslmode=disable b' user=me",
            r"host=h password='it\'s sslmode=disable ' user=me",
            r"host=h password=a\ sslmode=disable",
            "nonsense sslmode=disable",
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
        assert!(matches!(mode("require sslrootcert=/x"), Err(Error::RootWithoutVerify)));
        assert!(matches!(mode("prefer sslrootcert=/x"), Err(Error::RootWithoutVerify)));
        assert_eq!(Encryption::take_from(&mut "host=h".to_owned()).unwrap().mode, SslMode::Prefer);
    }
}
