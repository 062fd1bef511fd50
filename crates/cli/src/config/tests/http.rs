//! The keys of `http`.

use wharfinger_server::{ClientAuth, TlsVersion};

use super::*;

/// The faults of a file with these lines below `http`.
fn faults_of(lines: &str) -> String {
    faults(&format!("{LEAST}http:\n{lines}"))
}

fn http_of(lines: &str) -> (super::super::types::HttpConfig, String) {
    let loaded = loaded(&format!("{LEAST}http:\n  secret: s\n{lines}"));
    (loaded.settings.http, loaded.warnings.join("\n"))
}

#[test]
fn every_key_of_tls_counts() {
    let (http, warnings) = http_of(
        "  tls:
    certificate: /c.pem
    key: /k.pem
    clientcas: [/a.pem]
    clientauth: verify-client-cert-if-given
    minimumtls: tls1.3
    ciphersuites: [TLS_AES_256_GCM_SHA384, TLS_RSA_WITH_RC4_128_SHA]
  http2: {disabled: true}
  h2c: {enabled: true}
",
    );
    let tls = http.tls.unwrap();
    assert_eq!(
        (tls.certificate, tls.key),
        ("/c.pem".into(), "/k.pem".into())
    );
    assert_eq!(tls.clients.unwrap().mode, ClientAuth::VerifyIfGiven);
    assert_eq!(tls.minimum, TlsVersion::V13);
    assert_eq!(tls.cipher_suites.unwrap().len(), 1);
    assert!(!http.http2 && http.h2c);
    insta::assert_snapshot!(warnings, @"
    config.yml:11:44: `http.tls.ciphersuites` names `TLS_RSA_WITH_RC4_128_SHA`, which is left out: it is too weak
    `http.h2c.enabled` does nothing with TLS, where HTTP/2 is offered by itself
    ");
    let (http, _) = http_of("  tls: {certificate: /c, key: /k, clientcas: [/a]}\n");
    let tls = http.tls.unwrap();
    assert_eq!(tls.clients.unwrap().mode, ClientAuth::RequireAndVerify);
    assert_eq!((tls.minimum, tls.cipher_suites), (TlsVersion::V12, None));
    assert!(http.http2 && !http.h2c);
}

#[test]
fn tls_by_halves_is_refused() {
    insta::assert_snapshot!(faults_of("  tls: {key: /k}\n"), @"config.yml:4:14: `http.tls.key` needs `http.tls.certificate`: without it there is no TLS");
    insta::assert_snapshot!(faults_of("  tls: {certificate: /c}\n"), @"config.yml:4:22: `http.tls.certificate` needs `http.tls.key` beside it");
    insta::assert_snapshot!(faults_of("  tls: {clientcas: [/a]}\n"), @"config.yml:4:20: `http.tls.clientcas` needs `http.tls.certificate`: without it there is no TLS");
    insta::assert_snapshot!(faults_of("  tls: {certificate: /c, key: /k, clientauth: require-any-client-cert, clientcas: []}\n"), @"config.yml:4:47: `http.tls.clientauth` needs `http.tls.clientcas`: without authorities nobody is asked for a certificate");
    let (_, warnings) = http_of("  tls: {minimumtls: tls1.3}\n");
    insta::assert_snapshot!(warnings, @"config.yml:5:21: `http.tls.minimumtls` does nothing without `http.tls.certificate`");
}

#[test]
fn what_tls_does_not_have_is_refused_by_name() {
    insta::assert_snapshot!(faults_of("  tls: {certificate: /c, key: /k, minimumtls: tls1.0}\n"), @"config.yml:4:47: `http.tls.minimumtls` must be one of `tls1.2`, `tls1.3`, not `tls1.0`; did you mean `tls1.2`?");
    insta::assert_snapshot!(faults_of("  tls: {certificate: /c, key: /k, ciphersuites: [TLS_AES_128_GCM_SHA265, ROT13]}\n"), @"
    config.yml:4:50: `http.tls.ciphersuites` holds `TLS_AES_128_GCM_SHA265`, which is no cipher suite; did you mean `TLS_AES_128_GCM_SHA256`?
    config.yml:4:74: `http.tls.ciphersuites` holds `ROT13`, which is no cipher suite
    ");
    insta::assert_snapshot!(faults_of("  tls: {certificate: /c, key: /k, ciphersuites: [TLS_RSA_WITH_AES_128_CBC_SHA]}\n"), @"config.yml:4:49: `http.tls.ciphersuites` names none that can be used; leave the key out to have all that are safe");
    insta::assert_snapshot!(faults_of("  tls: {letsencrypt: {hosts: [a]}}\n"), @"config.yml:4:9: `http.tls.letsencrypt` is not supported yet");
}

#[test]
fn the_address_is_a_path_with_unix_and_only_then() {
    let (http, _) = http_of("  net: unix\n  addr: /run/registry.sock\n");
    assert_eq!(http.listen, Listen::Unix("/run/registry.sock".into()));
    insta::assert_snapshot!(faults_of("  net: unix\n"), @"config.yml:4:8: `http.net: unix` needs the path of a socket in `http.addr`");
    insta::assert_snapshot!(faults_of("  net: unix\n  addr: :5000\n"), @"config.yml:5:9: `http.addr` `:5000` is the path of a socket because of `http.net: unix`; write it as `/run/registry.sock`");
    insta::assert_snapshot!(faults_of("  addr: /run/registry.sock\n"), @"config.yml:4:9: `http.addr` `/run/registry.sock` has no port; write it as `HOST:PORT`; for the path of a socket give `http.net: unix`");
    insta::assert_snapshot!(faults_of("  net: udp\n"), @"config.yml:4:8: `http.net` must be one of `tcp`, `unix`, not `udp`");
}

#[test]
fn what_stands_before_routes_is_a_url_or_a_path() {
    insta::assert_snapshot!(faults_of("  host: registry:5000\n  prefix: foo\n"), @"
    config.yml:4:9: `http.host` `registry:5000` does not begin with `http://` or `https://`; write `https://HOST` or `http://HOST:PORT`
    config.yml:5:11: `http.prefix` `foo` does not begin with `/`; write `/foo`
    ");
    insta::assert_snapshot!(faults_of("  prefix: /a/../b\n"), @"config.yml:4:11: `http.prefix` `/a/../b` holds an empty word, `.`, `..` or a character that does not belong in a path");
}

#[test]
fn headers_are_names_and_lists_of_values() {
    let (http, _) = http_of("  headers: {X-A: [b, 'c d'], X-Empty: }\n");
    assert_eq!(http.headers.len(), 2);
    insta::assert_snapshot!(faults_of("  headers: {X-A: b}\n"), @"config.yml:4:12: `http.headers.X-A` takes a list such as `[a, b]`, not a single value");
    insta::assert_snapshot!(faults_of("  headers: [X-A]\n"), @"config.yml:4:12: `http.headers` takes a map such as `{X-Content-Type-Options: [nosniff]}`, not a list");
    insta::assert_snapshot!(faults_of("  headers: {'X A': [b]}\n"), @"config.yml:4:12: `http.headers` holds `X A`, which is no name of a header");
    insta::assert_snapshot!(faults_of("  headers: {X-A: [\"b\\nc\"]}\n"), @r"config.yml:4:12: `http.headers.X-A` holds `b\nc`, which no header can carry");
    insta::assert_snapshot!(faults_of("  headers: {Content-Length: ['5']}\n"), @"config.yml:4:12: `http.headers` holds `Content-Length`, which only the server itself can set");
    insta::assert_snapshot!(faults_of("  headers: {X-A: [[b]]}\n"), @"config.yml:4:12: `http.headers.X-A` takes a list of single values; it holds a list");
}

#[test]
fn the_settings_of_http_read_back_as_they_were() {
    let text = format!(
        "{LEAST}http: {{net: unix, addr: './a b', host: 'https://h/p', prefix: /q/, headers: {{X-A: [b, c]}}, \
         tls: {{certificate: /c, key: /k, clientcas: [a, 'b c']}}}}\n"
    );
    let effective = loaded(&text).effective();
    assert_eq!(loaded(&effective).effective(), effective);
    let http = loaded(&effective).settings.http;
    assert_eq!(http.listen, Listen::Unix("./a b".into()));
    assert_eq!(http.urls.base.unwrap().to_string(), "https://h/p");
    assert_eq!(http.urls.prefix.to_string(), "/q");
    assert_eq!(http.headers.len(), 2);
    assert_eq!(http.tls.unwrap().clients.unwrap().authorities.len(), 2);
}
