//! The one event point.

use std::sync::Arc;

use wharfinger_driver::Memory;
use wharfinger_server::{EventAction, EventCounters, EventSink};
use wharfinger_testkit::{Blob, Image, Request};

use crate::fixture::Fixture;

#[test]
fn everything_that_happens_to_content_is_told_once() {
    let counters = Arc::new(EventCounters::new());
    let sinks = vec![Arc::clone(&counters) as Arc<dyn EventSink>];
    let fixture = Fixture::with(Arc::new(Memory::new()), sinks, |_| {});
    let image = Image::build(50, &[2048]);
    let (config, layer) = (&image.config, &image.layers[0]);
    let (config_size, layer_size) = (config.bytes.len(), layer.bytes.len());
    let manifest_size = image.manifest.bytes.len();

    fixture.push("a", config);
    assert_eq!(
        fixture.events.take(),
        [format!("POST push blob of {config_size} in a")]
    );
    let location = fixture.start();
    assert_eq!(fixture.events.take(), [""; 0]);
    let location = fixture.patch(&location, &layer.bytes);
    assert_eq!(fixture.events.take(), [""; 0]);
    fixture
        .put(&location, &layer.digest, b"")
        .expect(201)
        .unwrap();
    let pushed = format!("PUT push blob of {layer_size} in library/thing");
    assert_eq!(fixture.events.take(), [pushed]);
    let mount = format!(
        "/v2/a/blobs/uploads/?mount={}&from=library/thing",
        layer.digest
    );
    fixture
        .send(&Request::new("POST", mount))
        .expect(201)
        .unwrap();
    let mounted = format!("POST mount blob from library/thing of {layer_size} in a");
    assert_eq!(fixture.events.take(), [mounted]);
    fixture
        .put_manifest("/v2/a/manifests/x", &image.manifest)
        .expect(201)
        .unwrap();
    let pushed = format!("PUT push manifest x of {manifest_size} in a");
    assert_eq!(fixture.events.take(), [pushed]);

    fixture.get("/v2/a/manifests/x").expect(200).unwrap();
    let blob = format!("/v2/a/blobs/{}", layer.digest);
    fixture.head(&blob).expect(200).unwrap();
    fixture.get(&blob).expect(200).unwrap();
    let pulled = [
        format!("GET pull manifest x of {manifest_size} in a"),
        format!("HEAD pull blob of {layer_size} in a"),
        format!("GET pull blob of {layer_size} in a"),
    ];
    assert_eq!(fixture.events.take(), pulled);

    let manifest = format!("/v2/a/manifests/{}", image.manifest.digest);
    fixture.delete(&manifest).expect(202).unwrap();
    fixture.delete(&blob).expect(202).unwrap();
    let deleted = [
        "DELETE delete manifest in a",
        "DELETE delete tag x in a",
        "DELETE delete blob in a",
    ];
    assert_eq!(fixture.events.take(), deleted);

    assert_eq!(counters.blobs(EventAction::Push), 2);
    assert_eq!(counters.blobs(EventAction::Mount), 1);
    assert_eq!(counters.blobs(EventAction::Pull), 2);
    assert_eq!(counters.manifests(EventAction::Pull), 1);
    assert_eq!(counters.tags(EventAction::Delete), 1);
}

#[test]
fn what_failed_is_not_told() {
    let fixture = Fixture::memory();
    let blob = Blob::random(51, 100);
    let location = fixture.patch(&fixture.start(), b"other");
    fixture
        .put(&location, &blob.digest, b"")
        .expect(400)
        .unwrap();
    fixture
        .get(&format!("/v2/a/blobs/{}", blob.digest))
        .expect(404)
        .unwrap();
    fixture
        .delete(&format!("/v2/a/blobs/{}", blob.digest))
        .expect(404)
        .unwrap();
    fixture
        .put_manifest("/v2/a/manifests/x", &Image::build(51, &[]).manifest)
        .expect(400)
        .unwrap();
    assert_eq!(fixture.events.take(), [""; 0]);
}
