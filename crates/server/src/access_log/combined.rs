//! A request as one line of the Combined Log Format, byte for byte as Distribution writes it.
//!
//! ```text
//! 10.0.0.7 - - [25/Nov/2026:09:10:50 +0000] "GET /v2/a/tags/list?n=5 HTTP/1.1" 200 20 "" "curl/7.88.1"
//! ```
//!
//! Times are those of UTC. Of a query the state of an upload is left out: whoever has it may go on with
//! the upload.

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use http::Version;
use http::header::REFERER;
use jiff::Timestamp;
use jiff::fmt::strtime;

use super::excerpt;
use crate::request::RequestInfo;

/// The key of an upload's state in a query.
const STATE: &str = "_state";

/// A line without its end.
pub(super) struct Combined<'a> {
    pub(super) request: &'a RequestInfo,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
    pub(super) at: SystemTime,
}

impl Display for Combined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.request;
        let at = Timestamp::try_from(self.at).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = strtime::format("%d/%b/%Y:%H:%M:%S +0000", at).map_err(|_| fmt::Error)?;
        // A Unix socket has no address, and Go names it so.
        match request.peer().address() {
            Some(address) => write!(f, "{}", address.ip().to_canonical())?,
            None => f.write_str("@")?,
        }
        write!(f, " - - [{at}] \"{} ", request.method())?;
        let mut quoted = Quoted(f);
        quoted.write_str(excerpt(request.path()))?;
        write_query(&mut quoted, request.raw_query())?;
        let version = match request.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        };
        let (status, bytes) = (self.status, self.sent_bytes);
        write!(f, " {version}\" {status} {bytes} \"")?;
        let referer = request.text(&REFERER).unwrap_or_default();
        Quoted(f).write_str(excerpt(referer))?;
        f.write_str("\" \"")?;
        let user_agent = request.user_agent().unwrap_or_default();
        Quoted(f).write_str(excerpt(user_agent))?;
        f.write_char('"')
    }
}

fn write_query(out: &mut impl Write, query: &str) -> fmt::Result {
    if query.is_empty() {
        return Ok(());
    }
    for (index, pair) in excerpt(query).split('&').enumerate() {
        out.write_char(if index == 0 { '?' } else { '&' })?;
        match pair.split_once('=') {
            Some((STATE, _)) => write!(out, "{STATE}=-")?,
            _ => out.write_str(pair)?,
        }
    }
    Ok(())
}

/// Escapes what would end a quotation or a line.
struct Quoted<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Quoted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(self.0, "\\{c}")?,
                ' '..='~' => self.0.write_char(c)?,
                c => write!(self.0, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use http::header::USER_AGENT;
    use wharfinger_runtime::SeededEntropy;

    use super::*;
    use crate::request::{Peer, RequestIds, Via};

    fn line(request: http::request::Builder) -> String {
        let ids = RequestIds::new(&SeededEntropy::new(1));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let via = Via {
            peer: Peer::Tcp(([127, 0, 0, 1], 45876).into()),
            secure: false,
            within_quota: true,
        };
        let request = RequestInfo::new(&ids, via, parts, Duration::ZERO);
        Combined {
            request: &request,
            status: 200,
            sent_bytes: 2,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_597_850),
        }
        .to_string()
    }

    #[test]
    fn a_line_is_that_of_distribution() {
        let request = Request::get("/v2/").header(USER_AGENT, "me \"x");
        assert_eq!(
            line(request),
            r#"127.0.0.1 - - [25/Nov/2026:09:10:50 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "me \"x""#
        );
        let request = Request::get("/v2/_catalog?n=5").header(REFERER, "http://a/");
        assert_eq!(
            line(request),
            r#"127.0.0.1 - - [25/Nov/2026:09:10:50 +0000] "GET /v2/_catalog?n=5 HTTP/1.1" 200 2 "http://a/" """#
        );
    }

    #[test]
    fn the_state_of_an_upload_is_left_out() {
        let request = Request::patch("/v2/a/blobs/uploads/b?_state=secret&digest=sha256:ab");
        let line = line(request);
        assert!(line.contains("b?_state=-&digest=sha256:ab HTTP"), "{line}");
    }
}
