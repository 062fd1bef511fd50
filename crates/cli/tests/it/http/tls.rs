//! TLS from files.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use wharfinger_testkit::{Authority, Image, Scratch, Signal, Signed, eventually, run, tool};

use super::{Curl, REQUEST, Wharf, text, write_config};

/// A registry with a certificate, and what its clients need.
struct Secured {
    wharf: Wharf,
    authority: Authority,
    /// The file of the authority's certificate.
    trusted: PathBuf,
}

impl Secured {
    fn start(more: &str) -> Self {
        let authority = Authority::new("harbour").unwrap();
        let server = authority.server().unwrap();
        Self::with(authority, &server, more)
    }

    /// Starts it with a certificate of its own; `more` stands below `tls`.
    fn with(authority: Authority, server: &Signed, more: &str) -> Self {
        let scratch = Scratch::new("tls").unwrap();
        let (certificate, key) = server.write(scratch.path(), "server").unwrap();
        let trusted = authority.write(scratch.path()).unwrap();
        let (certificate, key) = (text(&certificate), text(&key));
        let trust = text(&trusted);
        let more = more.replace("TRUSTED", trust);
        let lines = format!("tls: {{certificate: {certificate}, key: {key}{more}}}");
        let wharf = Wharf::start(scratch, &lines);
        Self {
            wharf,
            authority,
            trusted,
        }
    }

    fn ask(&self, curl: &Curl, arguments: &[&str]) -> Result<super::Answer, String> {
        let url = self.wharf.https("/v2/");
        let mut all = vec!["--cacert", text(&self.trusted), &url];
        all.extend(arguments);
        curl.ask(&all)
    }

    /// Asks with a certificate.
    fn ask_as(&self, curl: &Curl, client: &Signed) -> Result<super::Answer, String> {
        let scratch = Scratch::new("client").unwrap();
        let (certificate, key) = client.write(scratch.path(), "client").unwrap();
        self.ask(curl, &["--cert", text(&certificate), "--key", text(&key)])
    }
}

#[test]
fn what_is_pushed_over_tls_is_pulled_over_it() {
    let Some(curl) = Curl::find() else { return };
    let secured = Secured::start("");
    let base = secured.wharf.https("");
    for version in ["--http1.1", "--http2"] {
        let location = curl.round_trip(&base, &["--cacert", text(&secured.trusted), version]);
        assert!(location.starts_with(&base), "{location}");
    }
}

#[test]
fn skopeo_pushes_and_pulls_over_tls() {
    let Some(skopeo) = tool("skopeo") else { return };
    let secured = Secured::start("");
    let image = Image::build(11, &[2048, 300_000]);
    let scratch = Scratch::new("skopeo").unwrap();
    image.write_layout(&scratch.join("image"), "v1").unwrap();
    let certificates = scratch.make("certs").unwrap();
    fs::copy(&secured.trusted, certificates.join("ca.crt")).unwrap();
    let copy = |from: &str, to: &str| {
        let mut command = Command::new(&skopeo);
        command
            .args([
                "--insecure-policy",
                "copy",
                "--src-cert-dir",
                text(&certificates),
            ])
            .args(["--dest-cert-dir", text(&certificates), from, to])
            .env("HOME", scratch.path())
            .env("XDG_RUNTIME_DIR", scratch.path());
        run(&mut command, REQUEST).map(drop)
    };
    let name = format!("docker://127.0.0.1:{}/a/b:v1", secured.wharf.port);
    copy(
        &format!("oci:{}:v1", scratch.join("image").display()),
        &name,
    )
    .unwrap();
    let pulled = scratch.join("pulled");
    copy(&name, &format!("dir:{}", pulled.display())).unwrap();
    assert_eq!(
        fs::read(pulled.join("manifest.json")).unwrap(),
        image.manifest.bytes
    );
    // Without the authority it does not come to that.
    fs::remove_file(certificates.join("ca.crt")).unwrap();
    let error = copy(&name, &format!("dir:{}", scratch.join("more").display()));
    let error = format!("{:#}", error.unwrap_err());
    assert!(
        error.contains("certificate signed by unknown authority"),
        "{error}"
    );
}

#[test]
fn an_expired_certificate_and_one_of_a_stranger_fail_clearly() {
    let Some(curl) = Curl::find() else { return };
    let authority = Authority::new("harbour").unwrap();
    let server = authority.expired_server().unwrap();
    let secured = Secured::with(authority, &server, "");
    let error = secured.ask(&curl, &[]).unwrap_err();
    assert!(error.contains("certificate has expired"), "{error}");
    let stranger = Authority::new("stranger").unwrap();
    let secured = Secured::with(
        Authority::new("harbour").unwrap(),
        &stranger.server().unwrap(),
        "",
    );
    let error = secured.ask(&curl, &[]).unwrap_err();
    assert!(
        error.contains("unable to get local issuer certificate"),
        "{error}"
    );
}

