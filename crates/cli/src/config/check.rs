//! The tree of a configuration held against the table: every fault, and a value for every key.

mod http;
mod shapes;

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue};
use serde_json::{Map, Number};
use wharfinger_runtime::Secret;

use wharfinger_server::{BaseUrl, Prefix};

use super::address::ListenAddress;
use super::fault::{Fault, Position, Source, quote};
use super::items::{Item, disabled_hooks, is_url_path};
use super::keys::{KEYS, MIN_THREADS, VERSION};
use super::scalar::{self, DurationFault};
use super::schema::{Kind, Row, Status, children, find, find_old, join, meant, nearest};
use super::tree::{Content, Entry, Node, Scalar, parse};
use super::validation;

/// The value of a key, of the type that its row asks for.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Secret(Secret<String>),
    Bool(bool),
    Integer(i64),
    Duration(std::time::Duration),
    Address(ListenAddress),
    Fields(Map<String, serde_json::Value>),
    Items(Vec<Item>),
    List(Vec<String>),
    Headers(Vec<(HeaderName, HeaderValue)>),
    Url(BaseUrl),
    Prefix(Prefix),
    Patterns(Vec<String>),
    /// Architecture and operating system of each.
    Platforms(Vec<(String, String)>),
}

/// What was found: a value for each key that has one, given or by default.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// By the full name of the key.
    pub(crate) values: BTreeMap<&'static str, Value>,
    /// Where the values stand that were given.
    pub(crate) positions: BTreeMap<&'static str, Position>,
    /// The driver that `storage` names.
    pub(crate) driver: Option<&'static str>,
    /// The provider that `auth` names.
    pub(crate) provider: Option<&'static str>,
    /// What is wrong; if anything is, the rest must not be used.
    pub(crate) faults: Vec<Fault>,
    /// What is only worth saying.
    pub(crate) warnings: Vec<String>,
}

/// Writes `storage: inmemory` out as `storage: {inmemory: {}}`, and `auth: none` likewise.
pub(crate) fn expand_names(root: &mut Node) {
    let Content::Map(entries) = &mut root.content else {
        return;
    };
    for entry in entries {
        if matches!(entry.key.as_str(), "storage" | "auth") {
            expand_name(&mut entry.value);
        }
    }
    super::providers::lower_none(root);
}

fn expand_name(node: &mut Node) {
    if node.is_null() {
        return;
    }
    if let Content::Scalar(Scalar { text, .. }) = &node.content {
        let at = node.at.clone();
        let value = Node::empty_map(at.clone());
        node.content = Content::Map(vec![Entry {
            key: text.clone(),
            at,
            value,
        }]);
    }
}

/// Holds the whole tree against the table and fills in the defaults.
pub(crate) fn check(root: &Node) -> Findings {
    let mut findings = Findings::default();
    if !root.is_null() && !matches!(root.content, Content::Map(_)) {
        let message = "a configuration is a map of keys, such as `version: 0.1`";
        findings.faults.push(Fault::new(&root.at, message));
        return findings;
    }
    findings.section("", root);
    findings.require_version(root);
    findings.require_one_driver(root);
    super::providers::check(&mut findings, root);
    findings.check_validation();
    findings.fill_in_defaults();
    findings.check_health();
    findings.check_content();
    findings.check_http(root);
    findings
}

impl Findings {
    /// Checks the keys of a section whose name is `section`; `""` is the top.
    fn section(&mut self, section: &str, node: &Node) {
        let Content::Map(entries) = &node.content else {
            return;
        };
        for entry in entries {
            let path = join(section, &entry.key);
            if let Some(row) = find(&path) {
                match row.status {
                    Status::Known if row.kind == Kind::Items => {
                        self.list_of_sections(row, &entry.value)
                    }
                    Status::Known if row.is_section() => self.subsection(row, entry),
                    Status::Known => self.setting(row, entry, false),
                    Status::NotYet(_) | Status::Gone(_) => {
                        let message = format!("`{}` is {}", row.path, row.doc);
                        self.faults.push(Fault::new(&entry.at, message));
                    }
                }
            } else if let Some(row) = find_old(&path) {
                self.setting(row, entry, true);
            } else {
                self.unknown(section, entry);
            }
        }
    }

    fn subsection(&mut self, row: &'static Row, entry: &Entry) {
        match &entry.value.content {
            Content::Map(_) => self.section(row.path, &entry.value),
            _ if entry.value.is_null() => {}
            Content::Scalar(_) | Content::List(_) => {
                let takes = match children(row.path).next() {
                    Some(child) => format!("is a section with keys such as `{}`", child.name()),
                    None => "is a section without keys".to_owned(),
                };
                let message = format!("`{}` {takes}, not {}", row.path, shape(&entry.value));
                self.faults.push(Fault::new(&entry.value.at, message));
            }
        }
    }

