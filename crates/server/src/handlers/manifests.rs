//! Manifests: read, stored and removed.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use wharfinger_auth::Granted;
use wharfinger_auth::action::{DeleteManifest, PullManifest, PushManifest};
use wharfinger_oci::{MAX_MANIFEST_BYTES, Manifest, ManifestError, Route};
use wharfinger_store::RemovedManifest;

use crate::app::Call;
use crate::body::{CollectError, RequestBody, WholeBody};
use crate::conditional::is_known;
use crate::error::Failure;
use crate::event::{EventAction, Target};
use crate::handlers::may_delete;
use crate::metrics::Shed;
use crate::response::{Body, Reply, Response};

/// Tells the client of a push that the manifest is listed under its subject.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Tells a tag that came with a push by digest.
const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Sends a manifest, or only its headers. It has the type of its bytes, whatever `Accept` says:
/// what was pushed is never converted.
pub(crate) async fn pull(call: &Call, granted: Granted<PullManifest>) -> Result<Response, Failure> {
    let PullManifest { name, reference } = granted.action();
    let stored = call.repository(name).get_manifest(reference).await?;
    if is_known(call.request.headers(), &stored.digest) {
        let reply = Reply::new(StatusCode::NOT_MODIFIED).etag(&stored.digest);
        return Ok(reply.without_length().done());
    }
    let manifest = &stored.manifest;
    let tag = reference.as_tag();
    let target = Target::Manifest {
        digest: stored.digest,
        tag,
        manifest: Some(manifest),
    };
    call.emit(EventAction::Pull, granted.principal(), name, target);
    let media_type = HeaderValue::try_from(manifest.media_type())
        .expect("the types of manifests are known, and visible ASCII");
    let bytes = manifest.bytes();
    let reply = Reply::new(StatusCode::OK)
        .etag(&stored.digest)
        .header(CONTENT_TYPE, media_type)
        .length(bytes.len() as u64);
    if call.request.method() == Method::HEAD {
        return Ok(reply.done());
    }
    Ok(reply.body(Body::Full(bytes.clone())).done())
}

/// Stores a manifest.
pub(crate) async fn push(
    call: &Call,
    granted: Granted<PushManifest>,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let announced = call
        .request
        .content_length()
        .and_then(|size| usize::try_from(size).ok());
    if let Some(size) = announced.filter(|size| *size > MAX_MANIFEST_BYTES) {
        return Err(ManifestError::TooLarge { size }.into());
    }
    let body = body.collect(MAX_MANIFEST_BYTES).await;
    if let Err(CollectError::NoMemory | CollectError::NoShare) = &body {
        call.app.metrics.shed(Shed::BodyMemory);
    }
    let body = body?;
    let owned = call.clone();
    call.to_the_end(async move {
        let WholeBody {
            bytes,
            memory: _held,
            place: _taken,
        } = body;
        let content_type = owned.request.text(&CONTENT_TYPE);
        let manifest = Manifest::parse(bytes, content_type)?;
        let PushManifest {
            name,
            reference,
            tags,
        } = granted.action();
        let digest = owned
            .repository(name)
            .put_manifest_under(reference, tags, &manifest)
            .await?;
        let told = |tag| {
            let manifest = Some(&manifest);
            let target = Target::Manifest {
                digest,
                tag,
                manifest,
            };
            owned.emit(EventAction::Push, granted.principal(), name, target);
        };
        if tags.is_empty() {
            told(reference.as_tag());
        }
        tags.iter().for_each(|tag| told(Some(tag)));
        let route = Route::Manifest {
            name: name.clone(),
            reference: digest.into(),
        };
        let location = owned.location(&route, None);
        let mut reply = Reply::new(StatusCode::CREATED)
            .header(LOCATION, location)
            .digest(&digest);
        if let Some(subject) = manifest.subject() {
            // The client then keeps no list of its own under a tag.
            reply = reply.text(SUBJECT, subject.digest);
        }
        let reply = tags.iter().fold(reply, |reply, tag| reply.also(TAG, tag));
        Ok(reply.done())
    })
    .await
}

/// Removes a manifest with all its tags.
pub(crate) async fn delete(
    call: &Call,
    granted: Granted<DeleteManifest>,
) -> Result<Response, Failure> {
    may_delete(call, "GET, HEAD, PUT")?;
    let owned = call.clone();
    call.to_the_end(async move {
        let DeleteManifest { name, digest } = granted.action();
        let (digest, actor) = (*digest, granted.principal());
        let RemovedManifest { tags, outcome } =
            owned.repository(name).delete_manifest(&digest).await;
        let told = |target| owned.emit(EventAction::Delete, actor, name, target);
        if outcome.is_ok() {
            told(Target::Manifest {
                digest,
                tag: None,
                manifest: None,
            });
        }
        // These are gone also if the rest failed.
        tags.iter()
            .for_each(|tag| told(Target::Tag { tag, digest }));
        outcome?;
        Ok(Reply::new(StatusCode::ACCEPTED).done())
    })
    .await
}
