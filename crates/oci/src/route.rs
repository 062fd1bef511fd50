//! The one grammar of `/v2/` paths, parsed and printed by the same code.
//!
//! ```text
//! /v2/                                 Base        also without the last slash
//! /v2/_catalog                         Catalog
//! /v2/NAME/tags/list                   Tags
//! /v2/NAME/manifests/REFERENCE         Manifest
//! /v2/NAME/blobs/DIGEST                Blob
//! /v2/NAME/blobs/uploads/              Uploads     also without the last slash
//! /v2/NAME/blobs/uploads/ID            Upload
//! /v2/NAME/referrers/DIGEST            Referrers
//! /v2/_oci/ext/discover                Extensions
//! /v2/NAME/_oci/ext/discover           Extensions
//! ```
//!
//! `NAME` has any number of components, and `blobs` or `manifests` may be among them; so a path is
//! read from its right end, where the last segments tell the kind of route and all before them is
//! the name.
//!
//! Nothing is normalised: a path that some proxy in front might read in another way is refused.
//! There are no empty, `.` or `..` segments, and escapes are understood in the last segment alone,
//! where clients do send a digest with its colon as `%3A`. An escaped slash, dot or NUL is refused
//! there too.

use std::fmt;

use crate::digest::{Digest, DigestError};
use crate::error::{ApiError, Code, code};
use crate::name::{NameError, RepositoryName, UploadId, UploadIdError};
use crate::reference::{Reference, ReferenceError};
use crate::text::percent_decode;

/// Where a path leads.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::Route;
///
/// let route = Route::parse("/v2/library/alpine/tags/list")?;
/// assert_eq!(route, Route::Tags { name: "library/alpine".parse()? });
/// assert_eq!(route.to_string(), "/v2/library/alpine/tags/list");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// The root, which tells a client that this is a registry.
    Base,
    /// The list of repositories.
    Catalog,
    /// The list of a repository's tags.
    Tags {
        /// The repository.
        name: RepositoryName,
    },
    /// A manifest.
    Manifest {
        /// The repository.
        name: RepositoryName,
        /// The manifest's tag or digest.
        reference: Reference,
    },
    /// A blob.
    Blob {
        /// The repository.
        name: RepositoryName,
        /// The blob's digest.
        digest: Digest,
    },
    /// Where uploads start.
    Uploads {
        /// The repository.
        name: RepositoryName,
    },
    /// A running upload.
    Upload {
        /// The repository.
        name: RepositoryName,
        /// The session.
        id: UploadId,
    },
    /// The manifests that refer to another.
    Referrers {
        /// The repository.
        name: RepositoryName,
        /// The digest of the manifest referred to.
        digest: Digest,
    },
    /// The list of extensions of the API.
    Extensions {
        /// The repository, if it is asked what there is for one.
        name: Option<RepositoryName>,
    },
}

/// The list of extensions, below the registry or a repository; no name has an underscore first.
const EXTENSIONS: &str = "_oci/ext/discover";

