//! What manifests say, and which are refused.

use serde_json::{Value, json};
use wharfinger_oci::{
    Algorithm, DescriptorError, Digest, DigestError, Manifest, ManifestError, ManifestKind, media,
};

pub(crate) fn descriptor(media_type: &str, content: &str) -> Value {
    let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

pub(crate) fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, "config"),
        "layers": [descriptor(media::OCI_LAYER, "one"), descriptor(media::OCI_LAYER_GZIP, "two")],
    })
}

pub(crate) fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": [descriptor(media::OCI_MANIFEST, "image")],
    })
}

pub(crate) fn with(mut manifest: Value, key: &str, value: Value) -> Value {
    manifest[key] = value;
    manifest
}

fn without(mut manifest: Value, key: &str) -> Value {
    manifest.as_object_mut().unwrap().remove(key).unwrap();
    manifest
}

pub(crate) fn stored(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse_stored(manifest.to_string())
}

pub(crate) fn stored_error(manifest: &Value) -> ManifestError {
    stored(manifest).unwrap_err()
}

#[test]
fn an_image_says_what_it_is() {
    let subject = descriptor(media::OCI_INDEX, "subject");
    let text = with(
        with(
            with(image(), "subject", subject),
            "annotations",
            json!({"a": "b"}),
        ),
        "artifactType",
        json!("application/x"),
    )
    .to_string();
    let manifest = Manifest::parse(text.clone(), Some(media::OCI_MANIFEST)).unwrap();
    assert_eq!(manifest.bytes(), text.as_bytes());
    assert_eq!(manifest.media_type(), media::OCI_MANIFEST);
    assert_eq!(manifest.kind(), ManifestKind::Image);
    assert_eq!(manifest.config().unwrap().media_type, media::OCI_CONFIG);
    assert_eq!(manifest.layers().len(), 2);
    assert!(manifest.manifests().is_empty());
    assert_eq!(manifest.subject().unwrap().media_type, media::OCI_INDEX);
    assert_eq!(manifest.annotations()["a"], "b");
    assert_eq!(manifest.artifact_type(), Some("application/x"));
    let digests: Vec<_> = manifest
        .references()
        .map(|reference| reference.digest)
        .collect();
    let contents = ["config", "one", "two"].map(|c| Digest::of(Algorithm::Sha256, c.as_bytes()));
    assert_eq!(digests, contents);
    let digest = Digest::of(Algorithm::Sha512, text.as_bytes());
    assert_eq!(manifest.digest(Algorithm::Sha512), digest);
}

#[test]
fn an_index_says_what_it_is() {
    let manifest = stored(&index()).unwrap();
    assert_eq!(manifest.kind(), ManifestKind::Index);
    assert_eq!(manifest.media_type(), media::OCI_INDEX);
    assert!(manifest.config().is_none() && manifest.layers().is_empty());
    assert_eq!(manifest.references().count(), 1);
    let docker = with(index(), "mediaType", json!(media::DOCKER_LIST));
    assert_eq!(stored(&docker).unwrap().media_type(), media::DOCKER_LIST);
}

#[test]
fn without_a_media_type_the_shape_decides() {
    for empty in [Value::Null, json!("")] {
        let image = stored(&with(image(), "mediaType", empty.clone())).unwrap();
        assert_eq!(image.media_type(), media::OCI_MANIFEST);
        let index = stored(&with(index(), "mediaType", empty)).unwrap();
        assert_eq!(index.media_type(), media::OCI_INDEX);
    }
    assert_eq!(
        stored(&without(image(), "mediaType")).unwrap().kind(),
        ManifestKind::Image
    );
    assert_eq!(
        stored_error(&json!({"schemaVersion": 2})),
        ManifestError::MissingField { field: "mediaType" }
    );
}

#[test]
fn the_content_type_must_be_that_of_the_bytes() {
    let text = image().to_string();
    for content_type in [
        media::OCI_MANIFEST,
        "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
        " Application/vnd.OCI.image.manifest.v1+json ;x",
    ] {
        assert!(
            Manifest::parse(text.clone(), Some(content_type)).is_ok(),
            "{content_type}"
        );
    }
    for content_type in [
        media::OCI_INDEX,
        media::DOCKER_MANIFEST,
        "application/json",
        "",
        ";",
    ] {
        let error = Manifest::parse(text.clone(), Some(content_type)).unwrap_err();
        assert!(
            matches!(error, ManifestError::ContentType { .. }),
            "{content_type}: {error}"
        );
    }
    assert_eq!(
        Manifest::parse(text.clone(), None).unwrap_err(),
        ManifestError::MissingContentType
    );
    for content_type in [media::DOCKER_SCHEMA1, media::DOCKER_SCHEMA1_SIGNED] {
        let error = Manifest::parse(text.clone(), Some(content_type)).unwrap_err();
        assert_eq!(error, ManifestError::Schema1);
    }
}

#[test]
fn other_versions_and_types_are_refused() {
    for version in [1, 3, 0] {
        let error = stored_error(&with(image(), "schemaVersion", json!(version)));
        let expected = match version {
            1 => ManifestError::Schema1,
            _ => ManifestError::SchemaVersion {
                found: Some(version),
            },
        };
        assert_eq!(error, expected);
    }
    assert_eq!(
        stored_error(&without(image(), "schemaVersion")),
        ManifestError::SchemaVersion { found: None }
    );
    let signed = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "signatures": []});
    assert_eq!(stored_error(&signed), ManifestError::Schema1);
    let labelled = with(image(), "mediaType", json!(media::DOCKER_SCHEMA1));
    assert_eq!(stored_error(&labelled), ManifestError::Schema1);
    for other in [
        media::OCI_CONFIG,
        "application/vnd.oci.artifact.manifest.v1+json",
        "x",
    ] {
        let error = stored_error(&with(image(), "mediaType", json!(other)));
        assert_eq!(
            error,
            ManifestError::UnsupportedMediaType {
                media_type: other.to_owned()
            }
        );
    }
    for field in ["config", "layers"] {
        assert_eq!(
            stored_error(&without(image(), field)),
            ManifestError::MissingField { field }
        );
    }
    assert!(
        stored(&with(image(), "layers", Value::Null))
            .unwrap()
            .layers()
            .is_empty()
    );
    assert!(matches!(
        stored_error(&without(index(), "manifests")),
        ManifestError::MissingField { .. }
    ));
}

#[test]
fn a_bad_descriptor_is_named() {
    let mut manifest = image();
    let digest = manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    for (text, error) in [
        ("sha256:../../x".to_owned(), DigestError::Malformed),
        (digest.to_uppercase(), DigestError::Malformed),
        (format!("tarsum.v1+{digest}"), DigestError::Tarsum),
        (
            digest.replace("sha256", "md5"),
            DigestError::Unsupported {
                algorithm: "md5".to_owned(),
            },
        ),
    ] {
        manifest["layers"][1]["digest"] = json!(text);
        let at = "layers[1]".to_owned();
        let error = DescriptorError::Digest(error);
        assert_eq!(
            stored_error(&manifest),
            ManifestError::Descriptor { at, error }
        );
    }
    let mut subject = descriptor(media::OCI_MANIFEST, "x");
    subject["digest"] = json!("sha1:0000000000000000000000000000000000000000");
    let error = stored_error(&with(image(), "subject", subject));
    assert_eq!(
        error.to_string(),
        "manifest has a bad descriptor at `subject`: unsupported digest algorithm `sha1`"
    );
}
