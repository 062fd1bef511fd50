//! cosign: signs and attests with a key, and verifies, under tags and through referrers.
//!
//! Nothing leaves the machine: no transparency log, and a trusted root that trusts nobody.

use std::fs;

use anyhow::Result;

use super::dock::Dock;
use super::program::Program;
use crate::setup::machine;

/// Without one cosign asks the network for it, even where only a key counts.
const TRUSTED_ROOT: &str =
    r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;

struct Cosign(Program);

impl Cosign {
    fn find(dock: &Dock) -> Result<Option<Self>> {
        let Some(program) = Program::find(&dock.scratch, "cosign", &[])? else {
            return Ok(None);
        };
        let program = program
            .with("COSIGN_PASSWORD", "")
            .with("COSIGN_EXPERIMENTAL", "1");
        fs::write(program.home().join("trusted.json"), TRUSTED_ROOT)?;
        fs::write(program.home().join("claim.json"), r#"{"floats":true}"#)?;
        program.run(&["generate-key-pair"])?;
        program.run(&["generate-key-pair", "--output-key-prefix", "other"])?;
        Ok(Some(Self(program)))
    }

    fn sign(&self, image: &str, options: &[&str]) -> Result<String> {
        let sign = ["sign", "--yes", "--key=cosign.key", "--tlog-upload=false"];
        self.0.run(&[&sign[..], options, &[image]].concat())
    }

    fn attest(&self, image: &str, options: &[&str]) -> Result<String> {
        let attest = ["attest", "--yes", "--key=cosign.key", "--tlog-upload=false"];
        let claim = ["--type=custom", "--predicate=claim.json"];
        self.0
            .run(&[&attest, &claim[..], options, &[image]].concat())
    }

    /// Verifies by `command` with the public key `key`.
    fn verify(&self, command: &str, key: &str, image: &str, options: &[&str]) -> Result<String> {
        let key = format!("--key={key}.pub");
        let root = ["--insecure-ignore-tlog", "--trusted-root=trusted.json"];
        self.0
            .run(&[&[command, &key], &root[..], options, &[image]].concat())
    }
}

#[test]
fn cosign_signs_attests_and_verifies_under_tags() {
    let mut dock = Dock::open("cosign").unwrap();
    let Some(cosign) = Cosign::find(&dock).unwrap() else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("signed", "v1", 1500).unwrap();
    let digest = &image.manifest.digest;
    let name = dock.name(&format!("signed@{digest}"));

    // What is not signed yet does not verify.
    assert!(cosign.verify("verify", "cosign", &name, &[]).is_err());
    cosign.sign(&name, &[]).unwrap();
    cosign.sign(&name, &["-a", "second=yes"]).unwrap();
    cosign.attest(&name, &[]).unwrap();
    let under = digest.replace(':', "-");
    assert_eq!(
        dock.tags("signed").unwrap(),
        [format!("{under}.att"), format!("{under}.sig"), "v1".into()]
    );

    let verified = cosign.verify("verify", "cosign", &name, &[]).unwrap();
    assert!(verified.contains(digest.as_str()), "{verified}");
    let custom = ["--type=custom"];
    cosign
        .verify("verify-attestation", "cosign", &name, &custom)
        .unwrap();
    assert!(cosign.verify("verify", "other", &name, &[]).is_err());
}

#[test]
fn cosign_signs_attests_and_verifies_through_referrers() {
    let mut dock = Dock::open("referrers").unwrap();
    let Some(cosign) = Cosign::find(&dock).unwrap() else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("referred", "v1", 1510).unwrap();
    let name = dock.name(&format!("referred@{}", image.manifest.digest));
    let untouched = dock.name("untouched");

    cosign
        .sign(&name, &["--registry-referrers-mode=oci-1-1"])
        .unwrap();
    cosign.attest(&name, &["--new-bundle-format"]).unwrap();
    let referrers = ["--experimental-oci11"];
    cosign
        .verify("verify", "cosign", &name, &referrers)
        .unwrap();
    let bundle = ["--new-bundle-format", "--type=custom"];
    cosign
        .verify("verify-attestation", "cosign", &name, &bundle)
        .unwrap();
    // The registry lists them: no tag stands in for that.
    dock.expect_answer("GET", "/v2/referred/referrers/", 200);
    assert_eq!(dock.tags("referred").unwrap(), ["v1"]);
    for (command, options) in [
        ("verify", &referrers[..]),
        ("verify-attestation", &bundle[..]),
    ] {
        assert!(cosign.verify(command, "other", &name, options).is_err());
        let unsigned = format!("{untouched}@{}", image.manifest.digest);
        assert!(
            cosign
                .verify(command, "cosign", &unsigned, options)
                .is_err()
        );
    }
}
