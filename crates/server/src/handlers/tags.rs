//! The tags of a repository.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use wharfinger_auth::Granted;
use wharfinger_auth::action::{DeleteTag, ListTags};
use wharfinger_oci::{Query, RepositoryName, Route};
use wharfinger_store::{self as store, Names, Repository, TagPage};

use crate::app::Call;
use crate::error::Failure;
use crate::event::{EventAction, Target};
use crate::handlers::may_delete;
use crate::page::{PageRequest, TooMany, after, elements, with_next};
use crate::response::{Body, Reply, Response};

/// 1,000 tags are held at once where the client wants all of them.
const STREAM_PAGE: usize = 1000;

/// Lists tags: a page, or all of them if the client names no number.
pub(crate) async fn list(call: &Call, granted: Granted<ListTags>) -> Result<Response, Failure> {
    let ListTags { name } = granted.into_action();
    let (query, max) = (call.request.query(), call.app.pages.most_tags);
    let PageRequest { limit, last } = PageRequest::parse(query, max, TooMany::Fewer)?;
    let repository = call.repository(&name);
    let first = repository
        .tags(last.as_deref(), limit.unwrap_or(STREAM_PAGE))
        .await?;
    let reply = Reply::new(StatusCode::OK);
    let Some(last) = first.tags.last().filter(|_| first.more) else {
        return Ok(reply.json(whole(&name, &first.tags)).done());
    };
    match limit {
        Some(limit) => {
            let reply = reply.json(whole(&name, &first.tags));
            let next = after(Query::new(), last, limit);
            Ok(with_next(call, reply, &Route::Tags { name: name.clone() }, &next).done())
        }
        None => Ok(reply.json_stream(all(repository, &first)).done()),
    }
}

/// What a list ends with.
const TAIL: &[u8] = b"]}";

/// Prints a list.
fn whole(name: &RepositoryName, tags: &Names) -> Vec<u8> {
    let mut json = format!(r#"{{"name":"{name}","tags":["#).into_bytes();
    elements(tags, &mut json);
    json.extend_from_slice(TAIL);
    json
}

/// Prints the further tags of a list that goes on or ends, without what comes before them.
fn further(tags: &Names, goes_on: bool) -> Vec<u8> {
    let mut json = Vec::new();
    if !tags.is_empty() {
        json.push(b',');
        elements(tags, &mut json);
    }
    if !goes_on {
        json.extend_from_slice(TAIL);
    }
    json
}

/// Streams the tags page by page, beginning with the first.
fn all(repository: Repository, first: &TagPage) -> Body {
    let mut begin = whole(repository.name(), &first.tags);
    begin.truncate(begin.len() - TAIL.len());
    let begin = stream::once(async { Ok(Bytes::from(begin)) });
    let last = first.tags.last().map(str::to_owned);
    let rest = stream::try_unfold(last, move |last| {
        let repository = repository.clone();
        async move {
            let Some(last) = last else {
                return Ok::<_, store::Error>(None);
            };
            let page = repository.tags(Some(&last), STREAM_PAGE).await?;
            let next = page.tags.last().filter(|_| page.more).map(str::to_owned);
            let json = further(&page.tags, next.is_some());
            Ok(Some((Bytes::from(json), next)))
        }
    });
    Body::Stream(begin.chain(rest).boxed(), None)
}

/// Removes a tag, and leaves what it points to.
pub(crate) async fn delete(call: &Call, granted: Granted<DeleteTag>) -> Result<Response, Failure> {
    may_delete(call, "GET, HEAD, PUT")?;
    let owned = call.clone();
    call.to_the_end(async move {
        let DeleteTag { name, tag } = granted.action();
        let digest = owned.repository(name).delete_tag(tag).await?;
        let target = Target::Tag { tag, digest };
        owned.emit(EventAction::Delete, granted.principal(), name, target);
        Ok(Reply::new(StatusCode::ACCEPTED).done())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_json() {
        let name = "a/b".parse().unwrap();
        let none = Names::default();
        let tags: Names = ["v1", "v2"].into_iter().collect();
        assert_eq!(whole(&name, &tags), br#"{"name":"a/b","tags":["v1","v2"]}"#);
        assert_eq!(whole(&name, &none), br#"{"name":"a/b","tags":[]}"#);
        assert_eq!(further(&tags, true), br#","v1","v2""#);
        assert_eq!(further(&tags, false), br#","v1","v2"]}"#);
        assert_eq!(further(&none, false), b"]}");
    }
}
