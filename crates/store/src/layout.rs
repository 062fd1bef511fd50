//! The tree of every path. It is Distribution's layout, version 2; what is ours has `wharfinger` in its name.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/ALG/HH/HEX/data                       the bytes of a blob; HH are the first two digits of HEX
//!   repositories/NAME/
//!     _layers/ALG/HEX/link                      the repository's right to a blob
//!     _manifests/revisions/ALG/HEX/link         … to a manifest
//!     _manifests/tags/TAG/current/link          what the tag points at
//!     _manifests/tags/TAG/index/ALG/HEX/link    what it has pointed at
//!     _uploads/ID/startedat                     when the upload was started; without it there is none
//!     _uploads/ID/data                          what has arrived
//!     _uploads/ID/hashstates/ALG/OFFSET         the hasher's state at an offset, in Go's form
//!     _uploads/ID/wharfinger                    our checkpoint: offsets, states and their MAC
//!     _wharfinger/referrers/ALG/HEX/ALG-HEX     what is listed of a manifest whose subject is ALG:HEX
//!     _wharfinger/seen/ALG                      the manifests that were looked at for that
//!   _wharfinger/journal/                        the filesystem driver's journal
//!   _wharfinger/probe-ID                        for a moment, whether anything can be written
//!   _wharfinger/writers                         locked: shared by who writes, alone by who collects garbage
//!   _wharfinger/catalog                         the names of all repositories, as they were some time ago
//!   _wharfinger/sources/ALG/HH/HEX              some repositories that have linked a blob
//!   _wharfinger/secret                          the key of our checkpoints, where no other is given
//!   _wharfinger/tenants/TENANT/                 a tenant of the content service
//!     claims/ALG/HEX/link                       its right to a blob
//!     claims/ALG/HEX/claim                      when that was made, and its labels
//!     claims/ALG/HEX/data                       a second name of the bytes, where files can have one
//!     ingests/ID/…                              as an upload's; ID is the sha256 digest of its ref
//!     ingests/ID/ref                            the ref itself, and what else its writer has told
//!     namespaces/NAMESPACE/…                    the same once more: one client's view among several
//! ```
//!
//! A link's content is a digest, `ALG:HEX`, without a newline. A link normally names the digest of
//! its own path; Distribution also writes links under another algorithm's digest whose content is
//! the sha256 digest that the bytes lie under. Reading follows the content.

use wharfinger_driver::DriverPath;
use wharfinger_oci::{Algorithm, Digest, RepositoryName, Tag, UploadId};

use crate::tenant::TenantName;

const ROOT: &str = "docker/registry/v2";
const BLOBS: &str = "docker/registry/v2/blobs";
const REPOSITORIES: &str = "docker/registry/v2/repositories";

/// Below a repository.
const REVISIONS: &str = "_manifests/revisions";
const TAGS: &str = "_manifests/tags";
const REFERRERS: &str = "_wharfinger/referrers";

/// Returns the paths at which a symbolic link is followed: people put blobs or repositories on
/// another disk. Below them none is.
#[must_use]
pub fn followed() -> Vec<DriverPath> {
    vec![root(), blobs(), repositories()]
}

/// Returns where the filesystem driver keeps its journal: Distribution looks only into `blobs` and
/// `repositories`.
#[must_use]
pub fn journal() -> DriverPath {
    path([ROOT, "_wharfinger/journal"])
}

/// Returns the top of the tree.
#[must_use]
pub fn root() -> DriverPath {
    path([ROOT])
}

/// Returns where a process that calls itself `id` finds out whether anything can be written.
#[must_use]
pub fn probe(id: u64) -> DriverPath {
    path([ROOT, "_wharfinger", &format!("probe-{id:016x}")])
}

/// Returns the file that everybody locks who writes: shared, or alone to collect garbage.
#[must_use]
pub fn writers() -> DriverPath {
    path([ROOT, "_wharfinger/writers"])
}

/// Returns where the key of our checkpoints is kept when no other is given.
#[must_use]
pub fn secret() -> DriverPath {
    path([ROOT, "_wharfinger/secret"])
}

/// Makes a path of words that this module or a grammar has checked.
fn path<const N: usize>(parts: [&str; N]) -> DriverPath {
    DriverPath::of(parts)
        .expect("names, tags, digests and upload ids hold only what a path may hold")
}

/// `blobs`
pub(crate) fn blobs() -> DriverPath {
    path([BLOBS])
}

/// `_wharfinger/catalog`
pub(crate) fn catalog() -> DriverPath {
    path([ROOT, "_wharfinger/catalog"])
}

