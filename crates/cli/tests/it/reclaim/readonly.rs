//! A read-only registry changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::SystemTime;

use wharfinger_testkit::{Blob, Registry, Request};

use super::*;

/// Every file below `root` with its bytes and time.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (fs::read(&path).unwrap(), modified));
            }
        }
    }
    found
}

/// Sends every request that would change something.
fn refuses_all(registry: &mut Registry, image: &Image, upload: &str) {
    let blob = Blob::random(9, 100);
    let (manifest, config_blob) = (&image.manifest, &image.config);
    let digest = &blob.digest;
    let separator = if upload.contains('?') { '&' } else { '?' };
    for (method, target, body) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned(), &b""[..]),
        (
            "POST",
            format!("/v2/a/blobs/uploads/?digest={digest}"),
            &blob.bytes,
        ),
        (
            "POST",
            format!("/v2/b/blobs/uploads/?mount={}&from=a", config_blob.digest),
            b"",
        ),
        ("PATCH", upload.to_owned(), b" and gone on with"),
        ("PUT", format!("{upload}{separator}digest={digest}"), b""),
        ("DELETE", upload.to_owned(), b""),
        ("PUT", "/v2/a/manifests/v2".to_owned(), &manifest.bytes),
        (
            "PUT",
            format!("/v2/a/manifests/{}", manifest.digest),
            &manifest.bytes,
        ),
        (
            "DELETE",
            format!("/v2/a/manifests/{}", manifest.digest),
            b"",
        ),
        ("DELETE", "/v2/a/manifests/v1".to_owned(), b""),
        ("DELETE", format!("/v2/a/blobs/{}", config_blob.digest), b""),
    ] {
        let request = Request::new(method, target.clone())
            .header("Content-Type", manifest.media_type.as_str())
            .body(body);
        let answer = registry.send(&request).unwrap();
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status(), 405, "{method} {target}: {told}");
        assert!(
            told.contains("\"UNSUPPORTED\"") && told.contains("read-only"),
            "{told}"
        );
        assert!(answer.header("allow").is_some(), "{method} {target}");
    }
}

#[test]
fn every_request_that_would_change_something_is_refused_and_changes_nothing() {
    let scratch = Scratch::new("read-only").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let image = Image::build(1, &[3000]);
    let mut registry = server.registry();
    registry.push_image("a", "v1", &image).unwrap();
    let upload = registry.start_upload("a").unwrap();
    let upload = registry.append(&upload, b"begun").unwrap();
    let path = upload.split('?').next().unwrap().to_owned();
    server.terminate(LONG).unwrap();
    let before = snapshot(&config.root);

    let file = written(&config, &scratch, "plain.yml", "").unwrap();
    let read_only = written(&config, &scratch, "read-only.yml", READ_ONLY).unwrap();
    let given = "REGISTRY_STORAGE_MAINTENANCE_READONLY";
    for (file, variable) in [
        (&read_only, None),
        (
            &file,
            Some((given.to_owned(), "{enabled: true}".to_owned())),
        ),
        (&file, Some((format!("{given}_ENABLED"), "true".to_owned()))),
    ] {
        let arguments = vec!["serve".into(), file.into()];
        let variables = variable.into_iter().collect();
        let log = scratch.join("log");
        let server = Server::start(BINARY, arguments, variables, server.address(), &log).unwrap();
        let mut registry = server.registry();
        refuses_all(&mut registry, &image, &upload);
        registry.check_image("a", "v1", &image).unwrap();
        assert_eq!(registry.tags("a").unwrap(), ["v1"]);
        assert_eq!(registry.catalog().unwrap(), ["a"]);
        assert_eq!(registry.status("GET", &path).unwrap(), 204);
        drop(server);
        let after = snapshot(&config.root);
        assert!(
            before == after,
            "{:?} became {:?}",
            before.keys(),
            after.keys()
        );
    }

    // And the upload goes on where it was, once that is allowed again.
    server.restart().unwrap();
    server
        .registry()
        .append(&upload, b" and gone on with")
        .unwrap();
}
