use wharfinger_oci::{Algorithm, Digest};

use super::*;

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE",
];

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"")
}

/// Every route, and the action that each method has there.
fn table() -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let read = |action| vec![("GET", action), ("HEAD", action)];
    let digest = digest();
    let and = |mut actions: Vec<(&'static str, &'static str)>, more: &[_]| {
        actions.extend_from_slice(more);
        actions
    };
    vec![
        ("/".to_owned(), read("Front")),
        ("/v2".to_owned(), read("Ping")),
        ("/v2/".to_owned(), read("Ping")),
        ("/v2/_catalog".to_owned(), read("ListRepositories")),
        ("/v2/a/b/tags/list".to_owned(), read("ListTags")),
        (format!("/v2/a/b/referrers/{digest}"), read("ListReferrers")),
        ("/v2/_oci/ext/discover".to_owned(), read("ListExtensions")),
        (
            "/v2/a/b/_oci/ext/discover".to_owned(),
            read("ListRepositoryExtensions"),
        ),
        (
            "/v2/a/b/manifests/latest".to_owned(),
            and(
                read("PullManifest"),
                &[("PUT", "PushManifest"), ("DELETE", "DeleteTag")],
            ),
        ),
        (
            format!("/v2/a/b/manifests/{digest}"),
            and(
                read("PullManifest"),
                &[("PUT", "PushManifest"), ("DELETE", "DeleteManifest")],
            ),
        ),
        (
            format!("/v2/a/b/blobs/{digest}"),
            and(read("PullBlob"), &[("DELETE", "DeleteBlob")]),
        ),
        (
            "/v2/a/b/blobs/uploads/".to_owned(),
            vec![("POST", "StartUpload")],
        ),
        (
            "/v2/a/b/blobs/uploads".to_owned(),
            vec![("POST", "StartUpload")],
        ),
        (
            "/v2/a/b/blobs/uploads/1-2".to_owned(),
            and(
                read("ReadUpload"),
                &[
                    ("PATCH", "WriteUpload"),
                    ("PUT", "FinishUpload"),
                    ("DELETE", "CancelUpload"),
                ],
            ),
        ),
    ]
}

fn ask(method: &str, path: &str, query: &str) -> Result<Action, Failure> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    route(&method, path, &Query::parse(query).unwrap())
}

#[test]
fn every_route_knows_its_methods_and_tells_them_to_all_others() {
    for (path, actions) in table() {
        for method in METHODS {
            let expected = actions.iter().find(|(known, _)| *known == method);
            match (ask(method, &path, ""), expected) {
                (Ok(action), Some((_, name))) => {
                    assert!(
                        format!("{action:?}").starts_with(name),
                        "{method} {path}: {action:?}"
                    );
                }
                (Err(failure), None) => {
                    assert_eq!(failure.status(), 405, "{method} {path}");
                    assert_eq!(failure.code().id, "UNSUPPORTED");
                    let allowed = failure.header("allow").unwrap().to_owned();
                    let known: Vec<_> = actions.iter().map(|(method, _)| *method).collect();
                    assert_eq!(allowed, known.join(", "), "{path}");
                }
                (answer, _) => panic!("{method} {path}: {answer:?}"),
            }
        }
    }
}

