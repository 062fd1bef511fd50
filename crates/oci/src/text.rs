//! Helpers for types that travel as text: serde through [`FromStr`], and short excerpts for messages.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{self, Visitor};

/// Longest part of foreign text that is repeated in a message, in characters.
const EXCERPT_CHARS: usize = 64;

/// Longest message of a parser that is passed on, in characters: its own words and one excerpt.
const MESSAGE_CHARS: usize = 160;

/// Deserializes a string through the type's [`FromStr`].
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Returns the beginning of `text`, with everything escaped that could disturb a log line.
///
/// What a client sends may be megabytes long or hold control characters; a message repeats
/// neither.
pub(crate) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars
        .by_ref()
        .take(EXCERPT_CHARS)
        .flat_map(|c| c.escape_debug())
        .collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Returns the beginning of a message that may quote what a client has sent, without characters that
/// could disturb a log line. Unlike an [`excerpt`] it keeps quotation marks as they are.
pub(crate) fn bounded_message(message: &str) -> String {
    let mut chars = message.chars();
    let mut out = String::new();
    for c in chars.by_ref().take(MESSAGE_CHARS) {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Decodes `%XX` escapes; `None` if an escape is malformed.
///
/// `plus_is_space` is the rule of HTML forms, which query strings follow and paths do not.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex_value(bytes.next()?)? << 4 | hex_value(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Some(out)
}

fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
