//! The check of a page: HEAD, a few redirects, and the status in the end.

use http::header::{HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// 5: a page that moves more often goes round in circles.
const MAX_REDIRECTS: usize = 5;

/// 16 KiB: what a head may have.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A page that has to answer with a status.
#[derive(Debug)]
pub struct Web {
    uri: Uri,
    status: StatusCode,
    headers: HeaderMap,
}

/// Why a page is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The URL has no host, or another scheme than `http`.
    #[error("not a URL of the form http://HOST/PATH: {0}")]
    Url(Uri),
    /// A part of what to ask for is malformed.
    #[error("malformed {0}")]
    Invalid(String),
    /// Nobody answers.
    #[error("no answer from {0}: {1}")]
    Connect(String, #[source] std::io::Error),
    /// The answer is no HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// A redirect leads nowhere.
    #[error("a redirect leads nowhere")]
    Redirect,
    /// There is no end of redirects.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    /// It is another status.
    #[error("status {found} where {wanted} was expected")]
    Status {
        /// The status that came.
        found: StatusCode,
        /// The status that was asked for.
        wanted: StatusCode,
    },
}

impl Web {
    /// A page at `uri` that has to answer HEAD with `status`; `headers` are sent to its host alone, also
    /// where it redirects.
    ///
    /// # Errors
    /// Fails unless the URL is one of HTTP, without TLS.
    pub fn new(uri: Uri, status: StatusCode, headers: HeaderMap) -> Result<Self, WebError> {
        authority(&uri)?;
        Ok(Self {
            uri,
            status,
            headers,
        })
    }

    /// The same, of what stands in a configuration.
    ///
    /// # Errors
    /// Fails also if the status or a header is none.
    pub fn parse(uri: &str, status: u16, headers: &[(String, String)]) -> Result<Self, WebError> {
        let invalid = |what: &str| WebError::Invalid(what.to_owned());
        let status = StatusCode::from_u16(status).map_err(|_| invalid("status"))?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let (name, value) = name
                .parse::<HeaderName>()
                .ok()
                .zip(value.parse::<HeaderValue>().ok())
                .ok_or_else(|| invalid(&format!("header `{}`", name.escape_default())))?;
            map.append(name, value);
        }
        let uri = uri.parse().map_err(|_| invalid("URL"))?;
        Self::new(uri, status, map)
    }

    /// Asks for the page.
    pub(super) async fn look(&self) -> Result<(), WebError> {
        let (home, mut uri) = (authority(&self.uri)?, self.uri.clone());
        for _ in 0..=MAX_REDIRECTS {
            let none = HeaderMap::new();
            let at_home = authority(&uri)? == home;
            let (found, location) = head(&uri, if at_home { &self.headers } else { &none }).await?;
            if !found.is_redirection() || found == self.status {
                let wanted = self.status;
                let as_wanted = found == wanted;
                return as_wanted
                    .then_some(())
                    .ok_or(WebError::Status { found, wanted });
            }
            uri = next(&uri, location.as_ref()).ok_or(WebError::Redirect)?;
        }
        Err(WebError::Redirects)
    }
}

/// Returns the host and port to connect to.
fn authority(uri: &Uri) -> Result<String, WebError> {
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(host)) => Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80))),
        _ => Err(WebError::Url(uri.clone())),
    }
}

/// Sends one HEAD over a connection of its own.
async fn head(
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(StatusCode, Option<HeaderValue>), WebError> {
    let address = authority(uri)?;
    let stream = TcpStream::connect(&address)
        .await
        .map_err(|error| WebError::Connect(address, error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = http::Method::HEAD;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| WebError::Url(uri.clone()))?;
    request.headers_mut().clone_from(headers);
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(host).map_err(|_| WebError::Url(uri.clone()))?;
    request.headers_mut().entry(HOST).or_insert(host);
    let answer = sender.send_request(request);
    tokio::select! {
        answer = answer => {
            let answer = answer?;
            Ok((answer.status(), answer.headers().get(LOCATION).cloned()))
        }
        // The connection is driven here, and ends with this function: nothing is left behind.
        Err(error) = connection => Err(error.into()),
    }
}

/// Returns where a redirect leads: an absolute URL, or a path on the same host.
fn next(uri: &Uri, location: Option<&HeaderValue>) -> Option<Uri> {
    let location = location?.to_str().ok()?;
    if !location.starts_with('/') {
        return location.parse().ok();
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(location.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request after the other with `answers`, and returns the URL and what was asked.
    fn serve(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                asked.push(String::from_utf8(head).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (url, serving)
    }

    fn look(url: &str, status: u16, headers: HeaderMap) -> Result<(), String> {
        let status = StatusCode::from_u16(status).unwrap();
        let web = Web::new(url.parse().unwrap(), status, headers).map_err(|e| e.to_string())?;
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(web.look()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_redirect_is_followed_and_headers_stay_at_home() {
        let (away, elsewhere) = serve(vec!["HTTP/1.1 204 No Content\r\n\r\n".to_owned()]);
        let (home, at_home) = serve(vec![
            "HTTP/1.1 302 Found\r\nLocation: /b?c\r\n\r\n".to_owned(),
            format!("HTTP/1.1 302 Found\r\nLocation: {away}/d\r\n\r\n"),
        ]);
        let headers = HeaderMap::from_iter([(
            http::header::AUTHORIZATION,
            HeaderValue::from_static("Basic secret"),
        )]);
        assert_eq!(look(&format!("{home}/a"), 204, headers), Ok(()));
        let asked = at_home.join().unwrap();
        assert!(asked[0].starts_with("HEAD /a HTTP/1.1\r\n"), "{asked:?}");
        assert!(asked[1].starts_with("HEAD /b?c HTTP/1.1\r\n"), "{asked:?}");
        assert!(asked[1].contains("Basic secret"));
        assert!(!elsewhere.join().unwrap()[0].contains("secret"));
    }

    #[test]
    fn another_status_a_circle_and_a_closed_door_fail() {
        let (url, serving) = serve(vec!["HTTP/1.1 500 No\r\n\r\n".to_owned()]);
        assert!(
            look(&url, 200, HeaderMap::new())
                .unwrap_err()
                .contains("500")
        );
        serving.join().unwrap();
        let circle = "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n".to_owned();
        let (url, serving) = serve(vec![circle; MAX_REDIRECTS + 1]);
        assert!(
            look(&url, 200, HeaderMap::new())
                .unwrap_err()
                .contains("redirects")
        );
        serving.join().unwrap();
        assert!(look(&url, 200, HeaderMap::new()).is_err());
        assert!(
            look("https://localhost/", 200, HeaderMap::new())
                .unwrap_err()
                .contains("http://")
        );
    }
}