#[test]
fn other_paths_are_not_there_and_bad_parts_are_named() {
    let short = "sha256:".to_owned() + &"0".repeat(63);
    let long = format!("/v2/{}/tags/list", "a".repeat(256));
    let short_blob = format!("/v2/a/blobs/{short}");
    for (path, status, code) in [
        ("/v1/", 404, "UNSUPPORTED"),
        ("/v2/a", 404, "UNSUPPORTED"),
        ("/v2/a/tags", 404, "UNSUPPORTED"),
        ("/debug/health", 404, "UNSUPPORTED"),
        ("/v2/a/referrers/sha256:0", 400, "DIGEST_INVALID"),
        ("/v2/_uploads/_oci/ext/discover", 400, "NAME_INVALID"),
        ("/v2/A/tags/list", 400, "NAME_INVALID"),
        ("/v2/a//b/tags/list", 400, "NAME_INVALID"),
        ("/v2/a/../b/tags/list", 400, "NAME_INVALID"),
        ("/v2/_uploads/tags/list", 400, "NAME_INVALID"),
        (&long, 400, "NAME_INVALID"),
        ("/v2/a/manifests/.x", 404, "MANIFEST_UNKNOWN"),
        ("/v2/a/manifests/sha256:0", 404, "MANIFEST_UNKNOWN"),
        (&short_blob, 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:..%2f..%2fetc", 400, "NAME_INVALID"),
        ("/v2/a/blobs/uploads/x%20y", 404, "BLOB_UPLOAD_UNKNOWN"),
    ] {
        let failure = ask("GET", path, "").unwrap_err();
        assert_eq!(
            (failure.status().as_u16(), failure.code().id),
            (status, code),
            "{path}"
        );
    }
}

#[test]
fn a_reference_that_is_none_is_unknown_to_readers_and_invalid_for_writers() {
    let long = "a".repeat(129);
    for (reference, code) in [
        (".INVALID_MANIFEST_NAME", "TAG_INVALID"),
        (&long, "TAG_INVALID"),
        ("a%20b", "TAG_INVALID"),
        ("sha256:totallywrong", "DIGEST_INVALID"),
    ] {
        let path = format!("/v2/a/b/manifests/{reference}");
        for (method, expected) in [
            ("GET", (404, "MANIFEST_UNKNOWN")),
            ("HEAD", (404, "MANIFEST_UNKNOWN")),
            ("PUT", (400, code)),
            ("DELETE", (400, code)),
        ] {
            let failure = ask(method, &path, "").unwrap_err();
            let answer = (failure.status().as_u16(), failure.code().id);
            assert_eq!(answer, expected, "{method} {path}");
        }
    }
}

#[test]
fn a_mount_is_read_from_the_query() {
    let uploads = "/v2/a/blobs/uploads/";
    let start = |query: &str| match ask("POST", uploads, query) {
        Ok(Action::StartUpload(start)) => Ok(start.mount),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => Err((failure.status().as_u16(), failure.code().id)),
    };
    let digest = digest();
    let mount = |from: Option<&str>| Mount {
        digest,
        from: from.map(|from| from.parse().unwrap()),
    };
    assert_eq!(
        start(&format!("mount={digest}&from=b/c")),
        Ok(Some(mount(Some("b/c"))))
    );
    assert_eq!(start(&format!("mount={digest}")), Ok(Some(mount(None))));
    assert_eq!(
        start(&format!("mount={digest}&from=")),
        Ok(Some(mount(None)))
    );
    assert_eq!(start("from=b/c"), Ok(None));
    assert_eq!(start("mount=&from=b/c"), Ok(None));
    assert_eq!(
        start("mount=sha256:../x&from=b"),
        Err((400, "DIGEST_INVALID"))
    );
    assert_eq!(start("mount=sha256:../x"), Err((400, "DIGEST_INVALID")));
    assert_eq!(
        start(&format!("mount={digest}&from=../b")),
        Err((400, "NAME_INVALID"))
    );
}

#[test]
fn tags_go_with_a_push_by_digest_and_each_counts_once() {
    let push = |reference: &str, query: &str| {
        let path = format!("/v2/a/manifests/{reference}");
        match ask("PUT", &path, query) {
            Ok(Action::PushManifest(push)) => {
                let tags = push.tags.iter().map(|tag| tag.as_str().to_owned());
                Ok(tags.collect::<Vec<_>>())
            }
            Ok(other) => panic!("{other:?}"),
            Err(failure) => Err((failure.status().as_u16(), failure.code().id)),
        }
    };
    let digest = digest().to_string();
    let names = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let query = |tags: &[String]| {
        let pairs: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        pairs.join("&")
    };
    assert_eq!(push(&digest, ""), Ok(vec![]));
    assert_eq!(
        push(&digest, "tag=b&tag=a&tag=b"),
        Ok(vec!["b".into(), "a".into()])
    );
    assert_eq!(push(&digest, &query(&names(64))), Ok(names(64)));
    assert_eq!(
        push(&digest, &query(&names(65))),
        Err((414, "NAME_INVALID"))
    );
    assert_eq!(push(&digest, "tag=a&tag=.b"), Err((400, "TAG_INVALID")));
    assert_eq!(push(&digest, "tag="), Err((400, "TAG_INVALID")));
    // To a push by tag the pairs mean nothing.
    assert_eq!(push("v1", "tag=.b"), Ok(vec![]));
}
