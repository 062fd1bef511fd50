//! Small requests that want large work.

use serde_json::json;
use wharfinger_testkit::{Blob, Request, Stopwatch, media_types, sha256};

use crate::spec::{Subject, assert_error, index};

/// The binary under test is not optimised, and the machine may be busy.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

#[test]
fn an_endless_manifest_is_refused_after_its_first_four_mebibytes() {
    let subject = Subject::new("hostile/endless");
    let request = Request::new("PUT", subject.target("manifests/v1"))
        .header("Content-Type", media_types::INDEX)
        .header("Transfer-Encoding", "chunked");
    let mut connection = subject.client.connect().unwrap();
    connection.send_head(&request).unwrap();
    let chunk = vec![b' '; 64 * 1024];
    // 64 MiB at most are offered; the server stops listening long before.
    let sent = (0..1024)
        .take_while(|_| connection.send_chunk(&chunk).is_ok())
        .count();
    assert!(sent < 1024, "all of it was read");
    assert_eq!(connection.read_response(false).unwrap().status(), 413);
}

#[test]
fn bombs_of_json_are_refused_at_the_cost_of_their_bytes() {
    let mut subject = Subject::new("hostile/json");
    let start = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]"#,
        media_types::INDEX
    );
    let many = (0..300_000)
        .map(|n| format!(r#""{n}":"""#))
        .collect::<Vec<_>>()
        .join(",");
    for (what, body, status) in [
        ("deep arrays", "[".repeat(200_000), 400),
        (
            "deep arrays in a field",
            format!("{start},\"x\":{}", "[".repeat(200_000)),
            400,
        ),
        (
            "many annotations",
            format!("{start},\"annotations\":{{{many}}}}}"),
            400,
        ),
        (
            "many values",
            format!("{start},\"x\":[{}0]}}", "0,".repeat(1_000_000)),
            400,
        ),
        (
            "a long text",
            format!("{start},\"x\":\"{}\"}}", "x".repeat(4_000_000)),
            201,
        ),
        (
            "a long number",
            format!("{start},\"x\":{}}}", "9".repeat(1_000_000)),
            400,
        ),
    ] {
        let watch = Stopwatch::start();
        let answer = subject.put_manifest("v1", &Blob::new(media_types::INDEX, body.into()));
        assert!(watch.elapsed() < PATIENCE, "{what}: {:?}", watch.elapsed());
        if what != "a long number" {
            assert_eq!(answer.status(), status, "{what}: {}", answer.text());
        }
        assert!(answer.body.len() < 4096, "{what}: the answer repeats it");
    }
}

#[test]
fn graphs_cost_what_their_own_bytes_cost() {
    let mut subject = Subject::new("hostile/graphs");
    let watch = Stopwatch::start();
    // Each level lists the one below twice: 2^40 paths, if somebody walked them.
    let mut below = subject.push_index("", json!({}));
    for level in 0..40 {
        let manifests = [below.descriptor(), below.descriptor()];
        let fields = json!({"manifests": manifests, "annotations": {"level": level.to_string()}});
        below = subject.push_index("", fields);
    }
    // Two whose subjects are each other cannot be made; one whose subject is its own child can.
    let fields = json!({"manifests": [below.descriptor()], "subject": below.descriptor()});
    subject.push_index("top", fields);
    assert_eq!(subject.get("manifests/top").status(), 200);
    assert!(watch.elapsed() < PATIENCE, "{:?}", watch.elapsed());
    let descriptor = json!({"mediaType": media_types::INDEX, "digest": sha256(b"x"), "size": 1});
    let wide = |count: usize| index(json!({"manifests": vec![descriptor.clone(); count]}));
    assert_error(
        &subject.put_manifest("wide", &wide(10_000)),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
    assert_error(
        &subject.put_manifest("wide", &wide(10_001)),
        400,
        "MANIFEST_INVALID",
    );
}

#[test]
fn content_codings_are_opaque_and_nothing_is_unpacked() {
    let mut subject = Subject::new("hostile/codings");
    // A header of gzip, and then nothing that unpacks.
    let blob = Blob::new(
        "application/gzip",
        [&b"\x1f\x8b\x08\0\0\0\0\0"[..], &[0xff; 100]].concat(),
    );
    let target = subject.target(&format!("blobs/uploads/?digest={}", blob.digest));
    let request = Request::new("POST", target)
        .header("Content-Encoding", "gzip")
        .body(&*blob.bytes);
    let status = subject.send(&request).status();
    assert!([201, 415].contains(&status), "{status}");
    subject.push_blob(&blob);
    let got = subject
        .get(&format!("blobs/{}", blob.digest))
        .expect(200)
        .unwrap();
    assert_eq!(
        (got.body, got.head.header("content-encoding")),
        (blob.bytes, None)
    );
}

#[test]
fn many_ranges_do_not_multiply_the_answer() {
    let mut subject = Subject::new("hostile/ranges");
    let blob = Blob::random(80, 100_000);
    subject.push_blob(&blob);
    let target = subject.target(&format!("blobs/{}", blob.digest));
    let many = format!("bytes={}", vec!["0-"; 1000].join(","));
    for range in [
        &*many,
        "bytes=0-,0-",
        "bytes=-0",
        "bytes=5-2",
        "bytes=18446744073709551616-",
        "bytes=",
        "lines=0-1",
    ] {
        let answer = subject.send(&Request::new("GET", &*target).header("Range", range));
        assert!([200, 206, 416].contains(&answer.status()), "{range:.40}");
        assert!(answer.body.len() <= 2 * blob.bytes.len(), "{range:.40}");
        if answer.status() == 200 {
            assert_eq!(answer.body, blob.bytes);
        }
    }
}

#[test]
fn numbers_of_pages_are_bounded() {
    let mut subject = Subject::new("hostile/numbers");
    subject.push_index("v1", json!({}));
    let referrers = format!("referrers/{}", sha256(b"x"));
    for list in ["tags/list", &referrers] {
        for n in [
            "-1",
            "abc",
            "18446744073709551616",
            "%205",
            "%EF%BC%95",
            "1e3",
        ] {
            let answer = subject.get(&format!("{list}?n={n}"));
            assert_error(&answer, 400, "PAGINATION_NUMBER_INVALID");
        }
        for n in ["0", "1000000000000"] {
            let answer = subject.get(&format!("{list}?n={n}")).expect(200).unwrap();
            assert_eq!(answer.header("link"), None);
        }
    }
}
