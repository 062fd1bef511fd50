//! From a method and a path to a typed action.
//!
//! ```text
//! /                                    GET HEAD                  Front
//! /v2/                                 GET HEAD                  Ping
//! /v2/_catalog                         GET HEAD                  ListRepositories
//! /v2/NAME/tags/list                   GET HEAD                  ListTags
//! /v2/NAME/manifests/REFERENCE         GET HEAD                  PullManifest
//!                                      PUT                       PushManifest
//! /v2/NAME/manifests/DIGEST            DELETE                    DeleteManifest
//! /v2/NAME/manifests/TAG               DELETE                    DeleteTag
//! /v2/NAME/referrers/DIGEST            GET HEAD                  ListReferrers
//! /v2/_oci/ext/discover                GET HEAD                  ListExtensions
//! /v2/NAME/_oci/ext/discover           GET HEAD                  ListRepositoryExtensions
//! /v2/NAME/blobs/DIGEST                GET HEAD                  PullBlob
//!                                      DELETE                    DeleteBlob
//! /v2/NAME/blobs/uploads/              POST                      StartUpload
//! /v2/NAME/blobs/uploads/ID            GET HEAD                  ReadUpload
//!                                      PATCH                     WriteUpload
//!                                      PUT                       FinishUpload
//!                                      DELETE                    CancelUpload
//! ```
//!
//! Any other method is refused with 405 and the list of those there are, any other path with 404;
//! but that is told to those alone who may talk to the registry.

use http::Method;
use wharfinger_auth::Guarded;
use wharfinger_auth::action::{
    CancelUpload, DeleteBlob, DeleteManifest, DeleteTag, FinishUpload, ListExtensions,
    ListReferrers, ListRepositories, ListRepositoryExtensions, ListTags, Mount, Ping, PullBlob,
    PullManifest, PushManifest, ReadUpload, StartUpload, WriteUpload,
};
use wharfinger_oci::{Query, Reference, RepositoryName, Route, RouteError, Tag, code};

use crate::error::{Failure, TARGET_TOO_LONG};
use crate::metrics::Handler;

/// 64: the specification asks for ten at least, and twice as many hardly fit into a URL.
const MAX_TAGS: usize = 64;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The front page, which load balancers ask for; it tells nothing, and so needs no right.
    Front,
    Ping(Ping),
    ListRepositories(ListRepositories),
    ListTags(ListTags),
    PullManifest(PullManifest),
    PushManifest(PushManifest),
    DeleteManifest(DeleteManifest),
    DeleteTag(DeleteTag),
    ListReferrers(ListReferrers),
    ListExtensions(ListExtensions),
    ListRepositoryExtensions(ListRepositoryExtensions),
    PullBlob(PullBlob),
    DeleteBlob(DeleteBlob),
    StartUpload(StartUpload),
    ReadUpload(ReadUpload),
    WriteUpload(WriteUpload),
    FinishUpload(FinishUpload),
    CancelUpload(CancelUpload),
}

impl Action {
    /// Tells whether it brings content, which costs more than to give it out.
    pub(crate) fn brings_content(&self) -> bool {
        matches!(
            self,
            Self::PushManifest(_)
                | Self::StartUpload(_)
                | Self::WriteUpload(_)
                | Self::FinishUpload(_)
        )
    }

    /// Returns what it is counted under.
    pub(crate) fn handler(&self) -> Handler {
        match self {
            Self::Front
            | Self::Ping(_)
            | Self::ListExtensions(_)
            | Self::ListRepositoryExtensions(_) => Handler::Base,
            Self::ListReferrers(_) => Handler::Referrers,
            Self::ListRepositories(_) => Handler::Catalog,
            Self::ListTags(_) => Handler::Tags,
            Self::PullManifest(_)
            | Self::PushManifest(_)
            | Self::DeleteManifest(_)
            | Self::DeleteTag(_) => Handler::Manifest,
            Self::PullBlob(_) | Self::DeleteBlob(_) => Handler::Blob,
            Self::StartUpload(_) => Handler::BlobUpload,
            Self::ReadUpload(_)
            | Self::WriteUpload(_)
            | Self::FinishUpload(_)
            | Self::CancelUpload(_) => Handler::BlobUploadChunk,
        }
    }

    /// For an action that changes something: the methods that its path has where nothing may be changed.
    pub(crate) fn methods_without_changes(&self) -> Option<&'static str> {
        match self {
            Self::Front
            | Self::Ping(_)
            | Self::ListRepositories(_)
            | Self::ListTags(_)
            | Self::ListReferrers(_)
            | Self::ListExtensions(_)
            | Self::ListRepositoryExtensions(_)
            | Self::PullManifest(_)
            | Self::PullBlob(_)
            | Self::ReadUpload(_) => None,
            Self::StartUpload(_) => Some(""),
            Self::PushManifest(_)
            | Self::DeleteManifest(_)
            | Self::DeleteTag(_)
            | Self::DeleteBlob(_)
            | Self::WriteUpload(_)
            | Self::FinishUpload(_)
            | Self::CancelUpload(_) => Some("GET, HEAD"),
        }
    }

    /// Returns what the action needs; nothing at all for the front page, which needs nobody to be known
    /// either.
    pub(crate) fn guarded(&self) -> Option<&dyn Guarded> {
        Some(match self {
            Self::Front => return None,
            Self::Ping(action) => action,
            Self::ListRepositories(action) => action,
            Self::ListTags(action) => action,
            Self::PullManifest(action) => action,
            Self::PushManifest(action) => action,
            Self::DeleteManifest(action) => action,
            Self::DeleteTag(action) => action,
            Self::ListReferrers(action) => action,
            Self::ListExtensions(action) => action,
            Self::ListRepositoryExtensions(action) => action,
            Self::PullBlob(action) => action,
            Self::DeleteBlob(action) => action,
            Self::StartUpload(action) => action,
            Self::ReadUpload(action) => action,
            Self::WriteUpload(action) => action,
            Self::FinishUpload(action) => action,
            Self::CancelUpload(action) => action,
        })
    }
}

