//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The document that holds it.
    pub(crate) source: Source,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column in characters, counted from 1.
    pub(crate) column: usize,
}

/// A document that settings come from. Faults of the file are listed before those of variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The configuration file, by the name it was asked for.
    File(Arc<str>),
    /// An environment variable, whose value is a small document of its own.
    Variable(Arc<str>),
}

impl Position {
    /// The beginning of `source`.
    pub(crate) fn start(source: Source) -> Self {
        Self {
            source,
            line: 1,
            column: 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            line,
            column,
        } = self;
        match source {
            Source::File(name) => write!(f, "{name}:{line}:{column}"),
            // Most variables hold one plain value, where a column says nothing.
            Source::Variable(name) if (*line, *column) == (1, 1) => write!(f, "{name}"),
            Source::Variable(name) => write!(f, "{name}:{line}:{column}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// Where it is.
    pub(crate) at: Position,
    /// What it is; never the value of a secret.
    pub(crate) message: String,
}

impl Fault {
    /// Makes a fault at `at`.
    pub(crate) fn new(at: &Position, message: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of its text.
#[derive(Debug)]
pub(crate) struct Report {
    faults: Vec<Fault>,
}

impl Report {
    /// Sorts `faults` by position; the same fault is listed once.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self { faults }
    }

    /// How many faults there are.
    pub(crate) fn len(&self) -> usize {
        self.faults.len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// The longest piece of foreign text that a message repeats.
const QUOTE_LIMIT: usize = 60;

/// Repeats foreign text in a message: in backquotes, on one line, and not too much of it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == QUOTE_LIMIT {
            quoted.push('…');
            break;
        }
        if c.is_control() {
            quoted.extend(c.escape_default());
        } else {
            quoted.push(c);
        }
    }
    quoted.push('`');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_stays_on_one_line_and_short() {
        assert_eq!(quote("a\nb"), "`a\\nb`");
        assert_eq!(quote(&"x".repeat(500)).chars().count(), QUOTE_LIMIT + 3);
    }

    #[test]
    fn faults_come_in_the_order_of_the_text_and_once() {
        let file = Source::File("f.yml".into());
        let at = |line, column| Position {
            source: file.clone(),
            line,
            column,
        };
        let variable = Position::start(Source::Variable("REGISTRY_HTTP".into()));
        let report = Report::new(vec![
            Fault::new(&variable, "v"),
            Fault::new(&at(10, 1), "c"),
            Fault::new(&at(2, 9), "b"),
            Fault::new(&at(2, 1), "a"),
            Fault::new(&at(2, 1), "a"),
        ]);
        assert_eq!(
            report.to_string(),
            "f.yml:2:1: a\nf.yml:2:9: b\nf.yml:10:1: c\nREGISTRY_HTTP: v"
        );
        assert_eq!(report.len(), 4);
    }
}
