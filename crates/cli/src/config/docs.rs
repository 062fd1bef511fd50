//! The part of `docs/configuration.md` that is printed from the table.

use std::fmt::Write;

use anyhow::Context;

use super::keys::KEYS;
use super::schema::{Kind, Row, Status};

/// The line above the printed part.
const BEGIN: &str = "<!-- begin: printed by `cargo run -- refresh-docs docs/configuration.md` -->";

/// The line below it.
const END: &str = "<!-- end -->";

/// Puts the printed part in the place of what stands between the two marks of `document`.
///
/// # Errors
/// Fails if a mark is missing.
pub(crate) fn refresh(document: &str) -> anyhow::Result<String> {
    let (head, rest) = document
        .split_once(BEGIN)
        .with_context(|| format!("no line {BEGIN}"))?;
    let (_, tail) = rest
        .split_once(END)
        .with_context(|| format!("no line {END}"))?;
    Ok(format!("{head}{BEGIN}\n\n{}\n{END}{tail}", tables()))
}

/// Prints the tables.
fn tables() -> String {
    let mut text = String::from(
        "## Keys\n\n| Key | Takes | Default | Old name | Meaning |\n|---|---|---|---|---|\n",
    );
    for row in KEYS.iter().filter(|row| row.status == Status::Known) {
        push(
            &mut text,
            &[
                &code(row.path),
                &takes(row),
                &default(row),
                &old(row),
                row.doc,
            ],
        );
    }
    text.push_str(
        "\n## Refused\n\nKeys of Distribution that stop the program rather than being ignored, in the \
         file and as variables, with everything below them.\n\n| Key | With | Why |\n|---|---|---|\n",
    );
    for row in KEYS.iter().filter(|row| row.status != Status::Known) {
        let below: Vec<_> = row
            .below()
            .iter()
            .filter(|word| **word != "*")
            .map(|w| code(w))
            .collect();
        push(&mut text, &[&code(row.path), &below.join(", "), row.doc]);
    }
    text
}

fn push(text: &mut String, cells: &[&str]) {
    for cell in cells {
        // Writing to a string does not fail.
        let _ = write!(text, "| {cell}{}", if cell.is_empty() { "" } else { " " });
    }
    text.push_str("|\n");
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn takes(row: &Row) -> String {
    match row.kind {
        Kind::Section => "section".to_owned(),
        Kind::Driver => "section (driver)".to_owned(),
        Kind::Provider => "section (provider)".to_owned(),
        Kind::Version => code(super::keys::VERSION),
        Kind::Text => "text".to_owned(),
        Kind::Secret => "text, never shown".to_owned(),
        Kind::Bool => "boolean".to_owned(),
        Kind::Integer(i64::MIN) => "whole number".to_owned(),
        Kind::Integer(least) => format!("whole number, at least {least}"),
        Kind::Duration => "duration".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|word| code(word))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::WordOfAnyCase(words) => {
            let words = words.iter().map(|word| code(word)).collect::<Vec<_>>();
            format!("{}, in any case", words.join(", "))
        }
        Kind::Address => "address".to_owned(),
        Kind::Fields => "map of anything".to_owned(),
        Kind::TcpAddress => "address".to_owned(),
        Kind::Items => "list of sections".to_owned(),
        Kind::Hooks => "list, all disabled".to_owned(),
        Kind::UrlPath => "path of a URL".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Headers => "map of lists".to_owned(),
        Kind::Url => "URL".to_owned(),
        Kind::Prefix => "path".to_owned(),
        Kind::Patterns => "list of regular expressions".to_owned(),
        Kind::Platforms => "list of `{architecture, os}`".to_owned(),
    }
}

fn default(row: &Row) -> String {
    match row.default {
        Some(default) => code(default),
        None if row.is_section() => String::new(),
        None if row.kind == Kind::Version => "required".to_owned(),
        None => "none".to_owned(),
    }
}

fn old(row: &Row) -> String {
    row.old.map_or(String::new(), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_what_the_table_says() {
        // Tests run in the folder of their package, wherever it was when they were compiled.
        let path = "../../docs/configuration.md";
        let document = std::fs::read_to_string(path).unwrap();
        assert!(
            refresh(&document).unwrap() == document,
            "docs/configuration.md is not what the table of keys says; \
             run `cargo run -- refresh-docs docs/configuration.md` at the top of the tree"
        );
    }

    #[test]
    fn every_key_is_in_the_tables() {
        let tables = tables();
        for row in KEYS {
            assert!(
                tables.contains(&format!("\n| `{}` |", row.path)),
                "{}",
                row.path
            );
        }
    }

    #[test]
    fn a_document_without_marks_is_left_alone() {
        assert!(
            refresh("# Configuration\n")
                .unwrap_err()
                .to_string()
                .contains("begin")
        );
        assert!(refresh(BEGIN).is_err());
    }
}
