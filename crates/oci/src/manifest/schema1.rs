//! What a manifest of schema 1 refers to.
//!
//! Such manifests are neither taken nor served any more. Directories that have grown for years hold
//! some, and whoever decides what is still needed there has to know what they name.

use serde::{Deserialize, Deserializer};

use super::{
    MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH, MAX_MANIFEST_DESCRIPTORS, MAX_MANIFEST_VALUES,
    ManifestError,
};
use crate::json;
use crate::text::bounded_message;

const KNOWN_KEYS: &[&str] = &["schemaVersion", "fsLayers"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    #[serde(default, deserialize_with = "json::or_default")]
    fs_layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer(LayerFields);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerFields {
    blob_sum: String,
}

struct Document(Fields);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::guarded(deserializer, KNOWN_KEYS).map(Self)
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::guarded(deserializer, &["blobSum"]).map(Self)
    }
}

/// Returns the digests of the layers that a manifest of schema 1 names, as they are written there:
/// the oldest are tarsum digests.
///
/// # Errors
/// Fails if the bytes are no manifest of schema 1, or break a bound of [`ManifestError`].
///
/// # Examples
/// ```
/// let bytes = br#"{"schemaVersion":1,"name":"a","fsLayers":[{"blobSum":"sha256:aa"}]}"#;
/// assert_eq!(wharfinger_oci::schema1_layers(bytes)?, ["sha256:aa"]);
/// # Ok::<(), wharfinger_oci::ManifestError>(())
/// ```
pub fn schema1_layers(bytes: &[u8]) -> Result<Vec<String>, ManifestError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { size: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?;
    let shape = json::shape(bytes);
    if shape.depth > MAX_MANIFEST_DEPTH {
        return Err(ManifestError::TooDeep);
    }
    if shape.commas >= MAX_MANIFEST_VALUES {
        return Err(ManifestError::TooManyValues);
    }
    let Document(fields) = serde_json::from_str(text)
        .map_err(|error| ManifestError::Json(bounded_message(&error.to_string())))?;
    if fields.schema_version != 1 {
        return Err(ManifestError::SchemaVersion {
            found: Some(fields.schema_version),
        });
    }
    let count = fields.fs_layers.len();
    if count > MAX_MANIFEST_DESCRIPTORS {
        return Err(ManifestError::TooManyDescriptors { count });
    }
    let layers = fields.fs_layers.into_iter();
    Ok(layers
        .map(|Layer(LayerFields { blob_sum })| blob_sum)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_as_they_are_written() {
        let bytes = br#"{"schemaVersion":1,"name":"library/old","tag":"1","architecture":"amd64",
            "fsLayers":[{"blobSum":"sha256:aa"},{"blobSum":"tarsum.v1+sha256:bb"}],
            "history":[{"v1Compatibility":"{}"}],"signatures":[{"header":{}}]}"#;
        assert_eq!(
            schema1_layers(bytes).unwrap(),
            ["sha256:aa", "tarsum.v1+sha256:bb"]
        );
        let none = br#"{"schemaVersion":1,"fsLayers":null}"#;
        assert!(schema1_layers(none).unwrap().is_empty());
    }

    #[test]
    fn what_may_mean_something_else_to_another_parser_is_refused() {
        for bad in [
            &br#"{"schemaVersion":2,"fsLayers":[]}"#[..],
            br#"{"schemaVersion":1,"fslayers":[]}"#,
            br#"{"schemaVersion":1,"fsLayers":[],"fsLayers":[]}"#,
            br#"{"schemaVersion":1,"fsLayers":[{"BlobSum":"sha256:aa"}]}"#,
            br#"{"schemaVersion":1,"fsLayers":[{}]}"#,
            b"{}",
            b"",
            b"\xff",
        ] {
            assert!(
                schema1_layers(bad).is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }
}
