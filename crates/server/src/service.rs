//! One request from its head to its answer.

use std::any::Any;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CONNECTION, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use hyper::body::Incoming;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use wharfinger_auth::action::{Ping, StartUpload};
use wharfinger_auth::{Denial, Denied, Gate, Granted, Guarded, Principal};
use wharfinger_oci::{Query, RouteError, code};

use crate::access_log::{self, LoggedBody};
use crate::app::{App, Call};
use crate::body::RequestBody;
use crate::error::{CODING_UNSUPPORTED, Failure, TARGET_TOO_LONG};
use crate::handlers;
use crate::listener::UnderWay;
use crate::metrics::{Handler, Shed};
use crate::quotas::Place;
use crate::request::{REQUEST_ID, RequestInfo, Via};
use crate::response::{Body, Response};
use crate::router::{Action, route};

/// 8 KiB: longest path and query together, several times that of the longest name and token.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Answers a request. Its line in the access log is begun before the future is polled, which it never
/// is for a client that leaves at once.
pub(crate) fn serve(
    app: Arc<App>,
    via: Via,
    request: Request<Incoming>,
    under_way: UnderWay,
) -> impl Future<Output = Result<http::Response<LoggedBody>, Infallible>> + Send {
    let (parts, incoming) = request.into_parts();
    let mut request = RequestInfo::new(&app.ids, via, parts, app.runtime.clock.monotonic());
    let query = Query::parse(request.raw_query());
    let query = query.map(|query| request.set_query(query));
    // At the level of errors, so that every line tells which request it belongs to.
    let span = tracing::error_span!(
        "request",
        id = request.id().as_str(),
        method = %request.method(),
        path = access_log::excerpt(request.path()),
        peer = %via.peer,
        user = Empty,
    );
    let body = RequestBody::new(incoming, &request, Arc::clone(&app));
    let end = body.end();
    let call = Call {
        app,
        request: Arc::new(request),
    };
    let mut line = access_log::Line::new(call.clone(), end.clone(), span.clone());
    let query = query.map_err(Failure::from);
    // The line ends when the answer has been sent.
    let admitted = admit(&call, via.within_quota).map(|place| line.hold(place));
    async move {
        let answer = async {
            let answer = match admitted {
                Ok(()) => dispatch(&call, query, body).await,
                Err(failure) => Err(fail_after(failure, body).await),
            };
            answer.unwrap_or_else(|failure| {
                let failure = failure.in_request(call.request.id());
                failure.into_response(&call.app.codes)
            })
        };
        let answer = AssertUnwindSafe(answer)
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let mut response = match answer {
            Ok(response) => response,
            Err(panic) => span.in_scope(|| panicked(&*panic, &call)),
        };
        let id = call.request.id().header();
        response.headers_mut().insert(REQUEST_ID, id);
        complete(&call, &mut response, end.reached() && via.within_quota);
        Ok(line.answered(response, under_way))
    }
}