/// Finds out what a request asks for.
///
/// # Errors
/// Fails if there is no such path or method, or a part of the path or of a mount is malformed.
pub(crate) fn route(method: &Method, path: &str, query: &Query) -> Result<Action, Failure> {
    if path == "/" {
        return read_only(method, Action::Front);
    }
    let route = match Route::parse(path) {
        // What can be no manifest's name is not there to be read, as Distribution answers and the
        // conformance tests of the specification expect.
        Err(error @ RouteError::BadReference(_))
            if matches!(*method, Method::GET | Method::HEAD) =>
        {
            return Err(Failure::because(&code::MANIFEST_UNKNOWN, error.to_string()));
        }
        parsed => parsed?,
    };
    match route {
        Route::Base => read_only(method, Action::Ping(Ping)),
        Route::Catalog => read_only(method, Action::ListRepositories(ListRepositories)),
        Route::Tags { name } => read_only(method, Action::ListTags(ListTags { name })),
        Route::Manifest { name, reference } => manifest(method, name, reference, query),
        Route::Blob { name, digest } => match *method {
            Method::GET | Method::HEAD => Ok(Action::PullBlob(PullBlob { name, digest })),
            Method::DELETE => Ok(Action::DeleteBlob(DeleteBlob { name, digest })),
            _ => Err(Failure::method("GET, HEAD, DELETE")),
        },
        Route::Uploads { name } => match *method {
            Method::POST => {
                let mount = mount(query)?;
                Ok(Action::StartUpload(StartUpload { name, mount }))
            }
            _ => Err(Failure::method("POST")),
        },
        Route::Upload { name, id } => match *method {
            Method::GET | Method::HEAD => Ok(Action::ReadUpload(ReadUpload { name, id })),
            Method::PATCH => Ok(Action::WriteUpload(WriteUpload { name, id })),
            Method::PUT => Ok(Action::FinishUpload(FinishUpload { name, id })),
            Method::DELETE => Ok(Action::CancelUpload(CancelUpload { name, id })),
            _ => Err(Failure::method("GET, HEAD, PATCH, PUT, DELETE")),
        },
        Route::Referrers { name, digest } => {
            let subject = digest;
            read_only(
                method,
                Action::ListReferrers(ListReferrers { name, subject }),
            )
        }
        Route::Extensions { name: None } => {
            read_only(method, Action::ListExtensions(ListExtensions))
        }
        Route::Extensions { name: Some(name) } => read_only(
            method,
            Action::ListRepositoryExtensions(ListRepositoryExtensions { name }),
        ),
    }
}

fn read_only(method: &Method, action: Action) -> Result<Action, Failure> {
    match *method {
        Method::GET | Method::HEAD => Ok(action),
        _ => Err(Failure::method("GET, HEAD")),
    }
}

fn manifest(
    method: &Method,
    name: RepositoryName,
    reference: Reference,
    query: &Query,
) -> Result<Action, Failure> {
    match (method, reference) {
        (&Method::GET | &Method::HEAD, reference) => {
            Ok(Action::PullManifest(PullManifest { name, reference }))
        }
        (&Method::PUT, reference) => {
            let tags = further_tags(&reference, query)?;
            Ok(Action::PushManifest(PushManifest {
                name,
                reference,
                tags,
            }))
        }
        (&Method::DELETE, Reference::Digest(digest)) => {
            Ok(Action::DeleteManifest(DeleteManifest { name, digest }))
        }
        (&Method::DELETE, Reference::Tag(tag)) => Ok(Action::DeleteTag(DeleteTag { name, tag })),
        _ => Err(Failure::method("GET, HEAD, PUT, DELETE")),
    }
}

/// Reads `?tag=TAG&tag=TAG`, which go with a push by digest; each tag counts once.
fn further_tags(reference: &Reference, query: &Query) -> Result<Vec<Tag>, Failure> {
    let mut tags = Vec::new();
    if reference.as_digest().is_none() {
        return Ok(tags);
    }
    for tag in query.get_all("tag") {
        let tag: Tag = tag.parse()?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MAX_TAGS {
        let detail = format!("a push takes up to {MAX_TAGS} tags");
        return Err(Failure::because(&TARGET_TOO_LONG, detail));
    }
    Ok(tags)
}

/// Reads `?mount=DIGEST&from=NAME`. Without `from` the client leaves it to the registry where the
/// blob is.
fn mount(query: &Query) -> Result<Option<Mount>, Failure> {
    let Some(digest) = query.get("mount").filter(|digest| !digest.is_empty()) else {
        return Ok(None);
    };
    let digest = digest.parse()?;
    let from = query.get("from").filter(|from| !from.is_empty());
    let from = from.map(str::parse).transpose()?;
    Ok(Some(Mount { digest, from }))
}

#[cfg(test)]
mod tests;
