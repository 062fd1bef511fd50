//! Filters: which blobs or ingests to list.
//!
//! ```text
//! filter   selector ("," selector)*            all of them match; an empty filter always does
//! selector path [operator value]               without an operator: the field is there
//! path     field ("." field)*
//! field    [A-Za-z0-9_]+ | quoted
//! operator "==" | "!=" | "~="                   equal, not equal, matches the expression
//! value    quoted | anything but white space and ","
//! quoted   "…" with Go's escapes; after ~= also /…/ and |…|
//! ```
//!
//! White space is skipped ahead of a field, an operator and a value. Of several filters one has to
//! match. An expression that is none matches nothing, and is no error: so has it always been.

mod parse;

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, ErrorKind, Result};

/// 256 KiB: what the program of one expression may take.
const MOST_EXPRESSION_BYTES: usize = 256 * 1024;

/// 1,000 filters, each of which is looked at for every blob.
const MOST_FILTERS: usize = 1000;

/// What a list is cut down to.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    texts: Vec<String>,
    filters: Vec<Filter>,
}

/// All of these have to match.
#[derive(Debug, Clone, Default)]
struct Filter(Vec<Selector>);

#[derive(Debug, Clone)]
struct Selector {
    path: Vec<String>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Present,
    Equal(String),
    NotEqual(String),
    /// `None` when it is no expression.
    Matches(Option<Regex>),
}

/// Something that filters can look at.
pub trait Fields {
    /// Returns the field at `path`, of which there is at least one part; `None` when there is none.
    fn field(&self, path: &[String]) -> Option<String>;
}

impl Filters {
    /// Reads filters; no filter at all lets everything pass.
    ///
    /// # Errors
    /// Fails with `InvalidArgument` when one is not of the grammar.
    pub fn parse(texts: Vec<String>) -> Result<Self> {
        if texts.len() > MOST_FILTERS {
            let message = format!("{} filters are more than {MOST_FILTERS}", texts.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let filters = texts.iter().map(|text| {
            parse::filter(text).map_err(|error| {
                let message = format!("filter {text:?}: {error}");
                Error::new(ErrorKind::InvalidArgument, message)
            })
        });
        let filters = filters.collect::<Result<_>>()?;
        Ok(Self { texts, filters })
    }

    /// Returns the filters as they were written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Tells whether `subject` passes.
    #[must_use]
    pub fn pass(&self, subject: &impl Fields) -> bool {
        self.filters.is_empty()
            || self
                .filters
                .iter()
                .any(|Filter(selectors)| selectors.iter().all(|one| one.matches(subject)))
    }
}

impl Selector {
    fn matches(&self, subject: &impl Fields) -> bool {
        let value = subject.field(&self.path);
        match &self.test {
            Test::Present => value.is_some(),
            Test::Equal(wanted) => value.as_ref() == Some(wanted),
            Test::NotEqual(unwanted) => value.unwrap_or_default() != *unwanted,
            Test::Matches(expression) => expression
                .as_ref()
                .is_some_and(|expression| expression.is_match(&value.unwrap_or_default())),
        }
    }
}

/// Makes the test of an expression.
fn matches(expression: &str) -> Test {
    let built = RegexBuilder::new(expression)
        .size_limit(MOST_EXPRESSION_BYTES)
        .dfa_size_limit(MOST_EXPRESSION_BYTES)
        .build();
    Test::Matches(built.ok())
}

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Blob;

    impl Fields for Blob {
        fn field(&self, path: &[String]) -> Option<String> {
            match path.join(".").as_str() {
                "digest" => Some("sha256:abc".to_owned()),
                "labels.containerd.io/gc.root" | "labels.plain" => Some("x y".to_owned()),
                _ => None,
            }
        }
    }

    fn pass(texts: &[&str]) -> Option<bool> {
        let texts = texts.iter().map(ToString::to_string).collect();
        Filters::parse(texts)
            .ok()
            .map(|filters| filters.pass(&Blob))
    }

    #[test]
    fn filters_pass_what_they_say() {
        for (texts, wanted) in [
            (&[][..], true),
            (&[""], true),
            (&["digest==sha256:abc"], true),
            (&["digest == sha256:abc"], true),
            (&["digest==sha256:ab"], false),
            (&["digest~=^sha256:a"], true),
            (&["digest~=/^sha256:a/"], true),
            (&["digest~=|b|"], true),
            (&["digest~=\"c$\""], true),
            (&["digest~=/(/"], false),
            (&["labels.plain"], true),
            (&["labels.\"containerd.io/gc.root\"==\"x y\""], true),
            (&["labels.containerd.\"io/gc\".root"], true),
            (&["labels.other"], false),
            (&["labels.other!=x"], true),
            (&["labels.other==\"\""], false),
            (&["labels.other~=/.*/"], true),
            (&["digest!=sha256:abc"], false),
            (&["digest==sha256:abc,labels.plain"], true),
            (&["digest==sha256:abc,labels.other"], false),
            (&["labels.other", "digest"], true),
            (&["size==3"], false),
            (&["digest==\"sha256:\\x61b\\u0063\""], true),
            (&["digest==sha256:a=c"], false),
        ] {
            assert_eq!(pass(texts), Some(wanted), "{texts:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "digest=x",
            "==x",
            "digest==",
            "digest==x ",
            "digest==x,",
            ",digest",
            "digest.",
            "some-field",
            "labels.containerd.io/gc.root==x",
            "digest==/x/",
            "/digest/==x",
            "digest==\"x",
            "digest~=/\\d/",
            "digest===x",
            "digest~=.*",
            "digest \"x\"",
            "digest==\"\\x6\"",
            "digest\0",
        ] {
            assert_eq!(pass(&[text]), None, "{text:?}");
        }
        let many = vec!["digest"; MOST_FILTERS + 1];
        assert_eq!(pass(&many), None);
    }

    #[test]
    fn an_expression_of_great_size_matches_nothing() {
        assert_eq!(pass(&["digest~=/(.{1000}){1000}/"]), Some(false));
    }
}
