//! Answers and their headers.

mod body;

use std::fmt::Display;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, RANGE};
use http::{HeaderName, HeaderValue, StatusCode};
use wharfinger_oci::{Digest, Errors, UploadId, UploadedRange};

pub(crate) use self::body::{Body, BodyError};

/// An answer.
pub(crate) type Response = http::Response<Body>;

/// Tells clients, among them old dockers that ask for it, that this is a registry.
pub(crate) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// 12: few answers have more headers, and then the map has to grow.
const USUAL_HEADERS: usize = 12;

/// An answer that is being put together.
#[derive(Debug)]
pub(crate) struct Reply(Response);

impl Reply {
    /// Starts with a status and no body.
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::EMPTY);
        *response.status_mut() = status;
        response.headers_mut().reserve(USUAL_HEADERS);
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert(API_VERSION, version);
        Self(response).header(CONTENT_LENGTH, HeaderValue::from_static("0"))
    }

    /// Starts with the JSON of errors.
    pub(crate) fn errors(errors: &Errors, status: StatusCode) -> Self {
        Self::new(status).json(errors.to_json())
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    /// Adds one more value of a header that may have several.
    pub(crate) fn also(mut self, name: HeaderName, value: impl Display) -> Self {
        self.0.headers_mut().append(name, printed(value));
        self
    }

    /// Sets a header to something whose text is visible ASCII.
    pub(crate) fn text(self, name: HeaderName, value: impl Display) -> Self {
        self.header(name, printed(value))
    }

    /// Names the content by its digest.
    pub(crate) fn digest(self, digest: &Digest) -> Self {
        self.header(
            CONTENT_DIGEST,
            visible(Bytes::copy_from_slice(digest.text().as_bytes())),
        )
    }

    /// Names the content by its digest, also for caches.
    pub(crate) fn etag(self, digest: &Digest) -> Self {
        let text = digest.text();
        let quoted = Bytes::from(["\"", &text, "\""].concat());
        // Both headers share the bytes.
        let bare = visible(quoted.slice(1..=text.len()));
        self.header(CONTENT_DIGEST, bare)
            .header(ETAG, visible(quoted))
    }

    /// Names the upload and says how far it has come.
    pub(crate) fn upload(self, id: &UploadId, size_bytes: u64) -> Self {
        self.text(UPLOAD_UUID, id)
            .text(RANGE, UploadedRange { size_bytes })
    }

    /// Sets the length, also without a body, as for HEAD.
    pub(crate) fn length(self, length: u64) -> Self {
        self.header(CONTENT_LENGTH, HeaderValue::from(length))
    }

    /// Sends JSON.
    pub(crate) fn json(self, json: impl Into<Bytes>) -> Self {
        let json = json.into();
        self.header(CONTENT_TYPE, JSON)
            .length(json.len() as u64)
            .body(Body::Full(json))
    }

    /// Sends JSON whose length is not known.
    pub(crate) fn json_stream(mut self, body: Body) -> Self {
        self.0.headers_mut().remove(CONTENT_LENGTH);
        self.header(CONTENT_TYPE, JSON).body(body)
    }

    /// Sends a body, whose length must have been set.
    pub(crate) fn body(mut self, body: Body) -> Self {
        *self.0.body_mut() = body;
        self
    }

    /// Takes back the length: answers that have none, of status 204 and 304.
    pub(crate) fn without_length(mut self) -> Self {
        self.0.headers_mut().remove(CONTENT_LENGTH);
        self
    }

    /// Returns the answer.
    pub(crate) fn done(self) -> Response {
        self.0
    }
}

fn printed(value: impl Display) -> HeaderValue {
    visible(Bytes::from(value.to_string()))
}

fn visible(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text)
        .expect("digests, tags, ranges, ids and links are printed in visible ASCII")
}
