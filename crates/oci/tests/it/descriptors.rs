//! Descriptors and media types.

use wharfinger_oci::{Algorithm, Descriptor, DescriptorError, Digest, media};

#[test]
fn a_descriptor_round_trips() {
    let text = r#"{"mediaType":"a/b","digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","size":5,"urls":["https://h/x"],"annotations":{"k":"v"},"artifactType":"c/d","platform":{"architecture":"arm","os":"linux","os.version":"1","variant":"v7"},"data":"aGVsbG8="}"#;
    let descriptor: Descriptor = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
    assert_eq!(descriptor.inline_content(), Ok(Some(b"hello".to_vec())));

    let small = Descriptor::new("a/b", descriptor.digest, 5);
    assert_eq!(small.inline_content(), Ok(None));
    let json = serde_json::to_string(&small).unwrap();
    assert_eq!(
        json,
        format!(
            r#"{{"mediaType":"a/b","digest":"{}","size":5}}"#,
            small.digest
        )
    );
}

#[test]
fn inline_content_is_held_against_the_descriptor() {
    let good = Descriptor::new("a/b", Digest::of(Algorithm::Sha256, b"hello"), 5);
    for (data, size) in [("aGVsbG8=", 4), ("aGVsbDA=", 5), ("aGVsbG8", 5), ("*", 5)] {
        let bad = Descriptor {
            data: Some(data.to_owned()),
            size,
            ..good.clone()
        };
        assert_eq!(bad.inline_content(), Err(DescriptorError::Data), "{data}");
    }
}

#[test]
fn media_types() {
    assert!(media::is_manifest(media::DOCKER_MANIFEST) && media::is_manifest(media::OCI_INDEX));
    assert!(!media::is_manifest(media::OCI_CONFIG) && !media::is_manifest(media::DOCKER_SCHEMA1));
    assert!(media::is_index(media::DOCKER_LIST) && !media::is_index(media::OCI_MANIFEST));
    assert!(media::is_nondistributable(media::DOCKER_FOREIGN_LAYER_GZIP));
    assert!(!media::is_nondistributable(media::OCI_LAYER_GZIP));
}
