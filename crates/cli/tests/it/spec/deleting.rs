//! Content management.

use serde_json::json;
use wharfinger_testkit::{Image, sha256};

use super::{Subject, assert_error};

#[test]
fn a_deleted_tag_is_202_and_then_404_and_leaves_the_manifest() {
    let mut subject = Subject::new("deleting/tag");
    let index = subject.push_index("v1", json!({}));
    subject.push_index("v2", json!({}));
    subject.ask("DELETE", "manifests/v1").expect(202).unwrap();
    assert_error(&subject.get("manifests/v1"), 404, "MANIFEST_UNKNOWN");
    for kept in ["v2", &index.digest] {
        assert_eq!(subject.get(&format!("manifests/{kept}")).status(), 200);
    }
    assert_error(
        &subject.ask("DELETE", "manifests/v1"),
        404,
        "MANIFEST_UNKNOWN",
    );
}

#[test]
fn a_deleted_manifest_is_202_and_then_404_with_every_tag_of_it() {
    let mut subject = Subject::new("deleting/manifest");
    let index = subject.push_index("v1", json!({}));
    subject.push_index("v2", json!({}));
    subject.push_index("other", json!({"annotations": {"a": "b"}}));
    let below = format!("manifests/{}", index.digest);
    subject.ask("DELETE", &below).expect(202).unwrap();
    for gone in [&*below, "manifests/v1", "manifests/v2"] {
        assert_error(&subject.get(gone), 404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(subject.get("manifests/other").status(), 200);
    assert_error(&subject.ask("DELETE", &below), 404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_deleted_blob_is_202_and_then_404_and_stays_elsewhere() {
    let image = Image::build(60, &[]);
    let mut other = Subject::new("deleting/elsewhere");
    other.push_blob(&image.config);
    let mut subject = Subject::new("deleting/blob");
    subject.push_blob(&image.config);
    let below = format!("blobs/{}", image.config.digest);
    subject.ask("DELETE", &below).expect(202).unwrap();
    assert_error(&subject.get(&below), 404, "BLOB_UNKNOWN");
    assert_error(&subject.ask("DELETE", &below), 404, "BLOB_UNKNOWN");
    assert_eq!(other.get(&below).status(), 200);
}

#[test]
fn what_is_not_there_cannot_be_deleted() {
    let mut subject = Subject::new("deleting/nothing");
    let digest = sha256(b"nothing");
    for below in [
        "manifests/v1".to_owned(),
        format!("manifests/{digest}"),
        format!("blobs/{digest}"),
    ] {
        assert_eq!(subject.ask("DELETE", &below).status(), 404, "{below}");
    }
}

#[test]
fn while_deleting_is_off_every_delete_is_405_and_changes_nothing() {
    let off = ("REGISTRY_STORAGE_DELETE_ENABLED", "false");
    let mut subject = Subject::with("deleting/off", &[off]);
    let image = Image::build(61, &[]);
    subject.push_image("v1", &image);
    let none = sha256(b"nothing");
    for below in [
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.manifest.digest),
        format!("blobs/{}", image.config.digest),
    ] {
        let refused = subject.ask("DELETE", &below);
        assert_error(&refused, 405, "UNSUPPORTED");
        assert!(!refused.header("allow").unwrap().contains("DELETE"));
        assert_eq!(subject.get(&below).status(), 200);
    }
    for below in ["manifests/v9".to_owned(), format!("blobs/{none}")] {
        assert_error(&subject.ask("DELETE", &below), 405, "UNSUPPORTED");
    }
}
