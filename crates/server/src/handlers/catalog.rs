//! The list of repositories.

use http::StatusCode;
use serde::Serialize;
use wharfinger_auth::Granted;
use wharfinger_auth::action::ListRepositories;
use wharfinger_oci::{RepositoryName, Route};

use crate::app::Call;
use crate::error::Failure;
use crate::page::{PageRequest, with_next};
use crate::response::{Reply, Response};

/// 1,000 repositories are a page, and no page is larger, as in Distribution.
const MAX_PAGE: usize = 1000;

/// Lists a page of repositories.
pub(crate) async fn list(
    call: &Call,
    _granted: Granted<ListRepositories>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Wire<'a> {
        repositories: &'a [RepositoryName],
    }
    let page = PageRequest::parse(call.request.query(), MAX_PAGE)?;
    let limit = page.limit.unwrap_or(MAX_PAGE);
    let found = call.app.store.catalog(page.last.as_deref(), limit).await?;
    let json = serde_json::to_vec(&Wire {
        repositories: &found.names,
    })
    .expect("names always serialize");
    let mut reply = Reply::new(StatusCode::OK).json(json);
    if let Some(last) = found.names.last().filter(|_| found.more) {
        reply = with_next(call, reply, &Route::Catalog, (last.as_str(), limit));
    }
    Ok(reply.done())
}
