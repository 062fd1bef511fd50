//! What is taken away.

use std::sync::Arc;

use wharfinger_driver::Memory;
use wharfinger_testkit::{Blob, Image};

use crate::fixture::{Fixture, assert_refused};
use crate::over_every_driver;

fn pushed(fixture: &Fixture) -> Image {
    let image = Image::build(40, &[2048]);
    image.blobs().for_each(|blob| fixture.push("a", blob));
    for tag in ["x", "y"] {
        let path = format!("/v2/a/manifests/{tag}");
        fixture
            .put_manifest(&path, &image.manifest)
            .expect(201)
            .unwrap();
    }
    image
}

over_every_driver! {
    fn a_manifest_goes_with_its_tags(fixture) {
        let image = pushed(fixture);
        let path = format!("/v2/a/manifests/{}", image.manifest.digest);
        fixture.delete(&path).expect(202).unwrap();
        for gone in [&path, "/v2/a/manifests/x", "/v2/a/manifests/y"] {
            assert_refused(&fixture.get(gone), 404, "MANIFEST_UNKNOWN");
        }
        assert_refused(&fixture.delete(&path), 404, "MANIFEST_UNKNOWN");
    }

    fn a_tag_goes_by_itself(fixture) {
        let image = pushed(fixture);
        fixture.delete("/v2/a/manifests/x").expect(202).unwrap();
        assert_refused(&fixture.get("/v2/a/manifests/x"), 404, "MANIFEST_UNKNOWN");
        assert_eq!(fixture.get("/v2/a/manifests/y").body, image.manifest.bytes);
        assert_refused(&fixture.delete("/v2/a/manifests/x"), 404, "MANIFEST_UNKNOWN");
    }

    fn a_blob_goes_from_one_repository(fixture) {
        let blob = Blob::random(41, 1000);
        fixture.push("a", &blob);
        fixture.push("b", &blob);
        let path = format!("/v2/a/blobs/{}", blob.digest);
        fixture.delete(&path).expect(202).unwrap();
        assert_refused(&fixture.get(&path), 404, "BLOB_UNKNOWN");
        assert_refused(&fixture.delete(&path), 404, "BLOB_UNKNOWN");
        let other = fixture.get(&format!("/v2/b/blobs/{}", blob.digest));
        assert_eq!(other.expect(200).unwrap().body, blob.bytes);
    }
}

#[test]
fn nothing_goes_while_deleting_is_off() {
    let fixture = Fixture::with(Arc::new(Memory::new()), Vec::new(), |config| {
        config.delete_enabled = false
    });
    let image = pushed(&fixture);
    for (path, others) in [
        (
            format!("/v2/a/manifests/{}", image.manifest.digest),
            "GET, HEAD, PUT",
        ),
        ("/v2/a/manifests/x".to_owned(), "GET, HEAD, PUT"),
        (format!("/v2/a/blobs/{}", image.config.digest), "GET, HEAD"),
    ] {
        let refused = fixture.delete(&path);
        assert_refused(&refused, 405, "UNSUPPORTED");
        assert_eq!(refused.header("allow"), Some(others));
        fixture.get(&path).expect(200).unwrap();
    }
    // Whoever may write an upload may throw it away.
    let location = fixture.start();
    fixture.delete(&location).expect(204).unwrap();
}
