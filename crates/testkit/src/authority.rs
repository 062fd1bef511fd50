//! Certificates: an authority and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// An authority that nobody knows but those who are given its certificate.
#[derive(Debug)]
pub struct Authority {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            name: name.to_owned(),
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Signs a certificate of a server on this machine.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn server(&self) -> Result<Signed> {
        self.sign(&server_params()?)
    }

    /// Signs a certificate of a server that has this name, or address, besides.
    ///
    /// # Errors
    /// When keys cannot be made, or it is neither.
    pub fn server_at(&self, name: &str) -> Result<Signed> {
        self.sign(&named(&["localhost", "127.0.0.1", name])?)
    }

    /// Signs a certificate of a server whose time is over.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn expired_server(&self) -> Result<Signed> {
        self.sign(&expired(server_params()?))
    }

    /// Signs a certificate like that of [`server_at`](Self::server_at) whose time is over.
    ///
    /// # Errors
    /// When keys cannot be made, or it is neither a name nor an address.
    pub fn expired_server_at(&self, name: &str) -> Result<Signed> {
        self.sign(&expired(named(&["localhost", "127.0.0.1", name])?))
    }

    /// Signs a certificate of a client.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn client(&self) -> Result<Signed> {
        self.sign(&client_params()?)
    }

    /// Signs a certificate of a client whose time is over.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn expired_client(&self) -> Result<Signed> {
        self.sign(&expired(client_params()?))
    }

    /// Writes the certificate of the authority itself to `directory`, and returns the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf> {
        let file = directory.join(format!("{}.crt", self.name));
        fs::write(&file, &self.certificate)?;
        Ok(file)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Signed> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

impl Signed {
    /// Writes both to `directory`, as `NAME.cert` and `NAME.key`, and returns the files.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (format!("{name}.cert"), format!("{name}.key"));
        let files = (directory.join(certificate), directory.join(key));
        fs::write(&files.0, &self.certificate)?;
        fs::write(&files.1, &self.key)?;
        Ok(files)
    }
}

fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn server_params() -> Result<CertificateParams> {
    named(&["localhost", "127.0.0.1"])
}

fn named(names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client_params() -> Result<CertificateParams> {
    let mut params = params("client")?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2001, 2, 1);
    params
}
