//! Digests that are wrong, and texts that are no digests, wherever a client can put one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;
use std::time::Duration;

use wharfinger_testkit::{
    Blob, Process, Registry, RegistryConfig, Request, Response, Scratch, Signal, media_types,
    sha256, tool, wait_until,
};

use crate::setup::wharfinger;
use crate::tree::Tree;

const REPOSITORY: &str = "team/app";

/// Texts that are no digests of ours. Only `%25` and the like are escaped here, for the URL.
fn no_digests() -> Vec<String> {
    let hex = "ab".repeat(32);
    let mut texts: Vec<String> = [
        "sha256:../../../../etc/passwd",
        "sha256:..%2f..%2fetc%2fpasswd",
        "sha256:%2e%2e",
        "..%2f..%2fetc",
        "sha256:",
        "sha256",
        ":",
        "sha256:%00",
        "sha256+b64:q83vASNFZ4k",
        "../sha256:aa",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sha256:-",
        "sha512:ab",
        "sha384:",
        "latest%00",
        "sha256:%zz",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push(format!("sha256:{}", hex.to_uppercase()));
    texts.push(format!("SHA256:{hex}"));
    texts.push(format!("sha256:{}", &hex[1..]));
    texts.push(format!("sha256:{hex}a"));
    texts.push(format!("sha256:{hex}%00"));
    texts.push(format!("sha256:{hex}/"));
    texts.push(format!("sha256:{hex}%20"));
    texts.push(format!("../sha256:{hex}"));
    texts.push(format!("sha512:{hex}"));
    // Digits that are not ASCII.
    texts.push(format!("sha256:{}", "%D9%A1".repeat(64)));
    texts
}

fn assert_refused(response: &Response, what: &str) {
    assert!(
        [400, 404].contains(&response.status()),
        "{what}: {} {}",
        response.status(),
        response.text()
    );
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    assert!(
        body["errors"][0]["code"].is_string(),
        "{what}: no OCI error: {}",
        response.text()
    );
}

fn send(registry: &mut Registry, request: &Request) -> Response {
    registry.send(request).unwrap()
}

/// What stands between quotes: the paths of the calls.
fn paths(calls: &str) -> impl Iterator<Item = &str> {
    calls
        .lines()
        .flat_map(|call| call.split('"').skip(1).step_by(2))
}

/// Every place of the API that takes a digest.
fn try_everywhere(registry: &mut Registry, text: &str) {
    for method in ["GET", "HEAD", "DELETE"] {
        for route in ["blobs", "manifests", "referrers"] {
            let target = format!("/v2/{REPOSITORY}/{route}/{text}");
            let response = send(registry, &Request::new(method, &target));
            assert!(
                (400..500).contains(&response.status()),
                "{method} {target}: {}",
                response.status()
            );
            if method == "GET" {
                assert_refused(&response, &target);
            }
        }
    }
    let upload = registry.start_upload(REPOSITORY).unwrap();
    let upload = registry.append(&upload, b"some bytes").unwrap();
    let finish = Request::new("PUT", format!("{upload}&digest={text}"));
    let answer = send(registry, &finish);
    assert_eq!(answer.status(), 400, "finish {text}");
    send(registry, &Request::new("DELETE", &upload))
        .expect(204)
        .unwrap();
    let single = Request::new(
        "POST",
        format!("/v2/{REPOSITORY}/blobs/uploads/?digest={text}"),
    )
    .body(&b"x"[..]);
    assert_eq!(send(registry, &single).status(), 400, "single POST {text}");
    let mount = Request::new(
        "POST",
        format!("/v2/{REPOSITORY}/blobs/uploads/?mount={text}&from=other/app"),
    );
    assert_eq!(send(registry, &mount).status(), 400, "mount {text}");
    let body = text.replace('%', "");
    for member in ["config", "layers", "subject", "manifests"] {
        let descriptor =
            serde_json::json!({"mediaType": "application/octet-stream", "digest": body, "size": 1});
        let mut manifest =
            serde_json::json!({"schemaVersion": 2, "mediaType": media_types::MANIFEST});
        if member == "manifests" {
            manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_types::INDEX, "manifests": [descriptor]});
        } else {
            let good = serde_json::json!({"mediaType": "application/octet-stream", "digest": sha256(b""), "size": 0});
            manifest["config"] = good.clone();
            manifest["layers"] = serde_json::json!([good]);
            manifest[member] = if member == "layers" {
                serde_json::json!([descriptor])
            } else {
                descriptor
            };
        }
        let kind = manifest["mediaType"].as_str().unwrap().to_owned();
        let put = Request::new("PUT", format!("/v2/{REPOSITORY}/manifests/bad"))
            .header("Content-Type", kind)
            .body(manifest.to_string());
        let response = send(registry, &put);
        assert_eq!(
            response.status(),
            400,
            "{member} {text}: {}",
            response.text()
        );
        assert_refused(&response, text);
    }
}