    pub(super) fn unknown(&mut self, section: &str, entry: &Entry) {
        if section == "auth" {
            let message = super::providers::unknown(&entry.key);
            self.faults.push(Fault::new(&entry.at, message));
            return;
        }
        let hint = match meant(section, &entry.key) {
            Some(path) => format!("; did you mean `{path}`?"),
            None => String::new(),
        };
        let message = format!("unknown key {}{hint}", quote(&join(section, &entry.key)));
        self.faults.push(Fault::new(&entry.at, message));
    }

    fn setting(&mut self, row: &'static Row, entry: &Entry, by_old_name: bool) {
        if entry.value.is_null() {
            return; // as if it were not there
        }
        let mut value = match read(row, &entry.value) {
            Ok(value) => value,
            Err(message) => {
                self.faults.push(Fault::new(&entry.value.at, message));
                return;
            }
        };
        if let Value::Integer(count) = &mut value
            && row.path == "storage.filesystem.maxthreads"
            && *count < MIN_THREADS
        {
            let (at, name) = (&entry.value.at, row.path);
            self.warnings
                .push(format!("{at}: `{name}` {count} is raised to {MIN_THREADS}"));
            *count = MIN_THREADS;
        }
        if self.values.contains_key(row.path) {
            // A key twice under one name is a fault of the tree, so this is the other name.
            let old = row.old.unwrap_or_default();
            self.warnings.push(format!(
                "{}: `{old}` is ignored beside `{}`",
                entry.at, row.path
            ));
            if by_old_name {
                return;
            }
        }
        // An empty secret is none at all, which is how a variable takes it away.
        if !matches!(&value, Value::Secret(secret) if secret.expose().is_empty()) {
            self.values.insert(row.path, value);
            self.positions.insert(row.path, entry.value.at.clone());
        }
    }

    fn require_version(&mut self, root: &Node) {
        if root.get("version").is_none_or(Node::is_null) {
            let message = format!("`version` is missing; begin the file with `version: {VERSION}`");
            self.faults.push(Fault::new(&root.at, message));
        }
    }

    fn require_one_driver(&mut self, root: &Node) {
        let (entries, at) = match root.get("storage") {
            Some(Node {
                content: Content::Map(entries),
                at,
            }) => (entries.as_slice(), at),
            Some(node) if node.is_null() => (&[][..], &node.at),
            None => (&[][..], &root.at),
            Some(_) => return, // a list: `subsection` has said so
        };
        let mut drivers = Vec::new();
        for entry in entries {
            match find(&join("storage", &entry.key)) {
                Some(row) if row.kind == Kind::Driver => drivers.push((row, &entry.at)),
                Some(_) => {}
                // Perhaps a driver with a slip in its name, which has been reported.
                None if find_old(&join("storage", &entry.key)).is_none() => return,
                None => {}
            }
        }
        match drivers.as_slice() {
            [] => {
                let names: Vec<_> = known_drivers()
                    .map(|row| format!("`{}`", row.path))
                    .collect();
                let message = format!(
                    "no storage driver is named; give one of {}",
                    names.join(", ")
                );
                self.faults.push(Fault::new(at, message));
            }
            [(row, _)] => self.driver = Some(row.name()),
            [(first, _), others @ ..] => {
                for (row, at) in others {
                    let (first, second) = (first.path, row.path);
                    let message = format!("`{second}` is a second storage driver beside `{first}`");
                    self.faults.push(Fault::new(at, message));
                }
            }
        }
    }

    fn fill_in_defaults(&mut self) {
        for row in KEYS.iter().filter(|row| row.is_setting()) {
            if let Some(default) = row.default
                && !self.values.contains_key(row.path)
            {
                let value = default_value(row, default);
                self.values.insert(row.path, value);
            }
        }
    }
}

fn known_drivers() -> impl Iterator<Item = &'static Row> {
    children("storage").filter(|row| row.kind == Kind::Driver && row.status == Status::Known)
}

/// Reads a default as if it stood in the file.
pub(super) fn default_value(row: &Row, default: &str) -> Value {
    let source = Source::File(row.path.into());
    let node = parse(default, &source).expect("defaults in the table are YAML");
    read(row, &node).expect("defaults in the table are of their row's type")
}

