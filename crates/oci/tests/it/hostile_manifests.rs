//! Manifests that were made to be read in two ways, or to cost much.

use proptest::prelude::*;
use serde_json::{Value, json};
use wharfinger_oci::{DescriptorError, MAX_MANIFEST_BYTES, Manifest, ManifestError, media};

use crate::manifests::{descriptor, image, index, stored, stored_error, with};

fn json_error(text: impl Into<String>) -> String {
    match Manifest::parse_stored(text.into()).unwrap_err() {
        ManifestError::Json(message) => message,
        other => panic!("not an error of JSON: {other}"),
    }
}

/// CVE-2021-41190.
#[test]
fn nothing_can_be_read_as_image_and_as_index() {
    let children = json!([descriptor(media::OCI_MANIFEST, "image")]);
    assert_eq!(
        stored_error(&with(image(), "manifests", children.clone())),
        ManifestError::Ambiguous { field: "layers" }
    );
    assert_eq!(
        stored_error(&with(image(), "manifests", json!([]))),
        ManifestError::Ambiguous { field: "layers" }
    );
    let config = descriptor(media::OCI_CONFIG, "config");
    assert_eq!(
        stored_error(&with(index(), "config", config)),
        ManifestError::Ambiguous { field: "config" }
    );
    let mislabelled = with(index(), "mediaType", json!(media::OCI_MANIFEST));
    assert_eq!(
        stored_error(&mislabelled),
        ManifestError::UnexpectedField {
            field: "manifests",
            media_type: media::OCI_MANIFEST.to_owned()
        }
    );
    let mislabelled = with(image(), "mediaType", json!(media::OCI_INDEX));
    assert!(matches!(
        stored_error(&mislabelled),
        ManifestError::UnexpectedField { .. }
    ));
    // What is null is not there, for Go as for us.
    assert!(stored(&with(image(), "manifests", Value::Null)).is_ok());
}

