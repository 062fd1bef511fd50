//! The URLs of this registry, read and printed: what stands before a route, and what a client sees.

mod forwarded;

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};
use wharfinger_oci::{Query, Route};

use crate::request::RequestInfo;

use self::forwarded::Forwarded;

/// How URLs are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urls {
    /// What every URL begins with, whatever the request says. Nothing else is put before the route then.
    pub base: Option<BaseUrl>,
    /// The path below which the routes are.
    pub prefix: Prefix,
    /// Whether URLs are paths alone, without scheme and host.
    pub relative: bool,
}

impl Urls {
    /// Returns the URL of a route as the client sees it: absolute, unless the client did not say how it
    /// calls us. What a proxy in front tells of the client's own request counts, as in Distribution;
    /// so it does when the client itself says so.
    pub(crate) fn location(
        &self,
        request: &RequestInfo,
        route: &Route,
        query: Option<Query>,
    ) -> HeaderValue {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let prefix = &self.prefix;
        let text = match &self.base {
            Some(base) => format!("{base}{route}{query}"),
            None if self.relative => format!("{prefix}{route}{query}"),
            None => format!("{}{prefix}{route}{query}", origin(request)),
        };
        HeaderValue::try_from(text)
            .expect("hosts, paths, routes and queries are printed in visible ASCII")
    }

    /// Returns the path of a route, below the prefix.
    pub(crate) fn path(&self, route: &Route) -> String {
        match &self.base {
            Some(BaseUrl { path, .. }) => format!("{path}{route}"),
            None => format!("{}{route}", self.prefix),
        }
    }
}

/// Returns scheme and host, where they are known.
fn origin(request: &RequestInfo) -> String {
    let forwarded = Forwarded::of(request);
    let host = forwarded.host.as_deref().or_else(|| request.host());
    let scheme = match forwarded.proto.as_deref() {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ if request.is_secure() => "https",
        _ => "http",
    };
    host.filter(|host| is_host(host))
        .map(|host| format!("{scheme}://{host}"))
        .unwrap_or_default()
}

/// Tells whether a text is a host with or without a port, and nothing that a URL would read in
/// another way, such as the name of a user.
fn is_host(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    text.bytes().all(is_plain) && text.parse::<Authority>().is_ok()
}

/// A path that nothing but routes is put behind: empty, or `/` and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Takes the prefix off a path. What is not below it is `None`.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.0)?;
        match rest {
            "" => Some("/"),
            _ if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if !text.starts_with('/') {
            return Err(UrlError::NoSlash);
        }
        if path.split('/').skip(1).all(is_word) {
            Ok(Self(path.to_owned()))
        } else {
            Err(UrlError::Path)
        }
    }
}

/// A word of a path that means nothing but itself, to whoever reads it.
fn is_word(word: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    !word.is_empty() && word != "." && word != ".." && word.bytes().all(is_plain)
}

/// `http://` or `https://`, a host, perhaps a port and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    path: Prefix,
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, path } = self;
        write!(f, "{origin}{path}")
    }
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::NoUrl)?;
        let scheme = uri.scheme().ok_or(UrlError::NoScheme)?;
        if ![Scheme::HTTP, Scheme::HTTPS].contains(scheme) {
            return Err(UrlError::NoScheme);
        }
        let authority = uri.authority().map(Authority::as_str);
        let host = authority
            .filter(|host| is_host(host))
            .ok_or(UrlError::NoUrl)?;
        if uri.query().is_some() || text.contains('#') {
            return Err(UrlError::Query);
        }
        Ok(Self {
            origin: format!("{scheme}://{host}"),
            path: uri.path().parse()?,
        })
    }
}

/// Why a text cannot stand at the beginning of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// A path does not begin with a slash.
    #[error("does not begin with `/`")]
    NoSlash,
    /// A path holds what a URL reads in another way.
    #[error("holds an empty word, `.`, `..` or a character that does not belong in a path")]
    Path,
    /// A URL names neither `http` nor `https`.
    #[error("does not begin with `http://` or `https://`")]
    NoScheme,
    /// It is no URL.
    #[error("is no URL of a host")]
    NoUrl,
    /// It holds more than a path.
    #[error("has a query or a fragment")]
    Query,
}

#[cfg(test)]
mod tests;
