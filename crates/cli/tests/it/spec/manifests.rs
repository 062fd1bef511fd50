//! Push: manifests.

use serde_json::json;
use wharfinger_testkit::{Blob, Image, Request, media_types, sha256};

use super::{Subject, assert_error, index, json_of, location, sha512_of, values};

/// 4 MiB: what clients and registries should expect of a manifest.
const MOST: usize = 4 * 1024 * 1024;

#[test]
fn a_push_is_201_with_a_location_that_can_be_pulled_and_the_digest() {
    let mut subject = Subject::new("manifests/push");
    let image = Image::build(30, &[2048]);
    subject.push_image("v0", &image);
    for reference in ["v1", &image.manifest.digest] {
        let created = subject
            .put_manifest(reference, &image.manifest)
            .expect(201)
            .unwrap();
        assert_eq!(
            created.header("docker-content-digest"),
            Some(&*image.manifest.digest)
        );
        let got = subject.send(&Request::new("GET", location(&created)));
        assert_eq!(got.expect(200).unwrap().body, image.manifest.bytes);
    }
}

#[test]
fn the_bytes_are_kept_as_they_were_sent() {
    let mut subject = Subject::new("manifests/bytes");
    let text = format!(
        "\n{{ \"manifests\" : [ ],\t\"mediaType\": \"{}\",\r\n \"schemaVersion\":2, \"x\": 1.50e+1, \"x\": \"\\u0041\" }}  ",
        media_types::INDEX
    );
    let odd = Blob::new(media_types::INDEX, text.into_bytes());
    subject.put_manifest("odd", &odd).expect(201).unwrap();
    assert_eq!(subject.get("manifests/odd").body, odd.bytes);
}

#[test]
fn parameters_of_the_content_type_do_not_matter() {
    let mut subject = Subject::new("manifests/parameters");
    let index = index(json!({}));
    let request = Request::new("PUT", subject.target("manifests/v1"))
        .header(
            "Content-Type",
            format!("{}; charset=utf-8", media_types::INDEX),
        )
        .body(&*index.bytes);
    subject.send(&request).expect(201).unwrap();
    let got = subject.get("manifests/v1").expect(200).unwrap();
    assert_eq!(got.header("content-type"), Some(media_types::INDEX));
}

#[test]
fn a_digest_of_other_bytes_is_400() {
    let mut subject = Subject::new("manifests/wrong");
    for digest in [sha256(b"other"), sha512_of(b"other")] {
        let answer = subject.put_manifest(&digest, &index(json!({})));
        assert_error(&answer, 400, "DIGEST_INVALID");
        assert_eq!(subject.get(&format!("manifests/{digest}")).status(), 404);
    }
}

#[test]
fn a_push_by_a_digest_of_another_algorithm_is_named_by_it() {
    let mut subject = Subject::new("manifests/sha512");
    let index = index(json!({"annotations": {"of": "sha512"}}));
    let digest = sha512_of(&index.bytes);
    let created = subject.put_manifest(&digest, &index).expect(201).unwrap();
    assert_eq!(created.header("docker-content-digest"), Some(&*digest));
    assert_eq!(
        subject
            .get(&format!("manifests/{digest}"))
            .expect(200)
            .unwrap()
            .body,
        index.bytes
    );
}

#[test]
fn missing_content_is_refused_with_a_code_for_each() {
    let mut subject = Subject::new("manifests/missing");
    let image = Image::build(31, &[2048, 4096]);
    let refused = subject.put_manifest("v1", &image.manifest);
    assert_error(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
    let errors = json_of(&refused)["errors"].clone();
    let details: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["detail"].clone())
        .collect();
    let wanted: Vec<_> = image.blobs().map(|blob| json!(blob.digest)).collect();
    assert_eq!(details, wanted);
    let child = json!({"manifests": [image.manifest.descriptor()]});
    assert_error(
        &subject.put_manifest("v1", &index(child)),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
    assert_eq!(subject.get("manifests/v1").status(), 404);
}

#[test]
fn content_of_another_repository_counts_as_missing() {
    let image = Image::build(32, &[2048]);
    let mut other = Subject::new("manifests/has-it");
    other.push_image("v1", &image);
    let mut subject = Subject::new("manifests/lacks-it");
    assert_error(
        &subject.put_manifest("v1", &image.manifest),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
}

#[test]
fn a_subject_need_not_be_there_and_is_told_back() {
    let mut subject = Subject::new("manifests/subject");
    let digest = sha256(b"not pushed yet");
    let descriptor = json!({"mediaType": media_types::MANIFEST, "digest": digest, "size": 7});
    let answer = subject.put_manifest("v1", &index(json!({"subject": descriptor})));
    let answer = answer.expect(201).unwrap();
    assert_eq!(answer.header("oci-subject"), Some(&*digest));
    let without = subject
        .put_manifest("v2", &index(json!({})))
        .expect(201)
        .unwrap();
    assert_eq!(without.header("oci-subject"), None);
}

#[test]
fn a_list_of_layers_may_be_empty() {
    let mut subject = Subject::new("manifests/no-layers");
    subject.push_image("v1", &Image::build(33, &[]));
    assert_eq!(subject.get("manifests/v1").status(), 200);
}

fn with_foreign_layer(config: &Blob, media_type: &str, url: &str) -> Blob {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_types::MANIFEST,
        "config": config.descriptor(),
        "layers": [{
            "mediaType": media_type, "digest": sha256(b"elsewhere"), "size": 9, "urls": [url],
        }],
    });
    Blob::new(media_types::MANIFEST, manifest.to_string().into_bytes())
}

