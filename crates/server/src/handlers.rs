//! What each action does.
//!
//! A handler takes its action [granted](wharfinger_auth::Granted), so that it cannot be reached in
//! any other way.

pub(crate) mod base;
pub(crate) mod blobs;
pub(crate) mod catalog;
pub(crate) mod extensions;
pub(crate) mod manifests;
pub(crate) mod referrers;
pub(crate) mod tags;
pub(crate) mod uploads;

use http::HeaderValue;
use http::header::ALLOW;
use wharfinger_oci::code;

use crate::app::Call;
use crate::error::Failure;

/// Fails unless deleting is switched on; the path then has the methods in `others`.
fn may_delete(call: &Call, others: &'static str) -> Result<(), Failure> {
    if call.app.delete_enabled {
        return Ok(());
    }
    Err(Failure::because(&code::UNSUPPORTED, "deleting is disabled")
        .with_header(ALLOW, HeaderValue::from_static(others)))
}
