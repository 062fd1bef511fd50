//! The pages that tell that this is a registry.

use http::StatusCode;
use wharfinger_auth::Granted;
use wharfinger_auth::action::Ping;

use crate::response::{Reply, Response};

/// Answers what load balancers ask: that somebody is here.
pub(crate) fn front() -> Response {
    Reply::new(StatusCode::OK).done()
}

/// Answers that this is a registry, and that the client may talk to it.
pub(crate) fn ping(_granted: &Granted<Ping>) -> Response {
    Reply::new(StatusCode::OK).json("{}").done()
}
