//! Everything that can be asked of the registry, one type each.
//!
//! Each action says which accesses it needs. As in Distribution, whoever pushes to a repository
//! must also be allowed to pull from it: an answer to a push tells what is already there.

use std::fmt::Debug;

use wharfinger_oci::{Digest, Reference, RepositoryName, Tag, UploadId};

use crate::{Access, Verb};

/// An action that has a rule.
pub trait Guarded: Debug {
    /// Returns everything that is needed; all of it must be allowed.
    fn accesses(&self) -> Vec<Access>;
}

/// Declares actions within one repository, and what they need there.
macro_rules! repository_actions {
    ($($(#[$doc:meta])* $action:ident needs [$($verb:ident)+] {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $action {
            /// The repository.
            pub name: RepositoryName,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Guarded for $action {
            fn accesses(&self) -> Vec<Access> {
                vec![$(Access::repository(&self.name, Verb::$verb)),+]
            }
        }
    )+};
}

repository_actions! {
    /// Reads a blob, or asks whether it is there.
    PullBlob needs [Pull] {
        /// Which one.
        digest: Digest,
    }
    /// Removes a blob from a repository.
    DeleteBlob needs [Delete] {
        /// Which one.
        digest: Digest,
    }
    /// Reads a manifest, or asks whether it is there.
    PullManifest needs [Pull] {
        /// Which one.
        reference: Reference,
    }
    /// Stores a manifest.
    PushManifest needs [Pull Push] {
        /// Under which digest, or under its own and this tag.
        reference: Reference,
        /// Which further tags shall point at it.
        tags: Vec<Tag>,
    }
    /// Lists the manifests that refer to another.
    ListReferrers needs [Pull] {
        /// To which one.
        subject: Digest,
    }
    /// Lists the extensions of the API that a repository has.
    ListRepositoryExtensions needs [Pull] {}
    /// Removes a manifest and its tags.
    DeleteManifest needs [Delete] {
        /// Which one.
        digest: Digest,
    }
    /// Removes a tag.
    DeleteTag needs [Delete] {
        /// Which one.
        tag: Tag,
    }
    /// Lists the tags.
    ListTags needs [Pull] {}
    /// Asks how far an upload has come.
    ReadUpload needs [Pull] {
        /// Which one.
        id: UploadId,
    }
    /// Adds bytes to an upload.
    WriteUpload needs [Pull Push] {
        /// Which one.
        id: UploadId,
    }
    /// Finishes an upload, so that it becomes a blob.
    FinishUpload needs [Pull Push] {
        /// Which one.
        id: UploadId,
    }
    /// Throws an upload away. Whoever may write it may do so.
    CancelUpload needs [Pull Push] {
        /// Which one.
        id: UploadId,
    }
}

/// Asks whether this is a registry, and whether it talks to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping;

impl Guarded for Ping {
    fn accesses(&self) -> Vec<Access> {
        Vec::new()
    }
}

/// Lists the extensions of the API that the registry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListExtensions;

impl Guarded for ListExtensions {
    fn accesses(&self) -> Vec<Access> {
        Vec::new()
    }
}

/// Lists the repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRepositories;

impl Guarded for ListRepositories {
    fn accesses(&self) -> Vec<Access> {
        vec![Access::Catalog]
    }
}

/// Starts an upload, or brings a blob in without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartUpload {
    /// The repository.
    pub name: RepositoryName,
    /// The blob that may make the upload unnecessary.
    pub mount: Option<Mount>,
}

impl Guarded for StartUpload {
    fn accesses(&self) -> Vec<Access> {
        let target = [Verb::Pull, Verb::Push].map(|verb| Access::repository(&self.name, verb));
        // Where the client leaves the source to the registry, each one that comes into question is
        // asked about as a pull from there.
        let source = self.mount.iter().filter_map(|mount| mount.from.as_ref());
        let source = source.map(|from| Access::repository(from, Verb::Pull));
        target.into_iter().chain(source).collect()
    }
}

/// A blob that lies in another repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The blob.
    pub digest: Digest,
    /// The repository that it lies in; `None` leaves it to the registry to find one.
    pub from: Option<RepositoryName>,
}
