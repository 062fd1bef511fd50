//! Cipher suites by the names of Go, in which configurations have them.

use std::str::FromStr;

use tokio_rustls::rustls::CipherSuite as Id;

/// A cipher suite that there is: each has authenticated encryption and forward secrecy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherSuite(Id);

/// Why a name stands for no cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// Go has it, and it is not safe any more. Leave it out.
    #[error("it is too weak, and there is no such suite here")]
    Weak,
    /// Nobody has it. Look for a slip in the name.
    #[error("there is no such suite")]
    Unknown,
}

const SUITES: [(&str, Id); 11] = [
    ("TLS_AES_128_GCM_SHA256", Id::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", Id::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        Id::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        Id::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        Id::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        Id::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    // Old names of two of them.
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// What Go has besides: without forward secrecy, with CBC, RC4 or 3DES.
const WEAK: [&str; 16] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

impl CipherSuite {
    pub(super) fn id(self) -> Id {
        self.0
    }

    pub(super) fn is_of_v13(self) -> bool {
        matches!(
            self.0,
            Id::TLS13_AES_128_GCM_SHA256
                | Id::TLS13_AES_256_GCM_SHA384
                | Id::TLS13_CHACHA20_POLY1305_SHA256
        )
    }

    /// Returns the names of all that there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SUITES.iter().map(|(name, _)| *name)
    }
}

impl FromStr for CipherSuite {
    type Err = SuiteError;

    fn from_str(name: &str) -> Result<Self, SuiteError> {
        match SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, id)) => Ok(Self(*id)),
            None if WEAK.contains(&name) => Err(SuiteError::Weak),
            None => Err(SuiteError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

    use super::*;

    #[test]
    fn every_suite_of_the_library_has_a_name() {
        for suite in ALL_CIPHER_SUITES {
            assert!(
                SUITES.iter().any(|(_, id)| *id == suite.suite()),
                "{suite:?}"
            );
        }
        for (name, id) in SUITES {
            let there = ALL_CIPHER_SUITES.iter().any(|suite| suite.suite() == id);
            assert!(there, "{name}");
        }
    }

    #[test]
    fn weak_suites_are_told_from_slips() {
        assert_eq!(
            "TLS_RSA_WITH_RC4_128_SHA".parse::<CipherSuite>(),
            Err(SuiteError::Weak)
        );
        assert_eq!(
            "TLS_AES_128".parse::<CipherSuite>(),
            Err(SuiteError::Unknown)
        );
        let suite: CipherSuite = "TLS_AES_128_GCM_SHA256".parse().unwrap();
        assert!(suite.is_of_v13());
    }
}