/// `_wharfinger/sources/ALG/HH/HEX`
pub(crate) fn sources(digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let hex = text.hex();
    path([ROOT, "_wharfinger/sources", algorithm, &hex[..2], hex])
}

/// `repositories`
pub(crate) fn repositories() -> DriverPath {
    path([REPOSITORIES])
}

/// `blobs/ALG/HH/HEX/data`
pub(crate) fn blob_data(digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let hex = text.hex();
    path([BLOBS, algorithm, &hex[..2], hex, "data"])
}

/// `_layers/ALG/HEX/link`
pub(crate) fn layer_link(name: &RepositoryName, digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let (name, hex) = (name.as_str(), text.hex());
    path([REPOSITORIES, name, "_layers", algorithm, hex, "link"])
}

/// `_manifests`, which makes a directory a repository.
pub(crate) fn manifests(name: &RepositoryName) -> DriverPath {
    path([REPOSITORIES, name.as_str(), "_manifests"])
}

/// `_manifests/revisions/ALG`
pub(crate) fn revisions(name: &RepositoryName, algorithm: Algorithm) -> DriverPath {
    let (name, algorithm) = (name.as_str(), algorithm.as_str());
    path([REPOSITORIES, name, REVISIONS, algorithm])
}

/// `_manifests/revisions/ALG/HEX`
pub(crate) fn revision(name: &RepositoryName, digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let (name, hex) = (name.as_str(), text.hex());
    path([REPOSITORIES, name, REVISIONS, algorithm, hex])
}

/// `_manifests/revisions/ALG/HEX/link`
pub(crate) fn revision_link(name: &RepositoryName, digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let (name, hex) = (name.as_str(), text.hex());
    path([REPOSITORIES, name, REVISIONS, algorithm, hex, "link"])
}

/// `_manifests/tags`
pub(crate) fn tags(name: &RepositoryName) -> DriverPath {
    path([REPOSITORIES, name.as_str(), TAGS])
}

/// `_manifests/tags/TAG`
pub(crate) fn tag(name: &RepositoryName, tag: &Tag) -> DriverPath {
    path([REPOSITORIES, name.as_str(), TAGS, tag.as_str()])
}

/// `_manifests/tags/TAG/current/link`
pub(crate) fn tag_current(name: &RepositoryName, tag: &Tag) -> DriverPath {
    let (name, tag) = (name.as_str(), tag.as_str());
    path([REPOSITORIES, name, TAGS, tag, "current/link"])
}

/// `_manifests/tags/TAG/index/ALG/HEX/link`
pub(crate) fn tag_index_link(name: &RepositoryName, tag: &Tag, digest: &Digest) -> DriverPath {
    let (algorithm, text) = (digest.algorithm().as_str(), digest.text());
    let (name, tag, hex) = (name.as_str(), tag.as_str(), text.hex());
    path([
        REPOSITORIES,
        name,
        TAGS,
        tag,
        "index",
        algorithm,
        hex,
        "link",
    ])
}

/// `_wharfinger/referrers/ALG/HEX`
pub(crate) fn referrers(name: &RepositoryName, subject: &Digest) -> DriverPath {
    let (algorithm, text) = (subject.algorithm().as_str(), subject.text());
    let (name, hex) = (name.as_str(), text.hex());
    path([REPOSITORIES, name, REFERRERS, algorithm, hex])
}

/// `ALG-HEX`, the name of a referrer; in the order of these names they are listed.
pub(crate) fn referrer_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.text().hex())
}

/// Reads [`referrer_name`].
pub(crate) fn referrer_of(name: &str) -> Option<Digest> {
    name.replacen('-', ":", 1).parse().ok()
}

/// `_wharfinger/referrers/ALG/HEX/ALG-HEX`
pub(crate) fn referrer(name: &RepositoryName, subject: &Digest, digest: &Digest) -> DriverPath {
    let of_subject = referrers(name, subject);
    path([of_subject.as_str(), &referrer_name(digest)])
}

/// `_wharfinger/seen/ALG`
pub(crate) fn seen(name: &RepositoryName, algorithm: Algorithm) -> DriverPath {
    let (name, algorithm) = (name.as_str(), algorithm.as_str());
    path([REPOSITORIES, name, "_wharfinger/seen", algorithm])
}

/// `_uploads`
pub(crate) fn uploads(name: &RepositoryName) -> DriverPath {
    path([REPOSITORIES, name.as_str(), "_uploads"])
}

