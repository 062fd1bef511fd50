//! From files to what rustls goes by.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use super::clients::verifier;
use super::{CipherSuite, Tls, TlsVersion};

/// 4 MiB: twenty times the bundle of all the authorities that browsers know.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("{} is not PEM as it should be", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    /// A file holds nothing of what it is for.
    #[error("{} holds no {what}", path.display())]
    Nothing { path: PathBuf, what: &'static str },
    /// The certificate and the key cannot be used, or not together.
    #[error("the certificate {} and the key {} cannot be used", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// A file holds something that can be no authority.
    #[error("{} holds a certificate that can be no authority", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// What is asked of clients cannot be.
    #[error("the authorities of clients cannot be used")]
    Clients(#[source] rustls::server::VerifierBuilderError),
    /// Versions and cipher suites do not go together.
    #[error("the versions and the cipher suites do not go together")]
    Suites(#[source] rustls::Error),
}

impl Error {
    /// Returns the error with its causes.
    pub(super) fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Writing to a string does not fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}

/// Reads all files. Nothing is remembered of an earlier time, so that what is read counts as a whole or not
/// at all.
pub(super) fn load(tls: &Tls, http2: bool) -> Result<ServerConfig, Error> {
    let provider = Arc::new(provider(tls.cipher_suites.as_deref()));
    let versions = versions(tls.minimum, &provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(Error::Suites)?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
    };
    let chain = certificates(&tls.certificate)?;
    let key = private_key(&tls.key)?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|source| Error::Pair {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            source,
        })?;
    let http1: &[u8] = b"http/1.1";
    let protocols = if http2 {
        vec![&b"h2"[..], http1]
    } else {
        vec![http1]
    };
    config.alpn_protocols = protocols.into_iter().map(<[u8]>::to_vec).collect();
    Ok(config)
}

/// Returns the cryptography with no other cipher suites than `allowed`.
fn provider(allowed: Option<&[CipherSuite]>) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(allowed) = allowed {
        let names_v13 = allowed.iter().any(|suite| suite.is_of_v13());
        provider.cipher_suites.retain(|suite| {
            let is_named = allowed.iter().any(|name| name.id() == suite.suite());
            is_named || (suite.tls13().is_some() && !names_v13)
        });
    }
    provider
}

/// Returns the versions from `minimum` on for which there is a cipher suite.
fn versions(
    minimum: TlsVersion,
    provider: &CryptoProvider,
) -> Vec<&'static SupportedProtocolVersion> {
    let has_v12 = provider
        .cipher_suites
        .iter()
        .any(|suite| suite.tls13().is_none());
    if minimum == TlsVersion::V12 && has_v12 {
        vec![&TLS13, &TLS12]
    } else {
        vec![&TLS13]
    }
}

/// Reads the certificates of a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|source| broken(path, source))?;
    if found.is_empty() {
        return Err(nothing(path, "certificate"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = read(path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(nothing(path, "private key that is not encrypted")),
        Err(source) => Err(broken(path, source)),
    }
}

fn nothing(path: &Path, what: &'static str) -> Error {
    let path = path.to_owned();
    Error::Nothing { path, what }
}

fn broken(path: &Path, source: pem::Error) -> Error {
    let path = path.to_owned();
    Error::Pem { path, source }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}