/// Adds what every answer has, and what the version of HTTP asks for.
fn complete(call: &Call, response: &mut Response, body_was_read: bool) {
    let request = &call.request;
    add_missing(response.headers_mut(), &call.app.headers);
    // A browser shall not make a page of a blob.
    let sniffing = response.headers_mut().entry(X_CONTENT_TYPE_OPTIONS);
    sniffing.or_insert(HeaderValue::from_static("nosniff"));
    if request.version() == Version::HTTP_2 {
        // hyper leaves it to us there.
        if *request.method() == Method::HEAD {
            *response.body_mut() = Body::EMPTY;
        }
    } else if !body_was_read {
        // What is left of the body would be taken for the next request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

/// Adds headers that the answer does not have by itself; a name may come more than once.
fn add_missing(headers: &mut HeaderMap, more: &[(HeaderName, HeaderValue)]) {
    if more.is_empty() {
        return;
    }
    let own: Vec<bool> = more
        .iter()
        .map(|(name, _)| headers.contains_key(name))
        .collect();
    for ((name, value), _) in more.iter().zip(own).filter(|(_, own)| !own) {
        headers.append(name.clone(), value.clone());
    }
}

/// Finds the action and who asks for it, has it granted, and does it.
async fn dispatch(
    call: &Call,
    query: Result<(), Failure>,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let action = query.and_then(|()| asked_for(call));
    call.begin(match &action {
        Ok(action) => action.handler(),
        Err(_) => Handler::meant(path_of(call).unwrap_or_default()),
    });
    if matches!(action, Ok(Action::Front)) {
        return Ok(handlers::base::front());
    }
    let principal = match identify(call, action.as_ref().ok()).await {
        Ok(principal) => principal,
        Err(failure) => return Err(fail_after(failure, body).await),
    };
    let action = action.and_then(|action| match refused_read_only(call, &action) {
        Some(refused) => Err(refused),
        None => Ok(action),
    });
    match action {
        Ok(action) => match admit_content(call, &action) {
            Ok(place) => {
                body.hold(place);
                perform(call, &principal, action, body).await
            }
            Err(failure) => Err(fail_after(failure, body).await),
        },
        // What is wrong with a request is told to those alone who may talk to the registry.
        Err(failure) => match call.app.gate.grant(&principal, Ping) {
            Ok(_) => Err(fail_after(failure, body).await),
            Err(denied) => Err(fail_after(denied, body).await),
        },
    }
}

fn asked_for(call: &Call) -> Result<Action, Failure> {
    let request = &call.request;
    if request.target_length() > MAX_TARGET_BYTES {
        return Err(Failure::new(&TARGET_TOO_LONG));
    }
    // hyper takes the chunks apart, and leaves what else was done to them.
    let coding = request.headers().get(TRANSFER_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Failure::new(&CODING_UNSUPPORTED));
    }
    match path_of(call) {
        Some(path) => route(request.method(), path, request.query()),
        None => Err(RouteError::NotFound.into()),
    }
}

/// The path without the prefix that all of them have. The front page is at the top as well, for load
/// balancers that know of no prefix.
fn path_of(call: &Call) -> Option<&str> {
    match call.request.path() {
        "/" => Some("/"),
        path => call.app.urls.prefix.strip(path),
    }
}

/// What an action that changes something gets where nothing may be changed.
fn refused_read_only(call: &Call, action: &Action) -> Option<Failure> {
    let methods = action.methods_without_changes()?;
    let refused = Failure::because(&code::UNSUPPORTED, "the registry is read-only");
    let allow = HeaderValue::from_static(methods);
    call.app
        .read_only
        .then(|| refused.with_header(ALLOW, allow))
}

/// Finds out who asks, and notes the name for every line of the log.
///
/// # Errors
/// Fails if there are credentials and they are not taken; the answer tells what `action` needs.
async fn identify(call: &Call, action: Option<&Action>) -> Result<Principal, Failure> {
    let (gate, request) = (&call.app.gate, &call.request);
    // Whoever comes over a Unix socket is on this machine.
    let this_machine = IpAddr::from(Ipv4Addr::LOCALHOST);
    let peer = request.peer().address();
    let peer = peer.map_or(this_machine, |address| address.ip());
    let principal = gate.identify(request.credentials(), peer).await;
    let principal = principal.map_err(|refusal| {
        let accesses = action
            .and_then(Action::guarded)
            .map(Guarded::accesses)
            .unwrap_or_default();
        Failure::refused(refusal, gate.deny(accesses))
    })?;
    if let Some(name) = principal.name() {
        Span::current().record("user", name);
    }
    Ok(principal)
}

/// Every action has its handler, and every handler takes a granted action.
async fn perform(
    call: &Call,
    principal: &Principal,
    action: Action,
    body: RequestBody,
) -> Result<Response, Failure> {
    macro_rules! grant {
        ($action:expr) => {
            match call.app.gate.grant(principal, $action) {
                Ok(granted) => granted,
                Err(denied) => return Err(fail_after(denied, body).await),
            }
        };
    }
    // In a box each: a request holds room for its own action alone.
    let answer: BoxFuture<'_, Result<Response, Failure>> = match action {
        Action::Front => return Ok(handlers::base::front()),
        Action::Ping(action) => return Ok(handlers::base::ping(&grant!(action))),
        Action::ListRepositories(action) => Box::pin(handlers::catalog::list(call, grant!(action))),
        Action::ListTags(action) => Box::pin(handlers::tags::list(call, grant!(action))),
        Action::PullManifest(action) => Box::pin(handlers::manifests::pull(call, grant!(action))),
        Action::PushManifest(action) => {
            Box::pin(handlers::manifests::push(call, grant!(action), body))
        }
        Action::DeleteManifest(action) => {
            Box::pin(handlers::manifests::delete(call, grant!(action)))
        }
        Action::DeleteTag(action) => Box::pin(handlers::tags::delete(call, grant!(action))),
        Action::ListReferrers(action) => Box::pin(handlers::referrers::list(call, grant!(action))),
        Action::ListExtensions(action) => return Ok(handlers::extensions::list(&grant!(action))),
        Action::ListRepositoryExtensions(action) => {
            return Ok(handlers::extensions::list_of_repository(grant!(action)));
        }
        Action::PullBlob(action) => Box::pin(handlers::blobs::pull(call, grant!(action))),
        Action::DeleteBlob(action) => Box::pin(handlers::blobs::delete(call, grant!(action))),
        Action::StartUpload(action) => match grant_start(&call.app.gate, principal, action) {
            Ok(granted) => Box::pin(handlers::uploads::start(call, granted, body)),
            Err(denied) => return Err(fail_after(denied, body).await),
        },
        Action::ReadUpload(action) => Box::pin(handlers::uploads::status(call, grant!(action))),
        Action::WriteUpload(action) => {
            Box::pin(handlers::uploads::write(call, grant!(action), body))
        }
        Action::FinishUpload(action) => {
            Box::pin(handlers::uploads::finish(call, grant!(action), body))
        }
        Action::CancelUpload(action) => Box::pin(handlers::uploads::cancel(call, grant!(action))),
    };
    answer.await
}

