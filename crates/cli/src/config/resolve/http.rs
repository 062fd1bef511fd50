//! How clients reach the registry.

use std::path::PathBuf;

use wharfinger_server::{ClientAuth, Clients, DEFAULT_TLS_LOOK_INTERVAL, Tls, TlsVersion, Urls};

use super::super::check::Value;
use super::super::types::{HttpConfig, Listen, SecretSource};
use super::{Values, health, meaning};

pub(super) const CLIENT_AUTHS: [(&str, ClientAuth); 4] = [
    ("request-client-cert", ClientAuth::Request),
    ("require-any-client-cert", ClientAuth::RequireAny),
    ("verify-client-cert-if-given", ClientAuth::VerifyIfGiven),
    (
        "require-and-verify-client-cert",
        ClientAuth::RequireAndVerify,
    ),
];

pub(super) const VERSIONS: [(&str, TlsVersion); 2] =
    [("tls1.2", TlsVersion::V12), ("tls1.3", TlsVersion::V13)];

/// Resolves the keys of `http`.
pub(super) fn resolve(values: &Values<'_>, secret: SecretSource) -> HttpConfig {
    HttpConfig {
        listen: match values.given_text("http.addr") {
            // Where it is no path it was read as an address.
            Some(path) => Listen::Unix(PathBuf::from(path)),
            None => Listen::Tcp(values.address("http.addr")),
        },
        tls: tls(values),
        http2: !values.bool("http.http2.disabled"),
        h2c: values.bool("http.h2c.enabled"),
        urls: Urls {
            base: match values.given("http.host") {
                Some(Value::Url(base)) => Some(base.clone()),
                _ => None,
            },
            prefix: values.prefix("http.prefix"),
            relative: values.bool("http.relativeurls"),
        },
        headers: values.headers("http.headers"),
        secret,
        drain_timeout: values.duration("http.draintimeout"),
        debug: health::debug(values),
    }
}

fn tls(values: &Values<'_>) -> Option<Tls> {
    let certificate = values.given_text("http.tls.certificate")?.into();
    let key = values.given_text("http.tls.key")?.into();
    let mode = values.given_text("http.tls.clientauth");
    let mode = mode.map_or(ClientAuth::RequireAndVerify, |word| {
        meaning(word, &CLIENT_AUTHS)
    });
    let authorities = values.given_list("http.tls.clientcas").unwrap_or_default();
    let minimum = values.given_text("http.tls.minimumtls");
    let suites = values.given_list("http.tls.ciphersuites");
    Some(Tls {
        certificate,
        key,
        clients: (!authorities.is_empty()).then(|| Clients {
            authorities: authorities.iter().map(PathBuf::from).collect(),
            mode,
        }),
        minimum: minimum.map_or(TlsVersion::V12, |word| meaning(word, &VERSIONS)),
        // Those that are too weak have been told of.
        cipher_suites: suites.map(|names| names.iter().flat_map(|name| name.parse()).collect()),
        look_interval: DEFAULT_TLS_LOOK_INTERVAL,
    })
}
