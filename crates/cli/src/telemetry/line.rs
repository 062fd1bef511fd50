//! One line of the log, as text or as JSON.
//!
//! Nothing that a client sends ends a line, begins another or moves a cursor.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

pub(super) fn text_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let mut line = format!("{} {level:<5} {}", now(), one_line(message));
    for (name, value) in fields {
        // Writing to a string does not fail.
        let _ = match value {
            Value::String(text) if is_word(text) => write!(line, " {name}={text}"),
            // A value never looks like another line.
            value => write!(line, " {name}={}", Quoted(value)),
        };
    }
    line.push('\n');
    line
}

pub(super) fn json_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    object(["time", "level", "msg"], level, message, fields, "")
}

/// The names and the version of Logstash's own lines.
pub(super) fn logstash_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let names = ["@timestamp", "level", "message"];
    object(names, level, message, fields, r#","@version":"1""#)
}

/// A line of JSON whose first names are those of the time, the level and the message.
fn object(
    names: [&str; 3],
    level: Level,
    message: &str,
    fields: &Map<String, Value>,
    more: &str,
) -> String {
    let [time, level_name, message_name] = names;
    // The words of Distribution's own lines.
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut line = format!(
        r#"{{"{time}":"{}"{more},"{level_name}":"{level}","{message_name}":{}"#,
        now(),
        Quoted(&Value::from(message))
    );
    for (name, value) in fields {
        if !names.contains(&name.as_str()) && name != "@version" {
            // Writing to a string does not fail.
            let _ = write!(line, ",{}:{}", Value::from(name.as_str()), Quoted(value));
        }
    }
    line.push_str("}\n");
    line
}

/// The time in RFC 3339.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '"' && c != '=')
}

/// Tells whether a character may end a line or move a cursor: control characters, those of C1 too,
/// and Unicode's own ends of lines and paragraphs.
pub(super) fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A value as JSON, in which more is escaped than JSON asks for.
struct Quoted<'a>(&'a Value);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Passes JSON on; what disturbs can only stand within its strings.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, json: &str) -> fmt::Result {
        let mut rest = json;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| disturbs(*c)) {
            self.0.write_str(&rest[..at])?;
            // All of them have one unit of UTF-16.
            write!(self.0, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A message with its control characters written out.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if disturbs(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
