//! From bytes to a manifest.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::{
    Children, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH, MAX_MANIFEST_DESCRIPTORS,
    MAX_MANIFEST_VALUES, Manifest, ManifestError, ManifestKind,
};
use crate::descriptor::{Descriptor, RawDescriptor};
use crate::text::bounded_message;
use crate::{json, media};

const KNOWN_KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
];

/// The fields of both kinds of manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default, deserialize_with = "list")]
    layers: List,
    #[serde(default, deserialize_with = "list")]
    manifests: List,
    #[serde(default)]
    subject: Option<RawDescriptor>,
    #[serde(default, deserialize_with = "json::or_default")]
    annotations: BTreeMap<String, String>,
}

/// A list that may be absent, or `null`: that is how Go prints a list that was never made.
type List = Option<Option<Vec<RawDescriptor>>>;

struct Document(Fields);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::guarded(deserializer, KNOWN_KEYS).map(Self)
    }
}

pub(super) fn parse(bytes: Bytes) -> Result<Manifest, ManifestError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { size: bytes.len() });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| ManifestError::NotUtf8)?;
    let shape = json::shape(&bytes);
    if shape.depth > MAX_MANIFEST_DEPTH {
        return Err(ManifestError::TooDeep);
    }
    if shape.commas >= MAX_MANIFEST_VALUES {
        return Err(ManifestError::TooManyValues);
    }
    let Document(fields) =
        serde_json::from_str(text).map_err(|error| ManifestError::Json(json_message(&error)))?;
    check_version(&fields)?;
    let (media_type, kind) = media_type(&fields)?;
    check_count(&fields)?;
    let children = match kind {
        ManifestKind::Image => Children::Image {
            config: Box::new(descriptor(
                fields
                    .config
                    .ok_or(ManifestError::MissingField { field: "config" })?,
                || "config".to_owned(),
            )?),
            layers: descriptors(fields.layers, "layers")?,
        },
        ManifestKind::Index => Children::Index {
            manifests: descriptors(fields.manifests, "manifests")?,
        },
    };
    let subject = fields
        .subject
        .map(|raw| descriptor(raw, || "subject".to_owned()))
        .transpose()?;
    Ok(Manifest {
        bytes,
        media_type,
        artifact_type: fields.artifact_type,
        subject,
        annotations: fields.annotations,
        children,
    })
}

/// Returns what is wrong with the JSON, and where. The parser quotes a value of a wrong type whole,
/// which may be the whole manifest.
fn json_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = message.strip_suffix(&place);
    let place = what.map(|_| place.as_str()).unwrap_or_default();
    bounded_message(what.unwrap_or(&message)) + place
}

fn check_version(fields: &Fields) -> Result<(), ManifestError> {
    if fields.media_type.as_deref().is_some_and(media::is_schema1) {
        return Err(ManifestError::Schema1);
    }
    match fields.schema_version {
        Some(2) => Ok(()),
        Some(1) => Err(ManifestError::Schema1),
        found => Err(ManifestError::SchemaVersion { found }),
    }
}

/// Tells the media type: what `mediaType` says, else what the shape is.
fn media_type(fields: &Fields) -> Result<(String, ManifestKind), ManifestError> {
    let has_list = |list: &List| matches!(list, Some(Some(_)));
    let config = fields.config.is_some().then_some("config");
    let layers = has_list(&fields.layers).then_some("layers");
    let manifests = has_list(&fields.manifests).then_some("manifests");
    if let (Some(_), Some(field)) = (manifests, layers.or(config)) {
        return Err(ManifestError::Ambiguous { field });
    }
    // Go prints an empty text where there is none.
    match fields
        .media_type
        .as_deref()
        .filter(|media_type| !media_type.is_empty())
    {
        Some(media_type) => {
            let (kind, unexpected) = if media::is_image(media_type) {
                (ManifestKind::Image, manifests)
            } else if media::is_index(media_type) {
                (ManifestKind::Index, layers.or(config))
            } else {
                return Err(ManifestError::UnsupportedMediaType {
                    media_type: media_type.to_owned(),
                });
            };
            match unexpected {
                Some(field) => Err(ManifestError::UnexpectedField {
                    field,
                    media_type: media_type.to_owned(),
                }),
                None => Ok((media_type.to_owned(), kind)),
            }
        }
        None if manifests.is_some() => Ok((media::OCI_INDEX.to_owned(), ManifestKind::Index)),
        None if config.is_some() => Ok((media::OCI_MANIFEST.to_owned(), ManifestKind::Image)),
        None => Err(ManifestError::MissingField { field: "mediaType" }),
    }
}

fn check_count(fields: &Fields) -> Result<(), ManifestError> {
    let len = |list: &List| list.iter().flatten().map(Vec::len).sum::<usize>();
    let count = usize::from(fields.config.is_some())
        + usize::from(fields.subject.is_some())
        + len(&fields.layers)
        + len(&fields.manifests);
    if count > MAX_MANIFEST_DESCRIPTORS {
        return Err(ManifestError::TooManyDescriptors { count });
    }
    Ok(())
}

fn descriptors(list: List, field: &'static str) -> Result<Vec<Descriptor>, ManifestError> {
    list.ok_or(ManifestError::MissingField { field })?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, raw)| descriptor(raw, || format!("{field}[{index}]")))
        .collect()
}

fn descriptor(
    raw: RawDescriptor,
    at: impl FnOnce() -> String,
) -> Result<Descriptor, ManifestError> {
    raw.try_into()
        .map_err(|error| ManifestError::Descriptor { at: at(), error })
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<List, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}
