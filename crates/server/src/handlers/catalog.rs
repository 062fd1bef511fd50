//! The list of repositories.

use http::StatusCode;
use wharfinger_auth::Granted;
use wharfinger_auth::action::ListRepositories;
use wharfinger_oci::{Query, Route};

use crate::app::Call;
use crate::error::Failure;
use crate::page::{PageRequest, TooMany, after, elements, with_next};
use crate::response::{Reply, Response};

/// 100 repositories are a page for a client that names no number, as in Distribution.
const DEFAULT_PAGE: usize = 100;

/// Lists a page of repositories.
pub(crate) async fn list(
    call: &Call,
    _granted: Granted<ListRepositories>,
) -> Result<Response, Failure> {
    let max = call.app.pages.most_repositories;
    let page = PageRequest::parse(call.request.query(), max, TooMany::Refused)?;
    let limit = page.limit.unwrap_or(DEFAULT_PAGE.min(max));
    let found = call.app.store.catalog(page.last.as_deref(), limit).await?;
    let mut json = br#"{"repositories":["#.to_vec();
    elements(&found.names, &mut json);
    json.extend_from_slice(b"]}");
    let mut reply = Reply::new(StatusCode::OK).json(json);
    if let Some(last) = found.names.last().filter(|_| found.more) {
        let next = after(Query::new(), last, limit);
        reply = with_next(call, reply, &Route::Catalog, &next);
    }
    Ok(reply.done())
}
