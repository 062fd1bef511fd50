//! The list of repositories.

use http::StatusCode;
use serde::Serialize;
use wharfinger_auth::Granted;
use wharfinger_auth::action::ListRepositories;
use wharfinger_oci::{Query, RepositoryName, Route};

use crate::app::Call;
use crate::error::Failure;
use crate::page::{PageRequest, TooMany, after, with_next};
use crate::response::{Reply, Response};

/// 100 repositories are a page for a client that names no number, as in Distribution.
const DEFAULT_PAGE: usize = 100;

/// Lists a page of repositories.
pub(crate) async fn list(
    call: &Call,
    _granted: Granted<ListRepositories>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Wire<'a> {
        repositories: &'a [RepositoryName],
    }
    let max = call.app.pages.most_repositories;
    let page = PageRequest::parse(call.request.query(), max, TooMany::Refused)?;
    let limit = page.limit.unwrap_or(DEFAULT_PAGE.min(max));
    let found = call.app.store.catalog(page.last.as_deref(), limit).await?;
    let json = serde_json::to_vec(&Wire {
        repositories: &found.names,
    })
    .expect("names always serialize");
    let mut reply = Reply::new(StatusCode::OK).json(json);
    if let Some(last) = found.names.last().filter(|_| found.more) {
        let next = after(Query::new(), last.as_str(), limit);
        reply = with_next(call, reply, &Route::Catalog, &next);
    }
    Ok(reply.done())
}