#[test]
fn a_platform_can_be_read_in_one_way_only() {
    let with_platform = |platform: Value| {
        let mut child = descriptor(media::OCI_MANIFEST, "image");
        child["platform"] = platform;
        with(index(), "manifests", json!([child])).to_string()
    };
    let linux = json!({"architecture": "amd64", "os": "linux", "os.features": ["x"], "more": 1});
    let manifest = Manifest::parse_stored(with_platform(linux.clone())).unwrap();
    let platform = manifest.manifests()[0].platform.as_ref().unwrap();
    assert_eq!((&*platform.architecture, &*platform.os), ("amd64", "linux"));
    // Go reads no array here, and the last of several keys in whatever case.
    let message = json_error(with_platform(json!(["amd64", "linux"])));
    assert!(message.starts_with("invalid type: sequence"), "{message}");
    for key in ["OS", "Architecture", "o\u{17f}", "os.Version", "VARIANT"] {
        let message = json_error(with_platform(with(linux.clone(), key, json!("x"))));
        assert!(message.contains("only in case"), "{key}: {message}");
    }
    let twice = with_platform(linux).replace(r#""more":"#, r#""os":"windows","more":"#);
    assert!(json_error(twice).starts_with("duplicate field `os`"));
}

#[test]
fn what_is_wrong_is_said_in_short() {
    // Each character costs seven or more once it is escaped, and a quoted value is never ended.
    for filling in ["\\u0001", "\\\"", "\u{85}", "\u{2028}", "ä", "\\u009b"] {
        let value = filling.repeat(100_000);
        for text in [
            format!(r#"{{"schemaVersion":"{value}"}}"#),
            format!(r#"{{"schemaVersion":2,"config":"{value}"}}"#),
            format!(r#"{{"schemaVersion":2,"manifests":[{{"platform":"{value}"}}]}}"#),
        ] {
            let message = json_error(text);
            assert!(message.starts_with("invalid type: string \""), "{message}");
            assert!(message.contains("… at line 1 column "), "{message}");
            assert!(message.len() < 2000, "{}", message.len());
            assert!(!message.contains(|c: char| c.is_control() || c == '\u{2028}'));
        }
    }
    let message = json_error(r#"{"schemaVersion":"two"}"#);
    let expected = r#"invalid type: string "two", expected u64 at line 1 column 22"#;
    assert_eq!(message, expected);
}

#[test]
fn a_known_key_comes_once_and_in_its_own_case() {
    let text = image().to_string();
    for (key, value) in [
        ("mediaType", "\"x\""),
        ("layers", "[]"),
        ("config", "null"),
        ("schemaVersion", "2"),
    ] {
        let twice = text.replacen('{', &format!("{{\"{key}\":{value},"), 1);
        assert!(
            json_error(twice).starts_with(&format!("duplicate field `{key}`")),
            "{key}"
        );
    }
    let twice = r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#;
    assert!(json_error(twice).starts_with("duplicate field `manifests`"));
    for key in [
        "Manifests",
        "MANIFESTS",
        "manife\u{17f}ts",
        "mEdiaType",
        "mediatype",
        "Layers",
        "Config",
    ] {
        let message = json_error(with(image(), key, json!([])).to_string());
        assert!(message.contains("only in case"), "{key}: {message}");
    }
    // An escape in a key hides nothing.
    let escaped = text.replacen('{', r#"{"\u006ganifests":[],"#, 1);
    json_error(escaped);
    let escaped = text.replacen('{', r#"{"\u006danifests":[],"#, 1);
    assert!(matches!(
        Manifest::parse_stored(escaped),
        Err(ManifestError::Ambiguous { field: "layers" })
    ));
    let descriptor = text.replacen("\"digest\"", "\"Digest\":\"\",\"digest\"", 1);
    assert!(json_error(descriptor).contains("only in case"));
    let descriptor = text.replacen("\"size\"", "\"size\":1,\"size\"", 1);
    assert!(json_error(descriptor).contains("duplicate field `size`"));
    // Other keys are nobody's business.
    assert!(
        stored(&with(
            with(image(), "x", json!(1)),
            "X",
            json!({"Layers": []})
        ))
        .is_ok()
    );
}

#[test]
fn sizes_are_whole_and_not_negative() {
    let text = image().to_string();
    for size in [
        "-1",
        "1.5",
        "1e3",
        "\"6\"",
        "null",
        "18446744073709551616",
        "-0",
        "1e999",
    ] {
        json_error(text.replacen("\"size\":6", &format!("\"size\":{size}"), 1));
    }
    let huge = text.replacen("\"size\":6", "\"size\":9223372036854775808", 1);
    assert!(matches!(
        Manifest::parse_stored(huge),
        Err(ManifestError::Descriptor {
            error: DescriptorError::Size(_),
            ..
        })
    ));
    let largest = text.replacen("\"size\":6", "\"size\":9223372036854775807", 1);
    assert!(Manifest::parse_stored(largest).is_ok());
}

#[test]
fn what_is_no_json_is_refused() {
    let text = image().to_string();
    json_error("");
    json_error("[]");
    json_error("\u{feff}".to_owned() + &text);
    json_error(text.clone() + "{}");
    json_error(text.clone() + "\0");
    json_error(text.replacen(',', ",,", 1));
    json_error(text.replacen("application/vnd", "\\ud800", 1));
    let mut bytes = text.into_bytes();
    let quote = bytes.iter().rposition(|b| *b == b'"').unwrap();
    bytes.insert(quote, 0xff);
    assert_eq!(
        Manifest::parse_stored(bytes).unwrap_err(),
        ManifestError::NotUtf8
    );
}

#[test]
fn size_depth_and_number_are_bounded() {
    let text = image().to_string();
    let padded = text.clone() + &" ".repeat(MAX_MANIFEST_BYTES - text.len());
    assert!(Manifest::parse_stored(padded.clone()).is_ok());
    let size = MAX_MANIFEST_BYTES + 1;
    assert_eq!(
        Manifest::parse_stored(padded + " ").unwrap_err(),
        ManifestError::TooLarge { size }
    );

    let nested = |depth: usize| {
        text.replacen(
            '{',
            &format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)),
            1,
        )
    };
    assert!(Manifest::parse_stored(nested(127)).is_ok());
    for depth in [128, 200_000] {
        assert_eq!(
            Manifest::parse_stored(nested(depth)).unwrap_err(),
            ManifestError::TooDeep
        );
    }
    assert_eq!(
        Manifest::parse_stored("[".repeat(200_000)).unwrap_err(),
        ManifestError::TooDeep
    );
    // Brackets in strings are not nesting.
    let strings = with(image(), "annotations", json!({"a": "\"[".repeat(1000)}));
    assert!(stored(&strings).is_ok());

    let layer = descriptor("x", "y");
    assert!(stored(&with(image(), "layers", json!(vec![layer.clone(); 9_999]))).is_ok());
    assert_eq!(
        stored_error(&with(image(), "layers", json!(vec![layer; 10_000]))),
        ManifestError::TooManyDescriptors { count: 10_001 }
    );

    let elements = |count: usize| {
        let zeros = vec!["0"; count].join(",");
        text.replacen('{', &format!("{{\"x\":[{zeros}],"), 1)
    };
    let others = text.matches(',').count();
    assert!(Manifest::parse_stored(elements(199_999 - others)).is_ok());
    let error = Manifest::parse_stored(elements(200_000 - others)).unwrap_err();
    assert_eq!(error, ManifestError::TooManyValues);
    // Commas in strings are not values.
    let strings = with(image(), "annotations", json!({"a": "\",".repeat(200_000)}));
    assert!(stored(&strings).is_ok());
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_is_rewritten(
        mut bytes in Just(image().to_string().into_bytes()),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (index, byte) in edits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(manifest) = Manifest::parse_stored(bytes.clone()) {
            prop_assert_eq!(manifest.bytes(), &bytes);
        }
    }

    #[test]
    fn any_json_is_answered(text in "[{}\\[\\]\",:0a\\\\ ]{0,60}") {
        drop(Manifest::parse_stored(text));
    }
}
