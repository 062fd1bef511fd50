//! Small requests that want large work.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use wharfinger_testkit::{
    Blob, RegistryConfig, Request, Scratch, Stopwatch, media_types, run, sha256, tell,
};

use super::referrers::plant;
use crate::setup::wharfinger_with;
use crate::spec::{Subject, assert_error, index};

/// The binary under test is not optimised, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many indexes hang on each other: whoever calls itself for each has no stack for them.
const DEPTH: usize = 10_000;

#[test]
fn an_endless_manifest_is_refused_after_its_first_four_mebibytes() {
    let subject = Subject::alone("hostile/endless", &[]);
    let before = subject.resident_kib();
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
    let more = subject.resident_kib().saturating_sub(before);
    assert!(more < 16 << 10, "{more} KiB more");
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
            201,
        ),
    ] {
        let watch = Stopwatch::start();
        let answer = subject.put_manifest("v1", &Blob::new(media_types::INDEX, body.into()));
        assert!(watch.elapsed() < PATIENCE, "{what}: {:?}", watch.elapsed());
        assert_eq!(answer.status(), status, "{what}: {}", answer.text());
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
    // These are more than 4 MiB.
    assert_eq!(subject.put_manifest("wide", &wide(50_000)).status(), 413);
}

#[test]
fn content_codings_are_opaque_and_nothing_is_unpacked() {
    let mut subject = Subject::new("hostile/codings");
    // A header of gzip, and then nothing that unpacks.
    let blob = Blob::new(
        "application/gzip",
        [&b"\x1f\x8b\x08\0\0\0\0\0"[..], &[0xff; 100]].concat(),
    );
    let push = subject.target(&format!("blobs/uploads/?digest={}", blob.digest));
    let put = format!("{}&digest={}", subject.start(), blob.digest);
    for (method, target, status) in [
        ("POST", push, 201),
        ("PUT", put, 201),
        ("PATCH", subject.start(), 202),
    ] {
        let request = Request::new(method, target).header("Content-Encoding", "gzip");
        let answer = subject.send(&request.body(&*blob.bytes));
        assert_eq!(answer.status(), status, "{method}: {}", answer.text());
        if method == "PATCH" {
            assert_eq!(
                answer.header("range"),
                Some(&*format!("0-{}", blob.bytes.len() - 1))
            );
        }
    }
    // A manifest is read, and these bytes are none.
    let manifest = Request::new("PUT", subject.target("manifests/v1"))
        .header("Content-Type", media_types::INDEX)
        .header("Content-Encoding", "gzip");
    let answer = subject.send(&manifest.body(&*blob.bytes));
    assert_error(&answer, 400, "MANIFEST_INVALID");
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
    let mut subject = Subject::alone("hostile/numbers", &[]);
    subject.push_index("v1", json!({}));
    let before = subject.resident_kib();
    let referrers = format!("referrers/{}", sha256(b"x"));
    // A number above the cap of the catalog is refused, as in Distribution; elsewhere the cap counts.
    for (list, most) in [
        ("tags/list", 200),
        (&*referrers, 200),
        ("../../_catalog", 400),
    ] {
        for n in [
            "-1",
            "abc",
            "18446744073709551616",
            "%205",
            "%EF%BC%95",
            "1e3",
        ] {
            let answer = subject.send(&Request::new("GET", target(&subject, list, n)));
            assert_error(&answer, 400, "PAGINATION_NUMBER_INVALID");
        }
        for (n, status) in [("0", 200), ("1000000000000", most)] {
            let answer = subject.send(&Request::new("GET", target(&subject, list, n)));
            assert_eq!(answer.status(), status, "{list} {n}");
            assert_eq!(answer.header("link"), None);
            if n == "0" {
                assert!(answer.text().contains("[]"), "{list}: {}", answer.text());
            }
        }
    }
    let more = subject.resident_kib().saturating_sub(before);
    assert!(more < 8 << 10, "{more} KiB more");
}

/// The page `n` of a list of the repository, or of the catalog.
fn target(subject: &Subject, list: &str, n: &str) -> String {
    match list.strip_prefix("../../") {
        Some(list) => format!("/v2/{list}?n={n}"),
        None => subject.target(&format!("{list}?n={n}")),
    }
}

#[test]
fn a_chain_of_ten_thousand_indexes_costs_a_push_of_one_and_is_collected_step_by_step() {
    let _machine = crate::setup::machine();
    let scratch = Scratch::new("chain").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let none = [("WHARFINGER_DURABILITY", "none".to_owned())];
    let mut server = wharfinger_with(&config, &scratch, &none).unwrap();
    let mut top = index(json!({}));
    for _ in 1..DEPTH {
        plant(&config.root.join("docker/registry/v2"), "chain", &top);
        top = index(json!({"manifests": [top.descriptor()]}));
    }
    let put = Request::new("PUT", "/v2/chain/manifests/top")
        .header("Content-Type", top.media_type.as_str())
        .body(&*top.bytes);
    let mut client = server.client();
    let watch = Stopwatch::start();
    client.send(&put).unwrap().expect(201).unwrap();
    let pushed = watch.elapsed();
    assert!(pushed < Duration::from_secs(1), "{pushed:?}");
    let got = client.send(&Request::new("GET", "/v2/chain/manifests/top"));
    assert_eq!(got.unwrap().expect(200).unwrap().body, top.bytes);
    server.terminate(PATIENCE).unwrap();
    let watch = Stopwatch::start();
    let mut collect = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    collect.args(["garbage-collect", "--delete-untagged"]);
    let told = run(collect.arg(scratch.join("config.yml")), 3 * PATIENCE).unwrap();
    let collected = watch.elapsed();
    tell(&format!(
        "a chain of {DEPTH} indexes: its top pushed in {pushed:?}, collected in {collected:?}"
    ));
    // Each was gone through once, and stays.
    assert_eq!(told.matches("marking manifest").count(), DEPTH);
    assert!(
        told.contains("freed 0 bytes: 0 blobs, 0 untagged manifests"),
        "{}",
        &told[told.len() - 300..]
    );
    // The tag is gone, and with it everything that it led to.
    server.restart().unwrap();
    let delete = Request::new("DELETE", "/v2/chain/manifests/top");
    server.client().send(&delete).unwrap().expect(202).unwrap();
    server.terminate(PATIENCE).unwrap();
    let mut collect = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    collect.args(["garbage-collect", "--delete-untagged"]);
    let told = run(collect.arg(scratch.join("config.yml")), 3 * PATIENCE).unwrap();
    let freed = format!("{DEPTH} blobs, {DEPTH} untagged manifests");
    assert!(told.contains(&freed), "{}", &told[told.len() - 300..]);
}
