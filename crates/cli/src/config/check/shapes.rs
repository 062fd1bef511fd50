//! Values of more than one word: lists, headers, URLs.

use ::http::{HeaderName, HeaderValue};
use wharfinger_server::{BaseUrl, Prefix, UrlError};

use super::super::fault::quote;
use super::super::tree::{Content, Node};
use super::shape;

/// Headers by which the two ends of a connection come to an understanding; only the server can know them.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `[a, b]`.
pub(super) fn list(name: &str, node: &Node) -> Result<Vec<String>, String> {
    let Content::List(items) = &node.content else {
        let shape = shape(node);
        return Err(format!(
            "`{name}` takes a list such as `[a, b]`, not {shape}"
        ));
    };
    items
        .iter()
        .map(|item| match &item.content {
            Content::Scalar(scalar) if !scalar.is_null() && !scalar.text.is_empty() => {
                Ok(scalar.text.clone())
            }
            Content::Scalar(_) => Err(format!("`{name}` holds an empty value")),
            Content::List(_) | Content::Map(_) => {
                let shape = shape(item);
                Err(format!(
                    "`{name}` takes a list of single values; it holds {shape}"
                ))
            }
        })
        .collect()
}

/// Reads `{Name: [value]}`.
pub(super) fn headers(name: &str, node: &Node) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let Content::Map(entries) = &node.content else {
        let shape = shape(node);
        return Err(format!(
            "`{name}` takes a map such as `{{X-Content-Type-Options: [nosniff]}}`, not {shape}"
        ));
    };
    let mut headers = Vec::new();
    for entry in entries {
        let quoted = quote(&entry.key);
        let header = HeaderName::try_from(entry.key.as_str())
            .map_err(|_| format!("`{name}` holds {quoted}, which is no name of a header"))?;
        if OWN_HEADERS.contains(&header.as_str()) {
            return Err(format!(
                "`{name}` holds {quoted}, which only the server itself can set"
            ));
        }
        if entry.value.is_null() {
            continue;
        }
        for value in list(&format!("{name}.{}", entry.key), &entry.value)? {
            let read = HeaderValue::try_from(value.as_str()).map_err(|_| {
                let value = quote(&value);
                format!(
                    "`{name}.{}` holds {value}, which no header can carry",
                    entry.key
                )
            })?;
            headers.push((header.clone(), read));
        }
    }
    Ok(headers)
}

/// Reads what URLs begin with.
pub(super) fn url(name: &str, text: &str) -> Result<BaseUrl, String> {
    text.parse().map_err(|error| {
        let quoted = quote(text);
        let hint = match error {
            UrlError::NoScheme => "; write `https://HOST` or `http://HOST:PORT`",
            _ => "",
        };
        format!("`{name}` {quoted} {error}{hint}")
    })
}

/// Reads the path before every route.
pub(super) fn prefix(name: &str, text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|error| {
        let quoted = quote(text);
        let hint = match error {
            UrlError::NoSlash => format!("; write {}", quote(&format!("/{text}"))),
            _ => String::new(),
        };
        format!("`{name}` {quoted} {error}{hint}")
    })
}