const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

#[test]
fn a_layer_that_is_not_distributed_need_not_be_there() {
    let mut subject = Subject::new("manifests/foreign");
    let config = Image::build(34, &[]).config;
    subject.push_blob(&config);
    // Nobody listens there: it is never fetched.
    let foreign = with_foreign_layer(&config, FOREIGN, "http://127.0.0.1:9/layer");
    subject.put_manifest("v1", &foreign).expect(201).unwrap();
    let usual = with_foreign_layer(&config, media_types::LAYER, "http://127.0.0.1:9/layer");
    assert_error(
        &subject.put_manifest("v2", &usual),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
    let no_web = with_foreign_layer(&config, FOREIGN, "file:///etc/passwd");
    assert_error(
        &subject.put_manifest("v3", &no_web),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
}

#[test]
fn urls_of_layers_may_be_restricted() {
    let allow = (
        "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW",
        "['^https://good[.]example/']",
    );
    let deny = ("REGISTRY_VALIDATION_MANIFESTS_URLS_DENY", "['/secret']");
    let mut subject = Subject::with("manifests/urls", &[allow, deny]);
    let config = Image::build(35, &[]).config;
    subject.push_blob(&config);
    for (url, status) in [
        ("https://good.example/layer", 201),
        ("https://evil.example/layer", 400),
        ("https://good.example/secret", 400),
        ("http://good.example/layer", 400),
    ] {
        let answer = subject.put_manifest("v1", &with_foreign_layer(&config, FOREIGN, url));
        assert_eq!(answer.status(), status, "{url}: {}", answer.text());
        if status == 400 {
            assert_error(&answer, 400, "MANIFEST_INVALID");
            assert!(answer.text().contains(url), "{}", answer.text());
        }
    }
}

#[test]
fn platforms_of_an_index_may_be_missing_if_the_registry_is_told_so() {
    let list = ("REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS", "list");
    let only = (
        "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST",
        "[{architecture: amd64, os: linux}]",
    );
    let mut subject = Subject::with("manifests/platforms", &[list, only]);
    let child = |architecture: &str| {
        let mut child = Image::build(36, &[]).manifest.descriptor();
        child["platform"] = json!({"architecture": architecture, "os": "linux"});
        index(json!({"manifests": [child]}))
    };
    subject
        .put_manifest("arm", &child("arm64"))
        .expect(201)
        .unwrap();
    assert_error(
        &subject.put_manifest("amd", &child("amd64")),
        400,
        "MANIFEST_BLOB_UNKNOWN",
    );
}

#[test]
fn a_sparse_manifest_is_taken_if_the_registry_is_told_so() {
    let sparse = ("REGISTRY_WHARFINGER_MANIFESTS_SPARSE", "true");
    let mut subject = Subject::with("manifests/sparse", &[sparse]);
    let image = Image::build(37, &[2048]);
    subject
        .put_manifest("v1", &image.manifest)
        .expect(201)
        .unwrap();
    assert_eq!(subject.get("manifests/v1").body, image.manifest.bytes);
}

#[test]
fn tags_come_with_a_push_by_digest_and_each_is_told() {
    let mut subject = Subject::new("manifests/tags");
    let index = index(json!({}));
    let tags: Vec<String> = (0..12).map(|number| format!("1.{number}")).collect();
    let query = tags
        .iter()
        .map(|tag| format!("tag={tag}"))
        .collect::<Vec<_>>()
        .join("&");
    let created = subject.put_manifest(&format!("{}?{query}", index.digest), &index);
    let created = created.expect(201).unwrap();
    assert_eq!(values(&created, "oci-tag"), tags);
    assert_eq!(
        created.header("docker-content-digest"),
        Some(&*index.digest)
    );
    for tag in &tags {
        assert_eq!(subject.get(&format!("manifests/{tag}")).body, index.bytes);
    }
}

#[test]
fn tags_come_all_or_none() {
    let mut subject = Subject::new("manifests/all-or-none");
    let old = subject.push_index("old", json!({"annotations": {"a": "old"}}));
    let new = index(json!({"annotations": {"a": "new"}}));
    let many = (0..65)
        .map(|number| format!("tag=t{number}"))
        .collect::<Vec<_>>()
        .join("&");
    for (query, status) in [
        ("tag=old&tag=.bad", 400),
        ("tag=good&tag=", 400),
        (&*many, 414),
    ] {
        let refused = subject.put_manifest(&format!("{}?{query}", new.digest), &new);
        assert_eq!(refused.status(), status, "{query}");
    }
    // Refused for its content, too.
    let child = json!({"manifests": [Image::build(38, &[]).manifest.descriptor()]});
    let lacking = index(child);
    let refused = subject.put_manifest(&format!("{}?tag=old&tag=t0", lacking.digest), &lacking);
    assert_error(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(subject.get("manifests/old").body, old.bytes);
    assert_eq!(json_of(&subject.get("tags/list"))["tags"], json!(["old"]));
}

/// An index of exactly `length` bytes.
fn padded(length: usize) -> Blob {
    let empty = index(json!({"annotations": {"pad": ""}}));
    let pad = "x".repeat(length - empty.bytes.len());
    index(json!({"annotations": {"pad": pad}}))
}

#[test]
fn a_manifest_of_four_mebibytes_is_taken_and_a_larger_one_is_413() {
    let mut subject = Subject::new("manifests/large");
    subject
        .put_manifest("largest", &padded(MOST))
        .expect(201)
        .unwrap();
    assert_eq!(subject.get("manifests/largest").body.len(), MOST);
    let larger = padded(MOST + 1);
    assert_error(
        &subject.put_manifest("larger", &larger),
        413,
        "MANIFEST_INVALID",
    );
    // Also when the length is not announced.
    let target = subject.target("manifests/larger");
    let chunked = Request::new("PUT", target)
        .header("Content-Type", media_types::INDEX)
        .header("Transfer-Encoding", "chunked");
    let mut connection = subject.client.connect().unwrap();
    connection.send_head(&chunked).unwrap();
    let head = format!("{:x}\r\n", larger.bytes.len());
    connection.send(head.as_bytes()).unwrap();
    // The answer may come before all is sent.
    drop(
        connection
            .send(&larger.bytes)
            .and_then(|()| connection.send(b"\r\n0\r\n\r\n")),
    );
    assert_eq!(connection.read_response(false).unwrap().status(), 413);
}

#[test]
fn dockers_manifests_and_lists_are_kept_as_such() {
    let mut subject = Subject::new("manifests/docker");
    let image = Image::build(39, &[]);
    subject.push_blob(&image.config);
    let schema2 = json!({
        "schemaVersion": 2, "mediaType": media_types::DOCKER_MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": image.config.digest, "size": image.config.bytes.len(),
        },
        "layers": [],
    });
    let schema2 = Blob::new(
        media_types::DOCKER_MANIFEST,
        schema2.to_string().into_bytes(),
    );
    let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    let list = json!({
        "schemaVersion": 2, "mediaType": list_type, "manifests": [schema2.descriptor()],
    });
    let list = Blob::new(list_type, list.to_string().into_bytes());
    for (tag, manifest) in [("schema2", &schema2), ("list", &list)] {
        subject.put_manifest(tag, manifest).expect(201).unwrap();
        let got = subject
            .get(&format!("manifests/{tag}"))
            .expect(200)
            .unwrap();
        assert_eq!(got.header("content-type"), Some(&*manifest.media_type));
        assert_eq!(got.body, manifest.bytes);
    }
}

#[test]
fn schema_1_is_refused_by_name() {
    let mut subject = Subject::new("manifests/schema1");
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        media_types::DOCKER_MANIFEST,
    ] {
        let schema1 = Blob::new(
            media_type,
            br#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#.to_vec(),
        );
        let refused = subject.put_manifest("v1", &schema1);
        assert_error(&refused, 400, "MANIFEST_INVALID");
        assert!(refused.text().contains("schema 1"), "{}", refused.text());
    }
}