/// `_wharfinger/tenants/TENANT`
pub(crate) fn tenant(name: &TenantName) -> DriverPath {
    path([ROOT, "_wharfinger/tenants", name.as_str()])
}

/// `namespaces`, below a tenant.
pub(crate) fn namespaces(tenant: &DriverPath) -> DriverPath {
    path([tenant.as_str(), "namespaces"])
}

/// `namespaces/NAMESPACE`
pub(crate) fn namespace(tenant: &DriverPath, name: &TenantName) -> DriverPath {
    path([tenant.as_str(), "namespaces", name.as_str()])
}

/// `ingests`
pub(crate) fn tenant_ingests(tenant: &DriverPath) -> DriverPath {
    path([tenant.as_str(), "ingests"])
}

/// `claims/ALG`
pub(crate) fn claims(tenant: &DriverPath, algorithm: Algorithm) -> DriverPath {
    path([tenant.as_str(), "claims", algorithm.as_str()])
}

/// The paths of one claim, below the directory that it has for itself.
#[derive(Debug, Clone)]
pub(crate) struct ClaimPaths {
    pub(crate) directory: DriverPath,
}

impl ClaimPaths {
    /// `claims/ALG/HEX`
    pub(crate) fn new(tenant: &DriverPath, digest: &Digest) -> Self {
        Self {
            directory: path([
                claims(tenant, digest.algorithm()).as_str(),
                digest.text().hex(),
            ]),
        }
    }

    /// `claims/ALG/HEX/link`
    pub(crate) fn link(&self) -> DriverPath {
        path([self.directory.as_str(), "link"])
    }

    /// `claims/ALG/HEX/claim`
    pub(crate) fn claim(&self) -> DriverPath {
        path([self.directory.as_str(), "claim"])
    }

    /// `claims/ALG/HEX/data`
    pub(crate) fn data(&self) -> DriverPath {
        path([self.directory.as_str(), "data"])
    }
}

/// The paths of one ingest, below the directory that it has for itself.
#[derive(Debug, Clone)]
pub(crate) struct IngestPaths {
    pub(crate) directory: DriverPath,
}

impl IngestPaths {
    /// The paths of the ingest `id` in `set`, such as [`uploads`].
    pub(crate) fn new(set: &DriverPath, id: &UploadId) -> Self {
        Self {
            directory: path([set.as_str(), id.as_str()]),
        }
    }

    fn below(&self, relative: &str) -> DriverPath {
        path([self.directory.as_str(), relative])
    }

    /// `ID/data`
    pub(crate) fn data(&self) -> DriverPath {
        self.below("data")
    }

    /// `ID/startedat`
    pub(crate) fn started_at(&self) -> DriverPath {
        self.below("startedat")
    }

    /// `ID/hashstates`
    pub(crate) fn hash_states(&self) -> DriverPath {
        self.below("hashstates")
    }

    /// `ID/hashstates/ALG/OFFSET`
    pub(crate) fn hash_state(&self, algorithm: Algorithm, offset: u64) -> DriverPath {
        self.below(&format!("hashstates/{algorithm}/{offset}"))
    }

    /// `ID/ref`
    pub(crate) fn reference(&self) -> DriverPath {
        self.below("ref")
    }

    /// `ID/wharfinger`
    pub(crate) fn marker(&self) -> DriverPath {
        self.below("wharfinger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_distribution() {
        let name: RepositoryName = "library/alpine".parse().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"hello");
        let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let tag_name: Tag = "v1.0".parse().unwrap();
        let repository = "docker/registry/v2/repositories/library/alpine";
        let cases = [
            (
                blob_data(&digest),
                format!("docker/registry/v2/blobs/sha256/2c/{hex}/data"),
            ),
            (
                layer_link(&name, &digest),
                format!("{repository}/_layers/sha256/{hex}/link"),
            ),
            (
                revision_link(&name, &digest),
                format!("{repository}/_manifests/revisions/sha256/{hex}/link"),
            ),
            (
                tag_current(&name, &tag_name),
                format!("{repository}/_manifests/tags/v1.0/current/link"),
            ),
            (
                tag_index_link(&name, &tag_name, &digest),
                format!("{repository}/_manifests/tags/v1.0/index/sha256/{hex}/link"),
            ),
        ];
        for (path, expected) in cases {
            assert_eq!(path.as_str(), expected);
        }
        let upload = IngestPaths::new(&uploads(&name), &"0-1".parse().unwrap());
        assert_eq!(
            upload.hash_state(Algorithm::Sha256, 7).as_str(),
            format!("{repository}/_uploads/0-1/hashstates/sha256/7")
        );
    }
}
