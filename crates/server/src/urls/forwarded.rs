//! What proxies tell of the request that the client has made of the first of them.
//!
//! ```text
//! Forwarded: for=192.0.2.43; proto=https; host="registry.example:8443", for=10.0.0.1
//! X-Forwarded-Proto: https          X-Forwarded-Host: registry.example:8443, inner.example
//! ```
//!
//! `Forwarded` (RFC 7239) comes before the other two, as in Distribution: where it is given, they do not
//! count. Of several proxies the first has seen the client. What cannot be read tells nothing.

use std::borrow::Cow;

use http::HeaderName;
use http::header::FORWARDED;

use crate::request::RequestInfo;

/// How the client has called the first proxy.
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// `http` or `https`: what the client speaks with the first proxy.
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What was told; perhaps nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded<'a> {
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) proto: Option<Cow<'a, str>>,
}

impl<'a> Forwarded<'a> {
    pub(super) fn of(request: &'a RequestInfo) -> Self {
        let headers = request.headers();
        if headers.contains_key(FORWARDED) {
            let text = request.text(&FORWARDED);
            return text.and_then(Self::parse).unwrap_or_default();
        }
        let first = |name| {
            let first = request.text(name)?.split(',').next()?.trim();
            (!first.is_empty()).then_some(Cow::Borrowed(first))
        };
        Self {
            host: first(&FORWARDED_HOST),
            proto: first(&FORWARDED_PROTO),
        }
    }

    /// Reads the first element of a `Forwarded` header.
    fn parse(mut text: &'a str) -> Option<Self> {
        let mut found = Self::default();
        loop {
            let (name, rest) = text.trim_start().split_once('=')?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return None;
            }
            let (value, rest) = value(rest)?;
            let mut passed_over = None;
            let place = match name.to_ascii_lowercase().as_str() {
                "host" => &mut found.host,
                "proto" => &mut found.proto,
                _ => &mut passed_over,
            };
            // A name that comes twice could be read in two ways.
            if place.replace(value).is_some() {
                return None;
            }
            let rest = rest.trim_start();
            match rest.as_bytes().first() {
                None | Some(b',') => return Some(found),
                Some(b';') => text = &rest[1..],
                Some(_) => return None,
            }
        }
    }
}

/// Splits off a value, in quotes or without.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t', '"', '=']);
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!value.is_empty()).then_some((value.into(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    loop {
        match chars.next()? {
            (end, '"') => return Some((value.into(), &quoted[end + 1..])),
            (_, '\\') => value.push(chars.next()?.1),
            (_, plain) => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(Option<String>, Option<String>)> {
        let found = Forwarded::parse(text)?;
        let owned = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
        Some((owned(found.host), owned(found.proto)))
    }

    #[test]
    fn the_first_element_counts() {
        let both = Some((Some("a:1".to_owned()), Some("https".to_owned())));
        for text in [
            "host=a:1;proto=https",
            "Host=\"a:1\"; PROTO=https, host=b;proto=http",
            "for=\"[2001:db8::1]:47011\";by=x; proto=\"https\" ; host=\"a\\:1\"",
        ] {
            assert_eq!(parsed(text), both, "{text}");
        }
        assert_eq!(parsed("for=1.2.3.4, host=b"), Some((None, None)));
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        for text in [
            "",
            ",host=a",
            "host",
            "host=",
            "host=\"a",
            "host=\"a\\",
            "host=a b",
            "host=a;",
            "host=a;host=b",
            "host=a=b",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
