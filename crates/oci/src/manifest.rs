//! Manifests: image manifests and indexes, as bytes with a view on them.
//!
//! The bytes are what was pushed and are never written anew: their digest is the manifest's name.
//! The view exists to decide what the manifest is and what it refers to, and is built under rules
//! that leave no room for two readings of the same bytes (CVE-2021-41190).

mod parse;
mod schema1;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::descriptor::{Descriptor, DescriptorError};
use crate::digest::{Algorithm, Digest};
use crate::text::excerpt;

pub use self::schema1::schema1_layers;

/// 4 MiB: largest manifest, the limit that the distribution specification asks registries for.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Most descriptors of one manifest; each costs a look-up when the manifest is pushed.
pub const MAX_MANIFEST_DESCRIPTORS: usize = 10_000;

/// How deeply the JSON of a manifest may be nested.
pub const MAX_MANIFEST_DEPTH: usize = 128;

/// Most members and elements of all objects and arrays of a manifest together.
///
/// The largest manifest reaches it when a value takes 21 bytes on average, key included; those of a
/// layer's descriptor take about 40. Without it, 4 MiB of empty values cost seconds and hundreds of
/// MiB.
pub const MAX_MANIFEST_VALUES: usize = 200_000;

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// It has a config and layers, which are blobs.
    Image,
    /// It has manifests.
    Index,
}

/// A manifest: its bytes, and what they say.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::{Manifest, ManifestKind, media};
///
/// let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
/// let manifest = Manifest::parse_stored(bytes.as_slice())?;
/// assert_eq!(manifest.kind(), ManifestKind::Index);
/// assert_eq!(manifest.media_type(), media::OCI_INDEX);
/// # Ok::<(), wharfinger_oci::ManifestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Manifest {
    bytes: Bytes,
    media_type: String,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
    children: Children,
}

#[derive(Debug, Clone)]
enum Children {
    Image {
        config: Box<Descriptor>,
        layers: Vec<Descriptor>,
    },
    Index {
        manifests: Vec<Descriptor>,
    },
}

impl Manifest {
    /// Parses a manifest that a client pushes, with the `Content-Type` of its request.
    ///
    /// # Errors
    ///
    /// Fails if the bytes break a rule of [`ManifestError`], if there is no content type, or if it
    /// is not the type that the bytes have. Parameters of the content type do not matter.
    pub fn parse(
        bytes: impl Into<Bytes>,
        content_type: Option<&str>,
    ) -> Result<Self, ManifestError> {
        let content_type = content_type.ok_or(ManifestError::MissingContentType)?;
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if crate::media::is_schema1(&essence.to_ascii_lowercase()) {
            return Err(ManifestError::Schema1);
        }
        let manifest = Self::parse_stored(bytes)?;
        if !essence.eq_ignore_ascii_case(&manifest.media_type) {
            return Err(ManifestError::ContentType {
                content_type: essence.to_owned(),
                media_type: manifest.media_type,
            });
        }
        Ok(manifest)
    }

    /// Parses a manifest that is known by its bytes alone, as in the store.
    ///
    /// # Errors
    ///
    /// Fails if the bytes break a rule of [`ManifestError`].
    pub fn parse_stored(bytes: impl Into<Bytes>) -> Result<Self, ManifestError> {
        parse::parse(bytes.into())
    }

    /// Returns the bytes as they were pushed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the media type, which follows from the bytes.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Returns what it is.
    pub fn kind(&self) -> ManifestKind {
        match self.children {
            Children::Image { .. } => ManifestKind::Image,
            Children::Index { .. } => ManifestKind::Index,
        }
    }

    /// Returns the config of an image.
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.children {
            Children::Image { config, .. } => Some(config),
            Children::Index { .. } => None,
        }
    }

    /// Returns the layers of an image; an index has none.
    pub fn layers(&self) -> &[Descriptor] {
        match &self.children {
            Children::Image { layers, .. } => layers,
            Children::Index { .. } => &[],
        }
    }

    /// Returns the manifests of an index; an image has none.
    pub fn manifests(&self) -> &[Descriptor] {
        match &self.children {
            Children::Image { .. } => &[],
            Children::Index { manifests } => manifests,
        }
    }

    /// Returns the manifest that this one refers to; it need not exist.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// Returns the annotations of the manifest itself.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Returns the type of artifact that the manifest says it is.
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// Computes the digest of the bytes.
    pub fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.bytes)
    }

    /// Returns everything that the manifest needs: config and layers, or manifests; not the
    /// subject.
    pub fn references(&self) -> impl Iterator<Item = &Descriptor> {
        self.config()
            .into_iter()
            .chain(self.layers())
            .chain(self.manifests())
    }
}

/// Why bytes are no [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// There are more than [`MAX_MANIFEST_BYTES`].
    #[error("manifest has {size} bytes, more than {MAX_MANIFEST_BYTES}")]
    TooLarge {
        /// How many there are.
        size: usize,
    },
    /// The bytes are not UTF-8.
    #[error("manifest is not UTF-8")]
    NotUtf8,
    /// Objects and arrays lie in each other more than [`MAX_MANIFEST_DEPTH`] times.
    #[error("manifest is nested more than {MAX_MANIFEST_DEPTH} levels deep")]
    TooDeep,
    /// There are more than [`MAX_MANIFEST_VALUES`].
    #[error("manifest has more than {MAX_MANIFEST_VALUES} values")]
    TooManyValues,
    /// The bytes are no JSON, a field has the wrong type, or a key comes twice.
    #[error("malformed manifest: {0}")]
    Json(String),
    /// The schema version is missing, or one that does not exist.
    #[error("manifest has schema version {}, not 2", .found.map_or("none".to_owned(), |n| n.to_string()))]
    SchemaVersion {
        /// The version, if there is one.
        found: Option<u64>,
    },
    /// It is a manifest of schema 1.
    #[error("schema 1 manifests are not supported")]
    Schema1,
    /// The request has no `Content-Type`.
    #[error("manifest has no content type")]
    MissingContentType,
    /// The request's `Content-Type` is not the type that the bytes have.
    #[error("content type `{}` is not the manifest's type `{media_type}`", excerpt(.content_type))]
    ContentType {
        /// What the request says.
        content_type: String,
        /// What the bytes say.
        media_type: String,
    },
    /// `mediaType` is not one of a manifest.
    #[error("media type `{}` is not supported for manifests", excerpt(.media_type))]
    UnsupportedMediaType {
        /// What the bytes say.
        media_type: String,
    },
    /// It has `manifests` beside `config` or `layers`, so that it could be read as either.
    #[error("manifest has both `manifests` and `{field}`")]
    Ambiguous {
        /// The other field.
        field: &'static str,
    },
    /// A field is missing that its media type, or any manifest, must have.
    #[error("manifest has no `{field}`")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field is there that belongs to another media type.
    #[error("manifest of type `{media_type}` has `{field}`")]
    UnexpectedField {
        /// The field.
        field: &'static str,
        /// What the bytes say.
        media_type: String,
    },
    /// There are more than [`MAX_MANIFEST_DESCRIPTORS`].
    #[error("manifest has {count} descriptors, more than {MAX_MANIFEST_DESCRIPTORS}")]
    TooManyDescriptors {
        /// How many there are.
        count: usize,
    },
    /// A descriptor is wrong.
    #[error("manifest has a bad descriptor at `{at}`: {error}")]
    Descriptor {
        /// Where it is, such as `layers[3]`.
        at: String,
        /// What is wrong with it.
        error: DescriptorError,
    },
}