#[test]
fn what_is_no_digest_is_refused_everywhere_and_no_path_leads_out() {
    let scratch = Scratch::new("digests").unwrap();
    let root = scratch.make("data").unwrap();
    let mut server = wharfinger(&RegistryConfig::new(&root), &scratch).unwrap();
    let trace = scratch.join("trace");
    let strace = tool("strace").map(|strace| {
        let mut command = Command::new(strace);
        command
            .args(["-f", "-e", "trace=%file", "-o"])
            .arg(&trace)
            .arg("-p");
        command.arg(server.process().unwrap().id().to_string());
        let process = Process::spawn(&mut command, &scratch.join("strace.log")).unwrap();
        // It traces once it has opened its output; before that, calls would go unseen.
        assert!(wait_until(Duration::from_secs(20), || {
            server.registry().status("GET", "/v2/_catalog").unwrap();
            std::fs::metadata(&trace).is_ok_and(|trace| trace.len() > 0)
        }));
        process
    });
    let mut registry = server.registry();
    registry
        .push_blob(REPOSITORY, &Blob::random(1, 100))
        .unwrap();
    send(
        &mut registry,
        &Request::new(
            "POST",
            format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", sha256(b"")),
        ),
    )
    .expect(201)
    .unwrap();
    for text in no_digests() {
        try_everywhere(&mut registry, &text);
    }
    let tree = Tree::scan(&root).unwrap();
    assert_eq!(
        (tree.blobs, tree.uploads),
        (1, 0),
        "the one blob that was pushed; the digest of nothing counts apart"
    );
    if let Some(mut strace) = strace {
        strace.signal(Signal::INT).unwrap();
        strace.wait(Duration::from_secs(20)).unwrap();
        let calls = std::fs::read_to_string(&trace).unwrap();
        let outside: Vec<&str> = paths(&calls)
            .filter(|path| path.split('/').any(|part| part == "..") || path.starts_with("/etc/"))
            .collect();
        assert!(calls.lines().count() > 50, "strace has seen the work");
        assert_eq!(outside, [""; 0]);
    }
}

#[test]
fn bytes_under_a_wrong_digest_are_refused_whichever_way_they_come() {
    let scratch = Scratch::new("digests").unwrap();
    let root = scratch.make("data").unwrap();
    let server = wharfinger(&RegistryConfig::new(&root), &scratch).unwrap();
    let mut registry = server.registry();
    let blob = Blob::random(1, 100_000);
    let others = [
        sha256(b"other"),
        format!("sha512:{}", "ab".repeat(64)),
        format!("sha384:{}", "cd".repeat(48)),
    ];
    for other in &others {
        let single = Request::new(
            "POST",
            format!("/v2/{REPOSITORY}/blobs/uploads/?digest={other}"),
        )
        .body(&*blob.bytes);
        let start = registry.start_upload(REPOSITORY).unwrap();
        let put_with_body =
            Request::new("PUT", format!("{start}&digest={other}")).body(&*blob.bytes);
        let start = registry.start_upload(REPOSITORY).unwrap();
        let patched = registry.append(&start, &blob.bytes).unwrap();
        let put = Request::new("PUT", format!("{patched}&digest={other}"));
        for request in [single, put_with_body, put] {
            let response = send(&mut registry, &request);
            assert_eq!(response.status(), 400);
            assert!(
                response.text().contains("DIGEST_INVALID"),
                "{}",
                response.text()
            );
        }
        for digest in [other, &blob.digest] {
            assert_eq!(
                registry
                    .status("GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"))
                    .unwrap(),
                404
            );
        }
    }
    let image = wharfinger_testkit::Image::build(1, &[100]);
    registry.push_image(REPOSITORY, "v1", &image).unwrap();
    let wrong = Request::new("PUT", format!("/v2/{REPOSITORY}/manifests/{}", others[0]))
        .header("Content-Type", media_types::MANIFEST)
        .body(image.manifest.bytes.as_slice());
    let response = send(&mut registry, &wrong);
    assert_eq!(response.status(), 400);
    assert!(
        response.text().contains("DIGEST_INVALID"),
        "{}",
        response.text()
    );
    assert_eq!(
        registry
            .status("GET", &format!("/v2/{REPOSITORY}/manifests/{}", others[0]))
            .unwrap(),
        404
    );
}
