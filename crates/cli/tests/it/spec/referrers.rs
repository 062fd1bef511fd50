//! Content discovery: referrers.

use serde_json::{Value, json};
use wharfinger_testkit::{Blob, Image, Response, media_types, sha256};

use super::{Subject, assert_error, json_of};

fn referring(to: &str, fields: Value) -> Value {
    let mut fields = fields;
    fields["subject"] = json!({"mediaType": media_types::MANIFEST, "digest": to, "size": 7});
    fields
}

fn list(subject: &mut Subject, to: &str, query: &str) -> (Vec<Value>, Response) {
    let answer = subject
        .get(&format!("referrers/{to}{query}"))
        .expect(200)
        .unwrap();
    assert_eq!(answer.header("content-type"), Some(media_types::INDEX));
    let index = json_of(&answer);
    assert_eq!(
        (&index["schemaVersion"], &index["mediaType"]),
        (&json!(2), &json!(media_types::INDEX))
    );
    (index["manifests"].as_array().unwrap().clone(), answer)
}

fn digests(manifests: &[Value]) -> Vec<&str> {
    manifests
        .iter()
        .map(|it| it["digest"].as_str().unwrap())
        .collect()
}

#[test]
fn nobody_refers_to_what_is_unknown_and_that_is_200() {
    let mut subject = Subject::new("referrers/unknown");
    let (manifests, _) = list(&mut subject, &sha256(b"nowhere"), "");
    assert!(manifests.is_empty(), "{manifests:?}");
}

#[test]
fn a_malformed_digest_is_400() {
    let mut subject = Subject::new("referrers/malformed");
    for digest in [
        "latest",
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        assert_error(
            &subject.get(&format!("referrers/{digest}")),
            400,
            "DIGEST_INVALID",
        );
    }
}

#[test]
fn a_descriptor_has_the_type_of_the_artifact_and_the_annotations() {
    let mut subject = Subject::new("referrers/descriptor");
    let to = sha256(b"subject");
    let fields = json!({"artifactType": "application/x.sbom", "annotations": {"a": "b"}});
    let pushed = subject.push_index("", referring(&to, fields));
    let (manifests, _) = list(&mut subject, &to, "");
    assert_eq!(
        manifests,
        [json!({
            "mediaType": media_types::INDEX, "digest": pushed.digest, "size": pushed.bytes.len(),
            "annotations": {"a": "b"}, "artifactType": "application/x.sbom",
        })]
    );
}

#[test]
fn without_an_artifact_type_the_config_of_an_image_tells_and_an_index_has_none() {
    let mut subject = Subject::new("referrers/types");
    let (to, config) = (sha256(b"subject"), Image::build(50, &[]).config);
    subject.push_blob(&config);
    let image = json!({
        "schemaVersion": 2, "mediaType": media_types::MANIFEST,
        "config": config.descriptor(), "layers": [], "artifactType": "",
    });
    let image = referring(&to, image).to_string().into_bytes();
    let image = Blob::new(media_types::MANIFEST, image);
    subject.put_manifest("image", &image).expect(201).unwrap();
    let index = subject.push_index("", referring(&to, json!({})));
    let (manifests, _) = list(&mut subject, &to, "");
    for found in &manifests {
        let expected = if found["digest"] == index.digest {
            Value::Null
        } else {
            json!(media_types::CONFIG)
        };
        assert_eq!(found["artifactType"], expected);
    }
    assert_eq!(manifests.len(), 2);
}

#[test]
fn a_filter_is_applied_and_told() {
    let mut subject = Subject::new("referrers/filter");
    let to = sha256(b"subject");
    let sbom = referring(&to, json!({"artifactType": "application/x.sbom+json"}));
    let sbom = subject.push_index("", sbom);
    subject.push_index(
        "",
        referring(&to, json!({"artifactType": "application/x.other"})),
    );
    let (all, answer) = list(&mut subject, &to, "");
    assert_eq!((all.len(), answer.header("oci-filters-applied")), (2, None));
    let (found, answer) = list(&mut subject, &to, "?artifactType=application/x.sbom%2Bjson");
    assert_eq!(digests(&found), [&*sbom.digest]);
    assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
    let (none, _) = list(&mut subject, &to, "?artifactType=application/none");
    assert_eq!(none.len(), 0);
}

#[test]
fn a_long_list_comes_in_pages_and_a_link_leads_to_the_next() {
    let mut subject = Subject::new("referrers/pages");
    let to = sha256(b"subject");
    for number in 0..5 {
        let fields =
            json!({"artifactType": "application/x", "annotations": {"n": number.to_string()}});
        subject.push_index("", referring(&to, fields));
    }
    let (mut found, mut query) = (Vec::new(), "?artifactType=application/x&n=2".to_owned());
    loop {
        let (page, answer) = list(&mut subject, &to, &query);
        assert!(page.len() <= 2);
        found.extend(digests(&page).into_iter().map(str::to_owned));
        let Some(link) = answer.header("link") else {
            break;
        };
        let target = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(r#">; rel="next""#)
            .unwrap();
        query = target[target.find('?').unwrap()..].to_owned();
        assert!(query.contains("artifactType=application%2Fx"), "{query}");
    }
    found.dedup();
    assert_eq!(found.len(), 5);
    for n in ["-1", "abc", "18446744073709551616"] {
        let answer = subject.get(&format!("referrers/{to}?n={n}"));
        assert_error(&answer, 400, "PAGINATION_NUMBER_INVALID");
    }
}

#[test]
fn a_referrer_that_was_deleted_is_not_listed() {
    let mut subject = Subject::new("referrers/deleted");
    let to = sha256(b"subject");
    let first = subject.push_index("", referring(&to, json!({"annotations": {"n": "1"}})));
    let second = subject.push_index("", referring(&to, json!({"annotations": {"n": "2"}})));
    subject
        .ask("DELETE", &format!("manifests/{}", first.digest))
        .expect(202)
        .unwrap();
    assert_eq!(digests(&list(&mut subject, &to, "").0), [&*second.digest]);
}

#[test]
fn what_clients_have_listed_under_a_tag_is_listed_here_too() {
    let mut subject = Subject::new("referrers/fallback");
    let to = sha256(b"subject");
    let referrer = subject.push_index("", referring(&to, json!({})));
    let tag = to.replace(':', "-");
    subject.push_index(&tag, json!({"manifests": [referrer.descriptor()]}));
    assert_eq!(digests(&list(&mut subject, &to, "").0), [&*referrer.digest]);
}

#[test]
fn referrers_are_those_of_the_repository() {
    let to = sha256(b"shared subject");
    let mut one = Subject::new("referrers/one");
    one.push_index("", referring(&to, json!({})));
    let mut other = Subject::new("referrers/other");
    assert_eq!(list(&mut other, &to, "").0.len(), 0);
}
