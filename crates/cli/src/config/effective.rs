//! The settings that count, as a file that gives every one of them; secrets are left out.

use std::fmt::Write;

use http::{HeaderName, HeaderValue};

use super::check::{Findings, Value};
use super::keys::KEYS;
use super::scalar::print_duration;
use super::schema::{Kind, Row, Status};
use super::types::SecretSource;

/// Prints every setting in the order of the table.
pub(crate) fn print(findings: &Findings, secret: &SecretSource) -> String {
    let mut text = String::new();
    for row in KEYS.iter().filter(|row| row.status == Status::Known) {
        let indent = "  ".repeat(row.path.matches('.').count());
        let line = match row.kind {
            _ if !is_chosen(findings, row) => None,
            // A driver without keys of its own is there all the same.
            Kind::Driver | Kind::Provider if is_leaf(row) => Some("{}".to_owned()),
            Kind::Section | Kind::Driver | Kind::Provider => Some(String::new()),
            // They stand in the list itself.
            _ if row.is_in_list() => None,
            Kind::Secret => Some(secret_text(secret)),
            _ => findings.values.get(row.path).map(value_text),
        };
        if let Some(line) = line {
            let space = if line.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{indent}{}:{space}{line}", row.name());
        }
    }
    text
}

/// Whether a row is or lies below a driver or provider that is named, or belongs to none at all.
fn is_chosen(findings: &Findings, row: &Row) -> bool {
    let mut words = row.path.split('.');
    let (Some(section), Some(name)) = (words.next(), words.next()) else {
        return true;
    };
    let choice = super::schema::find(&super::schema::join(section, name));
    match choice.map(|row| row.kind) {
        Some(Kind::Driver) => findings.driver == Some(name),
        Some(Kind::Provider) => findings.provider == Some(name),
        _ => true,
    }
}

fn is_leaf(row: &Row) -> bool {
    super::schema::children(row.path).next().is_none()
}

fn secret_text(secret: &SecretSource) -> String {
    match secret {
        SecretSource::Given(_) => "\"***\" # given, not shown".to_owned(),
        SecretSource::KeptIn(path) => format!("# kept in {}", path.display()),
        SecretSource::PerProcess => "# made anew at each start".to_owned(),
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => scalar_text(text),
        Value::Secret(_) => "\"***\"".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Duration(value) => print_duration(*value),
        Value::Address(address) => format!("\"{address}\""),
        Value::List(items) => serde_json::Value::from(items.as_slice()).to_string(),
        Value::Headers(headers) => headers_text(headers),
        Value::Url(url) => scalar_text(&url.to_string()),
        Value::Prefix(prefix) if prefix.to_string().is_empty() => "/".to_owned(),
        Value::Prefix(prefix) => scalar_text(&prefix.to_string()),
        // JSON in one line is YAML.
        Value::Fields(fields) => serde_json::Value::Object(fields.clone()).to_string(),
        Value::Items(items) => {
            let items = items.iter().map(|item| {
                let values = item.values.iter();
                let shown = values.map(|(name, value)| match (*name, value) {
                    // Perhaps what a page asks for to let somebody in.
                    ("headers", Value::Fields(fields)) if !fields.is_empty() => {
                        format!("{name}: \"***\"")
                    }
                    _ => format!("{name}: {}", value_text(value)),
                });
                format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
            });
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Patterns(patterns) => serde_json::Value::from(patterns.as_slice()).to_string(),
        Value::Platforms(platforms) => {
            let item = |(architecture, os): &(String, String)| serde_json::json!({ "architecture": architecture, "os": os });
            platforms
                .iter()
                .map(item)
                .collect::<serde_json::Value>()
                .to_string()
        }
    }
}

/// The values of each header, in the order of the file.
fn headers_text(headers: &[(HeaderName, HeaderValue)]) -> String {
    let mut map = serde_json::Map::new();
    for (name, value) in headers {
        // What was read from text is text.
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values = map
            .entry(name.as_str())
            .or_insert_with(|| Vec::<String>::new().into());
        if let serde_json::Value::Array(values) = values {
            values.push(value.into());
        }
    }
    serde_json::Value::Object(map).to_string()
}

/// Text that is certainly read back as it is: quoted unless it is a path or a word.
fn scalar_text(text: &str) -> String {
    let is_simple = text.starts_with(|c: char| c.is_ascii_alphabetic() || "/.".contains(c))
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if is_simple || text == super::keys::VERSION {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
