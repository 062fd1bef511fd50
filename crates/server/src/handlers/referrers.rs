//! The manifests that refer to another.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use wharfinger_auth::Granted;
use wharfinger_auth::action::ListReferrers;
use wharfinger_oci::{Descriptor, Query, Route, media};
use wharfinger_store::ReferrerQuery;

use crate::app::Call;
use crate::error::Failure;
use crate::page::{self, PageRequest, TooMany};
use crate::response::{Reply, Response};

/// 1,000 referrers are a page, and no page is larger: it costs a look at each.
const MAX_PAGE: usize = 1000;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The only filter that there is.
const ARTIFACT_TYPE: &str = "artifactType";

/// Lists a page of referrers; of a manifest that nobody refers to, or that is not there, none.
pub(crate) async fn list(
    call: &Call,
    granted: Granted<ListReferrers>,
) -> Result<Response, Failure> {
    let ListReferrers { name, subject } = granted.into_action();
    let query = call.request.query();
    let PageRequest { limit, last } = PageRequest::parse(query, MAX_PAGE, TooMany::Fewer)?;
    let artifact_type = query.get(ARTIFACT_TYPE).filter(|it| !it.is_empty());
    let wanted = ReferrerQuery {
        artifact_type,
        after: last.map(|last| last.parse()).transpose()?,
        limit: limit.unwrap_or(MAX_PAGE),
    };
    let found = call.repository(&name).referrers(&subject, wanted).await?;
    let mut reply = Reply::new(StatusCode::OK)
        .json(index(&found.referrers))
        .header(CONTENT_TYPE, HeaderValue::from_static(media::OCI_INDEX));
    if artifact_type.is_some() {
        reply = reply.header(FILTERS_APPLIED, HeaderValue::from_static(ARTIFACT_TYPE));
    }
    if let Some(last) = found.next {
        let mut next = Query::new();
        if let Some(artifact_type) = artifact_type {
            next = next.with(ARTIFACT_TYPE, artifact_type);
        }
        let next = page::after(next, &last.to_string(), wanted.limit);
        let digest = subject;
        reply = page::with_next(call, reply, &Route::Referrers { name, digest }, &next);
    }
    Ok(reply.done())
}

/// Prints the index that lists them.
fn index(manifests: &[Descriptor]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        schema_version: u8,
        media_type: &'static str,
        manifests: &'a [Descriptor],
    }
    let wire = Wire {
        schema_version: 2,
        media_type: media::OCI_INDEX,
        manifests,
    };
    serde_json::to_vec(&wire).expect("descriptors always serialize")
}
