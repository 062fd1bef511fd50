//! GET and DELETE: how far an upload has come, and its end without a blob.

use http::StatusCode;
use wharfinger_auth::Granted;
use wharfinger_auth::action::{CancelUpload, ReadUpload};

use crate::app::{Call, told_in};
use crate::error::Failure;
use crate::response::{Reply, Response};

use super::{announced_algorithm, given_state, session_reply, span_of, timestamp};

/// Answers how far an upload has come. Whoever lost the token gets it here.
pub(crate) async fn status(call: &Call, granted: Granted<ReadUpload>) -> Result<Response, Failure> {
    let ReadUpload { name, id } = granted.action();
    let work = async {
        let status = call.repository(name).uploads().status(id).await?;
        let started_at = timestamp(status.started_at);
        let reply = session_reply(
            call,
            StatusCode::NO_CONTENT,
            (name, id),
            status.offset,
            started_at,
            announced_algorithm(call)?,
        );
        Ok(reply.without_length().done())
    };
    told_in(span_of(name, Some(id)), work).await
}

/// Throws an upload away.
pub(crate) async fn cancel(
    call: &Call,
    granted: Granted<CancelUpload>,
) -> Result<Response, Failure> {
    let CancelUpload { name, id } = granted.into_action();
    let state = given_state(call, &name, &id);
    let span = span_of(&name, Some(&id));
    let uploads = call.repository(&name).uploads();
    let work = async move {
        state?;
        uploads.abort(&id).await?;
        Ok(Reply::new(StatusCode::NO_CONTENT)
            .upload(&id, 0)
            .without_length()
            .done())
    };
    call.to_the_end_in(span, work).await
}
