//! Names that look like something else.

use std::path::Path;

use wharfinger_testkit::{Image, Request};

use crate::spec::Subject;

/// Names that the grammar allows, and that words of the API or of the tree stand in.
const ODD: [&str; 10] = [
    "odd",
    "odd/blobs",
    "odd/blobs/uploads",
    "odd/manifests/x",
    "odd/tags/list",
    "odd/referrers",
    "odd/a__b",
    "odd/a---b",
    "v2",
    "blobs/sha256",
];

#[test]
fn names_with_the_words_of_routes_are_repositories_of_their_own() {
    let images: Vec<_> = (300..)
        .take(ODD.len())
        .map(|seed| Image::build(seed, &[100]))
        .collect();
    let subjects = ODD.map(|name| Subject::with(name, &[("REGISTRY_LOG_FIELDS_TEST", "odd")]));
    let mut subjects: Vec<_> = subjects.into();
    for (subject, image) in subjects.iter_mut().zip(&images) {
        subject.push_image("v1", image);
    }
    for (subject, image) in subjects.iter_mut().zip(&images) {
        let got = subject.get("manifests/v1").expect(200).unwrap();
        assert_eq!(got.body, image.manifest.bytes);
        let blob = subject.get(&format!("blobs/{}", image.config.digest));
        assert_eq!(blob.expect(200).unwrap().body, image.config.bytes);
        let tags = subject.get("tags/list").expect(200).unwrap();
        assert!(tags.text().contains(r#"["v1"]"#), "{}", tags.text());
        // What the others have is not there.
        let other = &images[0].config.digest;
        if image.config.digest != *other {
            assert_eq!(subject.get(&format!("blobs/{other}")).status(), 404);
        }
    }
    let catalog = subjects[0].send(&Request::new("GET", "/v2/_catalog"));
    let catalog = catalog.expect(200).unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&catalog.body).unwrap();
    let mut sorted = ODD.map(|name| name.replace('/', "\0"));
    sorted.sort();
    let sorted = sorted.map(|name| name.replace('\0', "/"));
    assert_eq!(listed["repositories"], serde_json::json!(sorted));
}

/// Everything that lies below a directory.
fn everything_in(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything_in(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn names_outside_of_the_grammar_leave_nothing_behind() {
    let mut subject = Subject::alone("grammar", &[]);
    subject.push_image("v1", &Image::build(320, &[]));
    let before = everything_in(&subject.root());
    let (tag, name) = ("a".repeat(129), "a".repeat(256));
    let index = crate::spec::index(serde_json::json!({"annotations": {"of": "grammar"}}));
    for path in [
        format!("/v2/{name}/manifests/v1"),
        format!("/v2/grammar/manifests/{tag}"),
        "/v2/grammar/manifests/..".to_owned(),
        "/v2/grammar/manifests/%2e%2e".to_owned(),
        "/v2/grammar/manifests/.hidden".to_owned(),
        "/v2/grammar/_uploads/manifests/v1".to_owned(),
        "/v2/grammar/_manifests/manifests/v1".to_owned(),
        "/v2/grammar/_layers/x/manifests/v1".to_owned(),
        "/v2/_wharfinger/manifests/v1".to_owned(),
        "/v2/a//b/manifests/v1".to_owned(),
        "/v2/./manifests/v1".to_owned(),
        "/v2/../manifests/v1".to_owned(),
        "/v2/a/%2e%2e/b/manifests/v1".to_owned(),
        "/v2/A/manifests/v1".to_owned(),
        "/v2/a___b/manifests/v1".to_owned(),
        "/v2/a..b/manifests/v1".to_owned(),
        "/v2/-a/manifests/v1".to_owned(),
        "/v2/a\u{301}/manifests/v1".to_owned(),
    ] {
        let put = Request::new("PUT", path.as_str())
            .header("Content-Type", index.media_type.as_str())
            .body(&*index.bytes);
        let status = subject.send(&put).status();
        assert!([400, 404].contains(&status), "{path}: {status}");
    }
    let is_ours = |path: &std::path::PathBuf| path.to_string_lossy().contains("/_wharfinger/");
    let after = everything_in(&subject.root());
    let new: Vec<_> = after
        .iter()
        .filter(|path| !before.contains(path) && !is_ours(path))
        .collect();
    assert!(new.is_empty(), "{new:?}");
}