/// Reads a value as its row asks, or says what is wrong with it.
pub(super) fn read(row: &Row, node: &Node) -> Result<Value, String> {
    let name = row.path;
    if row.kind == Kind::Hooks {
        return disabled_hooks(node);
    }
    match row.kind {
        Kind::Fields => {
            return match &node.content {
                Content::Map(entries) => Ok(Value::Fields(fields(entries))),
                _ => Err(format!("`{name}` takes a map, not {}", shape(node))),
            };
        }
        Kind::List => return shapes::list(name, node).map(Value::List),
        Kind::Headers => return shapes::headers(name, node).map(Value::Headers),
        Kind::Patterns => return validation::patterns(name, node),
        Kind::Platforms => return validation::platforms(name, node),
        _ => {}
    }
    let Content::Scalar(scalar) = &node.content else {
        return Err(format!(
            "`{name}` takes a single value, not {}",
            shape(node)
        ));
    };
    let text = &scalar.text;
    let not = |expected: &str| format!("`{name}` must be {expected}, not {}", shown(scalar));
    match row.kind {
        Kind::Section
        | Kind::Driver
        | Kind::Provider
        | Kind::Fields
        | Kind::List
        | Kind::Headers
        | Kind::Hooks
        | Kind::Items
        | Kind::Patterns
        | Kind::Platforms => Err(not("a section")),
        Kind::UrlPath if is_url_path(text) => Ok(Value::Text(text.clone())),
        Kind::UrlPath => Err(not("a path that begins with `/`")),
        Kind::TcpAddress => match text.parse() {
            Ok(address) => Ok(Value::Address(address)),
            Err(fault) => Err(format!("`{name}` {} {}", quote(text), fault.0)),
        },
        Kind::Version if text == VERSION => Ok(Value::Text(text.clone())),
        Kind::Version => Err(not(&format!("`{VERSION}`"))),
        Kind::Text | Kind::Address if text.is_empty() => Err(format!("`{name}` must not be empty")),
        // What an address is depends on another key; see `check_http`.
        Kind::Text | Kind::Address => Ok(Value::Text(text.clone())),
        Kind::Secret => Ok(Value::Secret(Secret::new(text.clone()))),
        Kind::Bool => match scalar::boolean(scalar) {
            Some(value) => Ok(Value::Bool(value)),
            None => Err(not("`true` or `false` without quotes")),
        },
        Kind::Integer(least) => match scalar::integer(scalar) {
            Some(value) if value >= least => Ok(Value::Integer(value)),
            Some(_) => Err(not(&format!("at least {least}"))),
            None => Err(not("a whole number without quotes")),
        },
        Kind::Duration => scalar::duration(text)
            .map(Value::Duration)
            .map_err(|fault| duration_message(name, text, &fault)),
        Kind::Word(words) => word(words, text).ok_or_else(|| word_message(name, words, text)),
        Kind::WordOfAnyCase(words) => {
            word(words, &text.to_lowercase()).ok_or_else(|| word_message(name, words, text))
        }
        Kind::Url => shapes::url(name, text).map(Value::Url),
        Kind::Prefix => shapes::prefix(name, text).map(Value::Prefix),
    }
}

fn word(words: &[&str], text: &str) -> Option<Value> {
    words.contains(&text).then(|| Value::Text(text.to_owned()))
}

/// Words that Distribution takes where this program does not, with what to say.
const REFUSED_WORDS: [(&str, &str, &str); 1] = [(
    "storage.cache.blobdescriptor",
    "redis",
    "is not supported yet",
)];

fn word_message(name: &str, words: &[&str], text: &str) -> String {
    if let Some((_, _, why)) = REFUSED_WORDS
        .iter()
        .find(|row| (row.0, row.1) == (name, text))
    {
        return format!("`{name}: {text}` {why}");
    }
    let list: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    let expected = if let [only] = list.as_slice() {
        only.clone()
    } else {
        format!("one of {}", list.join(", "))
    };
    let near = nearest(text, words.iter().map(|word| (word, word)));
    let hint = near.map_or(String::new(), |word| format!("; did you mean `{word}`?"));
    format!("`{name}` must be {expected}, not {}{hint}", quote(text))
}

/// What to say of a text that is no duration.
pub(crate) fn duration_message(name: &str, text: &str, fault: &DurationFault) -> String {
    let quoted = quote(text);
    match fault {
        DurationFault::NoUnit => format!(
            "`{name}` {quoted} has no unit (Distribution takes it as nanoseconds); write `{text}s` for \
             seconds"
        ),
        DurationFault::Negative => format!("`{name}` must not be negative, as {quoted} is"),
        DurationFault::TooLong => format!("`{name}` {quoted} is longer than a hundred years"),
        DurationFault::Malformed => {
            format!("`{name}` must be a duration such as `30s` or `1h30m`, not {quoted}")
        }
    }
}

pub(super) fn shape(node: &Node) -> &'static str {
    match &node.content {
        Content::Scalar(_) => "a single value",
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
    }
}

/// A scalar in a message; quotes matter to its type, so they are shown.
fn shown(scalar: &Scalar) -> String {
    if scalar.plain {
        quote(&scalar.text)
    } else {
        quote(&format!("\"{}\"", scalar.text))
    }
}

fn fields(entries: &[Entry]) -> Map<String, serde_json::Value> {
    entries
        .iter()
        .map(|entry| (entry.key.clone(), field(&entry.value)))
        .collect()
}

/// The value of a log field: its type is what YAML makes of it.
fn field(node: &Node) -> serde_json::Value {
    match &node.content {
        Content::Map(entries) => serde_json::Value::Object(fields(entries)),
        Content::List(items) => items.iter().map(field).collect(),
        Content::Scalar(scalar) => {
            if scalar.is_null() {
                serde_json::Value::Null
            } else if let Some(value) = scalar::boolean(scalar) {
                value.into()
            } else if let Some(value) = scalar::integer(scalar) {
                value.into()
            } else if let Some(value) = scalar::float(scalar).and_then(Number::from_f64) {
                value.into()
            } else {
                scalar.text.clone().into()
            }
        }
    }
}

#[cfg(test)]
mod tests;