#[test]
fn clients_are_asked_for_certificates_as_the_mode_says() {
    let Some(curl) = Curl::find() else { return };
    let stranger = Authority::new("stranger").unwrap().client().unwrap();
    // Whether one is served without a certificate, with a stranger's, and with one that is over.
    for (mode, without, strange, over) in [
        ("request-client-cert", true, true, true),
        ("require-any-client-cert", false, true, true),
        ("verify-client-cert-if-given", true, false, false),
        ("require-and-verify-client-cert", false, false, false),
    ] {
        let secured = Secured::start(&format!(", clientcas: [TRUSTED], clientauth: {mode}"));
        let served = |answer: Result<super::Answer, String>| match answer {
            Ok(answer) => {
                assert_eq!(answer.status, 200);
                true
            }
            Err(_) => false,
        };
        let (client, expired) = (
            secured.authority.client(),
            secured.authority.expired_client(),
        );
        assert!(served(secured.ask_as(&curl, &client.unwrap())), "{mode}");
        assert_eq!(served(secured.ask(&curl, &[])), without, "{mode}: none");
        assert_eq!(
            served(secured.ask_as(&curl, &stranger)),
            strange,
            "{mode}: a stranger's"
        );
        assert_eq!(
            served(secured.ask_as(&curl, &expired.unwrap())),
            over,
            "{mode}: expired"
        );
    }
}

#[test]
fn a_missing_client_certificate_is_said_so() {
    let Some(curl) = Curl::find() else { return };
    // What is asked when no mode is given.
    let secured = Secured::start(", clientcas: [TRUSTED]");
    let error = secured.ask(&curl, &["--http1.1"]).unwrap_err();
    assert!(error.contains("alert certificate required"), "{error}");
}

#[test]
fn the_certificate_is_read_again_while_it_serves() {
    let Some(curl) = Curl::find() else { return };
    let mut secured = Secured::start("");
    let directory = secured.wharf.scratch.path().to_owned();
    // A certificate and a key that do not belong together.
    let other = Authority::new("other").unwrap();
    let next = other.server().unwrap();
    fs::write(directory.join("server.cert"), &next.certificate).unwrap();
    secured.wharf.signal(Signal::HUP);
    eventually!(
        secured
            .wharf
            .log()
            .contains("the certificate stays as it was")
    );
    assert!(
        secured.wharf.log().contains("KeyMismatch"),
        "{}",
        secured.wharf.log()
    );
    assert_eq!(secured.ask(&curl, &[]).unwrap().status, 200);
    // The key comes behind.
    fs::write(directory.join("server.key"), &next.key).unwrap();
    secured.wharf.signal(Signal::HUP);
    eventually!(
        secured
            .wharf
            .log()
            .contains("the certificate was read again")
    );
    secured.ask(&curl, &[]).unwrap_err();
    secured.trusted = other.write(&directory).unwrap();
    assert_eq!(secured.ask(&curl, &[]).unwrap().status, 200);
    assert!(secured.wharf.process.is_running());
}

#[test]
fn versions_and_suites_are_those_of_the_configuration() {
    let Some(curl) = Curl::find() else { return };
    let old = ["--tls-max", "1.2"];
    let secured = Secured::start("");
    assert_eq!(secured.ask(&curl, &old).unwrap().status, 200);
    secured.ask(&curl, &["--tls-max", "1.1"]).unwrap_err();
    let secured = Secured::start(", minimumtls: tls1.3");
    assert_eq!(secured.ask(&curl, &[]).unwrap().status, 200);
    secured.ask(&curl, &old).unwrap_err();
    let suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_RSA_WITH_AES_128_CBC_SHA";
    let secured = Secured::start(&format!(", ciphersuites: [{suites}]"));
    let with = |suite| ["--tls-max", "1.2", "--ciphers", suite];
    let answer = secured.ask(&curl, &with("ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert_eq!(answer.unwrap().status, 200);
    secured
        .ask(&curl, &with("ECDHE-ECDSA-AES128-GCM-SHA256"))
        .unwrap_err();
    // Version 1.3 has its own.
    assert_eq!(secured.ask(&curl, &["--tlsv1.3"]).unwrap().status, 200);
}

#[test]
fn half_a_handshake_keeps_nobody_else_out() {
    let Some(curl) = Curl::find() else { return };
    let secured = Secured::start("");
    let address = ("127.0.0.1", secured.wharf.port);
    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    assert_eq!(secured.ask(&curl, &[]).unwrap().status, 200);
    // HTTP in the clear is no handshake, and gets none.
    let plain = curl.ask(&[&secured.wharf.http("/v2/")]);
    plain.unwrap_err();
    drop(silent);
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let scratch = Scratch::new("tls").unwrap();
    let (one, other) = (
        Authority::new("one").unwrap(),
        Authority::new("other").unwrap(),
    );
    let (certificate, _) = one.server().unwrap().write(scratch.path(), "one").unwrap();
    let (_, key) = other
        .server()
        .unwrap()
        .write(scratch.path(), "other")
        .unwrap();
    let start = |certificate: &str, key: &str| {
        let tls = format!("tls: {{certificate: {certificate}, key: {key}}}\n  addr: 127.0.0.1:0");
        let config = write_config(&scratch, &tls);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        let error = run(command.arg("serve").arg(config), REQUEST).unwrap_err();
        format!("{error:#}")
    };
    let (certificate, key) = (text(&certificate), text(&key));
    for (certificate, key, expected) in [
        (
            certificate,
            key,
            "cannot be used: keys may not be consistent: KeyMismatch",
        ),
        (
            certificate,
            certificate,
            "holds no private key that is not encrypted",
        ),
        (key, key, "holds no certificate"),
        (
            "/nowhere",
            key,
            "cannot read /nowhere: No such file or directory",
        ),
    ] {
        let error = start(certificate, key);
        assert!(
            error.contains("exit status: 1") && error.contains(expected),
            "{error}"
        );
    }
}
