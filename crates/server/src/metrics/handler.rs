//! What requests are counted under: never a name that a client has chosen.

use std::fmt;

use http::{Method, StatusCode};

/// What a request asked for, under the names that Distribution's metrics give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// `/v2/` and `/`.
    Base,
    /// A blob.
    Blob,
    /// The start of an upload.
    BlobUpload,
    /// An upload that goes on.
    BlobUploadChunk,
    /// The list of repositories.
    Catalog,
    /// A manifest.
    Manifest,
    /// A list of tags.
    Tags,
    /// A list of referrers, which Distribution does not have.
    Referrers,
    /// Nothing that there is.
    None,
}

impl Handler {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 9] = [
        Self::Base,
        Self::Blob,
        Self::BlobUpload,
        Self::BlobUploadChunk,
        Self::Catalog,
        Self::Manifest,
        Self::Tags,
        Self::Referrers,
        Self::None,
    ];

    /// Returns the value of the label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Blob => "blob",
            Self::BlobUpload => "blob_upload",
            Self::BlobUploadChunk => "blob_upload_chunk",
            Self::Catalog => "catalog",
            Self::Manifest => "manifest",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::None => "none",
        }
    }

    /// Returns what a path that was refused was probably meant for.
    pub(crate) fn meant(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::None;
        };
        let has = |part| rest.contains(part);
        match rest {
            "" => Self::Base,
            "_catalog" => Self::Catalog,
            _ if rest.ends_with("/blobs/uploads/") || rest.ends_with("/blobs/uploads") => {
                Self::BlobUpload
            }
            _ if has("/blobs/uploads/") => Self::BlobUploadChunk,
            _ if has("/blobs/") => Self::Blob,
            _ if has("/manifests/") => Self::Manifest,
            _ if has("/referrers/") => Self::Referrers,
            _ if rest.ends_with("/tags/list") => Self::Tags,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The methods that are told apart, in lower case as in Distribution; the last stands for all others.
pub(super) const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "other"];

/// Returns the place of a method in [`METHODS`].
pub(super) fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        _ => 6,
    }
}

/// The statuses that are told apart: those that the server answers with, and 499 for a client that
/// did not wait. Any other is counted as the first, which is no status.
pub(super) const STATUSES: [u16; 32] = [
    0, 200, 201, 202, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409, 411,
    412, 413, 414, 415, 416, 429, 431, 499, 500, 501, 502, 503, 507,
];

/// Returns the place of a status in [`STATUSES`].
pub(super) fn status_index(status: StatusCode) -> usize {
    STATUSES.binary_search(&status.as_u16()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_has_its_own_place() {
        for (index, handler) in Handler::ALL.into_iter().enumerate() {
            assert_eq!(handler as usize, index, "{handler}");
        }
    }

    #[test]
    fn statuses_are_found_in_their_order() {
        assert!(STATUSES.is_sorted());
        for (index, status) in STATUSES.into_iter().enumerate().skip(1) {
            assert_eq!(status_index(StatusCode::from_u16(status).unwrap()), index);
        }
        assert_eq!(status_index(StatusCode::IM_A_TEAPOT), 0);
    }

    #[test]
    fn a_refused_path_counts_for_what_it_was_meant_for() {
        for (path, handler) in [
            ("/v2/", Handler::Base),
            ("/v2/_catalog", Handler::Catalog),
            ("/v2/a/b/blobs/nonsense", Handler::Blob),
            ("/v2/a/blobs/uploads/", Handler::BlobUpload),
            ("/v2/a/blobs/uploads/../x", Handler::BlobUploadChunk),
            ("/v2/a/manifests/:", Handler::Manifest),
            ("/v2/A/tags/list", Handler::Tags),
            ("/v2/a/referrers/x", Handler::Referrers),
            ("/v1/_ping", Handler::None),
            ("/v2/a", Handler::None),
        ] {
            assert_eq!(Handler::meant(path), handler, "{path}");
        }
    }
}
