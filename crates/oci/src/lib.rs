//! The nouns and wire words of a registry.
//!
//! Everything here is pure and synchronous: texts and bytes become types that hold only what is
//! valid, and types become texts and bytes again. There is no I/O and no clock, and no panic
//! whatever the input.
//!
//! | what | types |
//! |---|---|
//! | content | [`Digest`], [`Algorithm`], [`Hasher`], [`HashState`] |
//! | names | [`RepositoryName`], [`Tag`], [`Reference`], [`UploadId`] |
//! | manifests | [`Manifest`], [`Descriptor`], [`media`] |
//! | requests | [`Route`], [`Query`], [`RequestedRange`], [`ChunkRange`] |
//! | answers | [`Errors`], [`Code`], [`ContentRange`], [`UploadedRange`], [`NextLink`] |
//!
//! The words are those of the OCI distribution specification 1.1 and the OCI image specification
//! 1.1; where both leave something open, Distribution's behaviour decides.
//!
//! # Examples
//!
//! A blob is pushed in two pieces, and its hasher moves to another process between them.
//!
//! ```
//! use wharfinger_oci::{Algorithm, HashState, Hasher, Route};
//!
//! let mut hasher = Hasher::new(Algorithm::Sha256);
//! hasher.update(b"first half, ");
//! let saved = hasher.state().as_bytes().to_vec();
//!
//! let mut hasher = Hasher::restore(&HashState::from_bytes(&saved)?)?;
//! hasher.update(b"second half");
//! let digest = hasher.finish();
//!
//! let blob = Route::Blob { name: "library/alpine".parse()?, digest };
//! assert_eq!(blob, Route::parse(&format!("/v2/library/alpine/blobs/{digest}"))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod challenge;
mod descriptor;
mod digest;
mod error;
mod json;
mod link;
mod manifest;
pub mod media;
mod name;
mod query;
mod range;
mod reference;
mod route;
mod text;

pub use crate::challenge::Challenge;
pub use crate::descriptor::{Descriptor, DescriptorError, Platform};
pub use crate::digest::{Algorithm, Digest, DigestError, HashState, HashStateError, Hasher};
pub use crate::error::{ApiError, Code, CodeTable, DuplicateCode, Errors, code};
pub use crate::link::{LinkError, NextLink};
pub use crate::manifest::{
    MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH, MAX_MANIFEST_DESCRIPTORS, MAX_MANIFEST_VALUES,
    Manifest, ManifestError, ManifestKind, schema1_layers,
};
pub use crate::name::{NameError, RepositoryName, Tag, TagError, UploadId, UploadIdError};
pub use crate::query::{Query, QueryError};
pub use crate::range::{
    ByteRange, ChunkRange, ContentRange, RangeError, RequestedRange, UploadedRange,
};
pub use crate::reference::{Reference, ReferenceError};
pub use crate::route::{Route, RouteError};