/// Grants an upload also to somebody who may not mount what would spare it: for them it is as if the
/// blob were not there, which the specification lets every mount end in.
fn grant_start(
    gate: &Gate,
    principal: &Principal,
    action: StartUpload,
) -> Result<Granted<StartUpload>, Denied> {
    let name = action.name.clone();
    let mounts = action.mount.is_some();
    match gate.grant(principal, action) {
        Err(denied) if mounts && denied.denial() == Denial::Forbidden => {
            gate.grant(principal, StartUpload { name, mount: None })
        }
        granted => granted,
    }
}

/// Fails, after a short body was read, so that the connection can be kept.
async fn fail_after(failure: impl Into<Failure>, mut body: RequestBody) -> Failure {
    body.drain().await;
    failure.into()
}

/// Takes a place among the requests that are under way.
fn admit(call: &Call, within_quota: bool) -> Result<Place, Failure> {
    let app = &call.app;
    if app.health.failing().is_some() {
        return Err(unfit());
    }
    if !within_quota {
        app.metrics.shed(Shed::AddressConnections);
        return Err(Failure::too_many());
    }
    app.quotas.requests.take().ok_or_else(|| {
        app.metrics.shed(Shed::Requests);
        Failure::busy()
    })
}

/// Takes a place among the requests that bring content, if this one does: they give way first, so that
/// content can still be pulled.
fn admit_content(call: &Call, action: &Action) -> Result<Option<Place>, Failure> {
    if !action.brings_content() {
        return Ok(None);
    }
    let place = call.app.quotas.uploads.take().ok_or_else(|| {
        call.app.metrics.shed(Shed::Uploads);
        Failure::busy()
    })?;
    Ok(Some(place))
}

/// What every request gets while a health check fails: the words of Distribution.
fn unfit() -> Failure {
    let why = "health check failed: please see /debug/health";
    // The check itself has told the log.
    Failure::because(&code::UNAVAILABLE, why).logged()
}

fn panicked(panic: &(dyn Any + Send), call: &Call) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    tracing::error!(message, "a handler panicked");
    let failure = Failure::new(&code::UNKNOWN).in_request(call.request.id());
    failure.into_response(&call.app.codes)
}

#[cfg(test)]
mod matrix;
