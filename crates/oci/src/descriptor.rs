//! Descriptors: what a manifest says about something else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::{Digest, DigestError};

/// The type, digest and size of some content (OCI image specification, *Content Descriptors*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content; any text, for it is not checked against anything.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Where else the content may be had. The registry never goes there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes of whoever made it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The type of the artifact that a manifest stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What an image of an index runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The content itself in base64; see [`inline_content`](Self::inline_content).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// Creates a descriptor with nothing but what each must have.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            artifact_type: None,
            platform: None,
            data: None,
        }
    }

    /// Returns the content that `data` holds, or `None` if there is no `data`.
    ///
    /// # Errors
    ///
    /// Fails if `data` is no base64, or its bytes are not of this size and digest.
    pub fn inline_content(&self) -> Result<Option<Vec<u8>>, DescriptorError> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let content = STANDARD.decode(data).map_err(|_| DescriptorError::Data)?;
        if content.len() as u64 != self.size
            || Digest::of(self.digest.algorithm(), &content) != self.digest
        {
            return Err(DescriptorError::Data);
        }
        Ok(Some(content))
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(RawDescriptor::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What an image runs on (OCI image specification, *Image Index*).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// The processor, in Go's words: `amd64`.
    pub architecture: String,
    /// The operating system, in Go's words: `linux`.
    pub os: String,
    /// The version of the operating system.
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must have.
    #[serde(rename = "os.features", skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
    /// The variant of the processor: `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

const PLATFORM_KEYS: &[&str] = &["architecture", "os", "os.version", "os.features", "variant"];

/// A [`Platform`] whose keys were looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PlatformFields {
    architecture: String,
    os: String,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(rename = "os.features")]
    os_features: Option<Vec<String>>,
    variant: Option<String>,
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields: PlatformFields = crate::json::guarded(deserializer, PLATFORM_KEYS)?;
        Ok(Self {
            architecture: fields.architecture,
            os: fields.os,
            os_version: fields.os_version,
            os_features: fields.os_features,
            variant: fields.variant,
        })
    }
}

/// Why something is no [`Descriptor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The digest is wrong.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The size is beyond what a signed 64-bit number holds, which is what others count with.
    #[error("size {0} is too large")]
    Size(u64),
    /// The inline content is not what the descriptor says.
    #[error("inline data does not match the descriptor")]
    Data,
}

/// A descriptor whose digest was not looked at, so that a manifest can say which one is wrong.
#[derive(Debug)]
pub(crate) struct RawDescriptor(RawFields);

const KNOWN_KEYS: &[&str] = &[
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "artifactType",
    "platform",
    "data",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFields {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, deserialize_with = "crate::json::or_default")]
    urls: Vec<String>,
    #[serde(default, deserialize_with = "crate::json::or_default")]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    data: Option<String>,
}

impl<'de> Deserialize<'de> for RawDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::guarded(deserializer, KNOWN_KEYS).map(Self)
    }
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = DescriptorError;

    fn try_from(RawDescriptor(raw): RawDescriptor) -> Result<Self, DescriptorError> {
        if i64::try_from(raw.size).is_err() {
            return Err(DescriptorError::Size(raw.size));
        }
        Ok(Self {
            media_type: raw.media_type,
            digest: raw.digest.parse()?,
            size: raw.size,
            urls: raw.urls,
            annotations: raw.annotations,
            artifact_type: raw.artifact_type,
            platform: raw.platform,
            data: raw.data,
        })
    }
}