impl Route {
    /// Parses the path of a request, as it was sent and without its query.
    ///
    /// # Errors
    ///
    /// See [`RouteError`], which also knows the code to answer with.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        if path == "/v2" || path == "/v2/" {
            return Ok(Self::Base);
        }
        let rest = path.strip_prefix("/v2/").ok_or(RouteError::NotFound)?;
        // The one route that ends with a slash gets the form that it may also be sent in.
        let rest = match rest.strip_suffix('/') {
            Some(without) if without.ends_with("/blobs/uploads") => without,
            _ => rest,
        };
        if let Some(before) = rest.strip_suffix(EXTENSIONS) {
            return match before.strip_suffix('/') {
                None if before.is_empty() => Ok(Self::Extensions { name: None }),
                None => Err(RouteError::NotFound),
                Some(name) => Ok(Self::Extensions {
                    name: Some(name.parse()?),
                }),
            };
        }
        let Some((before, last)) = rest.rsplit_once('/') else {
            return if rest == "_catalog" {
                Ok(Self::Catalog)
            } else {
                Err(RouteError::NotFound)
            };
        };
        if before
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
            || before.contains('%')
        {
            return Err(RouteError::BadPath);
        }
        let value = decode_segment(last)?;
        let (name, word) = before.rsplit_once('/').ok_or(RouteError::NotFound)?;
        match (word, last) {
            (_, "") => Err(RouteError::NotFound),
            ("tags", "list") => Ok(Self::Tags {
                name: name.parse()?,
            }),
            ("manifests", _) => Ok(Self::Manifest {
                name: name.parse()?,
                reference: value.parse()?,
            }),
            ("blobs", "uploads") => Ok(Self::Uploads {
                name: name.parse()?,
            }),
            ("blobs", _) => Ok(Self::Blob {
                name: name.parse()?,
                digest: value.parse()?,
            }),
            ("referrers", _) => Ok(Self::Referrers {
                name: name.parse()?,
                digest: value.parse()?,
            }),
            ("uploads", _) => {
                let name = name.strip_suffix("/blobs").ok_or(RouteError::NotFound)?;
                Ok(Self::Upload {
                    name: name.parse()?,
                    id: value.parse()?,
                })
            }
            _ => Err(RouteError::NotFound),
        }
    }

    /// Returns the repository that the route is in, if it is in one.
    pub fn name(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Extensions { name } => name.as_ref(),
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Referrers { name, .. } => Some(name),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every character of every part may stand in a path as it is (RFC 3986, section 3.3).
        match self {
            Self::Base => f.write_str("/v2/"),
            Self::Catalog => f.write_str("/v2/_catalog"),
            Self::Tags { name } => write!(f, "/v2/{name}/tags/list"),
            Self::Manifest { name, reference } => write!(f, "/v2/{name}/manifests/{reference}"),
            Self::Blob { name, digest } => write!(f, "/v2/{name}/blobs/{digest}"),
            Self::Uploads { name } => write!(f, "/v2/{name}/blobs/uploads/"),
            Self::Upload { name, id } => write!(f, "/v2/{name}/blobs/uploads/{id}"),
            Self::Referrers { name, digest } => write!(f, "/v2/{name}/referrers/{digest}"),
            Self::Extensions { name: None } => write!(f, "/v2/{EXTENSIONS}"),
            Self::Extensions { name: Some(name) } => write!(f, "/v2/{name}/{EXTENSIONS}"),
        }
    }
}

/// Why a path is no [`Route`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// There is no such route.
    #[error("no such route")]
    NotFound,
    /// The path could be read in more than one way.
    #[error("path has an empty, relative or escaped segment")]
    BadPath,
    /// The repository name is wrong.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// The digest is wrong.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// The reference of a manifest is neither a tag nor a digest.
    #[error(transparent)]
    BadReference(#[from] ReferenceError),
    /// The upload id is wrong.
    #[error(transparent)]
    BadUploadId(#[from] UploadIdError),
}

impl RouteError {
    /// Returns the code to answer with.
    pub fn code(&self) -> &'static Code {
        match self {
            Self::NotFound => &code::NO_ROUTE,
            Self::BadPath | Self::BadName(_) => &code::NAME_INVALID,
            Self::BadDigest(_) | Self::BadReference(ReferenceError::Digest(_)) => {
                &code::DIGEST_INVALID
            }
            Self::BadReference(ReferenceError::Tag(_)) => &code::TAG_INVALID,
            Self::BadUploadId(_) => &code::BLOB_UPLOAD_UNKNOWN,
        }
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        Self::new(error.code()).with_detail(error.to_string())
    }
}

/// Decodes the last segment of a path.
fn decode_segment(segment: &str) -> Result<String, RouteError> {
    if matches!(segment, "." | "..") {
        return Err(RouteError::BadPath);
    }
    if !segment.contains('%') {
        return Ok(segment.to_owned());
    }
    let lower = segment.to_ascii_lowercase();
    if ["%2f", "%2e", "%00"]
        .iter()
        .any(|escape| lower.contains(escape))
    {
        return Err(RouteError::BadPath);
    }
    let bytes = percent_decode(segment, false).ok_or(RouteError::BadPath)?;
    String::from_utf8(bytes).map_err(|_| RouteError::BadPath)
}
