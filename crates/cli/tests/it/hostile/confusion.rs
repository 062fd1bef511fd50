//! Bytes, names and requests that could be read in two ways.

use serde_json::json;
use wharfinger_testkit::{Blob, Image, Request, media_types, sha256};

use crate::spec::{Subject, assert_error, index};

#[test]
fn what_could_be_read_as_image_and_as_index_is_refused() {
    let mut subject = Subject::new("hostile/types");
    let config = Image::build(70, &[]).config;
    subject.push_blob(&config);
    let both = json!({
        "schemaVersion": 2, "config": config.descriptor(), "layers": [], "manifests": [],
    });
    for media_type in [media_types::MANIFEST, media_types::INDEX] {
        let mut typed = both.clone();
        for _ in 0..2 {
            let manifest = Blob::new(media_type, typed.to_string().into_bytes());
            assert_error(
                &subject.put_manifest("v1", &manifest),
                400,
                "MANIFEST_INVALID",
            );
            typed["mediaType"] = json!(media_type);
        }
    }
    let plain = index(json!({}));
    let other = Blob {
        media_type: media_types::MANIFEST.to_owned(),
        ..plain.clone()
    };
    assert_error(&subject.put_manifest("v1", &other), 400, "MANIFEST_INVALID");
    let untyped = Request::new("PUT", subject.target("manifests/v1")).body(&*plain.bytes);
    assert_error(&subject.send(&untyped), 400, "MANIFEST_INVALID");
    assert_eq!(subject.get("manifests/v1").status(), 404);
}

#[test]
fn bytes_that_parsers_disagree_on_are_refused_or_kept_as_they_are() {
    let mut subject = Subject::new("hostile/bytes");
    let start = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}""#,
        media_types::INDEX
    );
    let cases: [(&str, Vec<u8>); 9] = [
        (
            "a second document",
            format!(r#"{start},"manifests":[]}}{{}}"#).into(),
        ),
        (
            "a key twice",
            format!(r#"{start},"manifests":[],"manifests":[]}}"#).into(),
        ),
        (
            "a key in another case",
            format!(r#"{start},"manifests":[],"Manifests":[]}}"#).into(),
        ),
        (
            "a mark of byte order",
            format!("\u{feff}{start},\"manifests\":[]}}").into(),
        ),
        ("a NUL", format!("{start},\"manifests\":[]}}\0").into()),
        (
            "no UTF-8",
            [start.as_bytes(), b",\"manifests\":[],\"x\":\"\xff\"}"].concat(),
        ),
        (
            "a number too large",
            format!(r#"{start},"manifests":[],"x":1e999}}"#).into(),
        ),
        (
            "a surrogate alone",
            format!(r#"{start},"manifests":[],"x":"\ud800"}}"#).into(),
        ),
        (
            "minus zero",
            format!(r#"{start},"manifests":[],"x":-0}}"#).into(),
        ),
    ];
    for (what, bytes) in cases {
        let manifest = Blob::new(media_types::INDEX, bytes);
        let answer = subject.put_manifest("v1", &manifest);
        match answer.status() {
            201 => assert_eq!(subject.get("manifests/v1").body, manifest.bytes, "{what}"),
            _ => assert_error(&answer, 400, "MANIFEST_INVALID"),
        }
    }
}

#[test]
fn names_and_ids_never_lead_to_other_places() {
    let mut subject = Subject::new("hostile/names");
    let long = "a".repeat(4096);
    let blob = Blob::random(71, 10);
    for name in [
        "..",
        ".",
        "a/..",
        "a/../b",
        "a/./b",
        "a//b",
        "a/_uploads",
        "_wharfinger",
        ".sync",
        "A",
        "a%2fb",
        "a%00",
        "a;b",
        &long,
    ] {
        for (method, below) in [
            ("GET", "tags/list".to_owned()),
            ("POST", format!("blobs/uploads/?digest={}", blob.digest)),
            ("GET", format!("blobs/{}", blob.digest)),
        ] {
            let request = Request::new(method, format!("/v2/{name}/{below}")).body(&*blob.bytes);
            let status = subject.send(&request).status();
            assert!(
                [400, 404, 414].contains(&status),
                "{method} {name} {below}: {status}"
            );
        }
    }
    for id in ["..", "../../x", "..%2f..%2fx", "%2e%2e", "x%00", "a%20b"] {
        let status = subject.get(&format!("blobs/uploads/{id}")).status();
        assert!([400, 404].contains(&status), "{id}: {status}");
    }
    let mut names: Vec<_> = std::fs::read_dir(subject.root())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    names.sort();
    assert!(
        names
            .iter()
            .all(|it| ["_wharfinger", "blobs", "repositories"].contains(&it.to_str().unwrap())),
        "{names:?}"
    );
}

#[test]
fn a_planted_link_is_not_followed() {
    let mut subject = Subject::new("hostile/planted");
    let image = Image::build(72, &[]);
    subject.push_image("v1", &image);
    let outside = subject.root().join("../../../outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("data"), b"a secret").unwrap();
    let repositories = subject.root().join("repositories");
    std::os::unix::fs::symlink(
        repositories.join("hostile/planted"),
        repositories.join("linked"),
    )
    .unwrap();
    let digest = sha256(b"a secret");
    let hex = digest.strip_prefix("sha256:").unwrap();
    let place = subject.root().join(format!("blobs/sha256/{}", &hex[..2]));
    std::fs::create_dir_all(&place).unwrap();
    std::os::unix::fs::symlink(&outside, place.join(hex)).unwrap();
    let link = repositories.join(format!("hostile/planted/_layers/sha256/{hex}"));
    std::fs::create_dir_all(&link).unwrap();
    std::fs::write(link.join("link"), &digest).unwrap();
    let through = subject.send(&Request::new("GET", "/v2/linked/manifests/v1"));
    assert_ne!(through.status(), 200);
    let secret = subject.get(&format!("blobs/{digest}"));
    assert!(secret.status() >= 400 && !secret.text().contains("a secret"));
}

#[test]
fn weak_algorithms_are_refused_wherever_a_digest_stands() {
    let mut subject = Subject::new("hostile/weak");
    for weak in [
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ] {
        assert_eq!(subject.get(&format!("blobs/{weak}")).status(), 400);
        assert_eq!(subject.get(&format!("referrers/{weak}")).status(), 400);
        let descriptor = json!({"mediaType": media_types::MANIFEST, "digest": weak, "size": 0});
        for fields in [
            json!({"subject": descriptor}),
            json!({"manifests": [descriptor]}),
        ] {
            assert_error(
                &subject.put_manifest("v1", &index(fields)),
                400,
                "MANIFEST_INVALID",
            );
        }
    }
}

#[test]
fn other_origins_are_not_let_in_and_a_blob_is_no_page() {
    let mut subject = Subject::new("hostile/origins");
    let page = Blob::new("text/html", b"<script>alert(1)</script>".to_vec());
    subject.push_blob(&page);
    for method in ["GET", "OPTIONS"] {
        let request = Request::new(method, subject.target(&format!("blobs/{}", page.digest)))
            .header("Origin", "https://evil.example")
            .header("Access-Control-Request-Method", "DELETE");
        let answer = subject.send(&request);
        let headers = &answer.head.headers;
        assert!(
            !headers
                .iter()
                .any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"))
        );
        assert!(answer.header("set-cookie").is_none());
        if method == "GET" {
            assert_eq!(
                answer.header("content-type"),
                Some("application/octet-stream")
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
}
