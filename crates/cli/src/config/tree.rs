//! YAML as a tree in which every key and value knows where it was written.
//!
//! The parser below it speaks YAML 1.2; what a plain word *means* (YAML 1.1, as in Distribution) is
//! decided later, in [`super::scalar`], by the key it stands at. Here a scalar keeps its own text.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput};

use super::fault::{Fault, Position, Source, quote};

/// Nesting of a configuration: the deepest key of Distribution lies six levels down.
const DEPTH_LIMIT: usize = 64;

/// Nodes of one document, aliases counted as often as they are used: a few lines of nested
/// aliases would otherwise unfold to gigabytes.
const NODE_LIMIT: usize = 20_000;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where the value begins.
    pub(crate) at: Position,
    /// The value.
    pub(crate) content: Content,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// One value; also null, which is the plain empty text.
    Scalar(Scalar),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{key: value}`, in the order of the text, each key once.
    Map(Vec<Entry>),
}

/// The text of a scalar as it was written, escapes resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// The text.
    pub(crate) text: String,
    /// Written without quotes, so that words such as `on` may mean something.
    pub(crate) plain: bool,
}

/// One key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) at: Position,
    /// What it is set to.
    pub(crate) value: Node,
}

impl Node {
    /// An empty map at `at`.
    pub(crate) fn empty_map(at: Position) -> Self {
        Self {
            at,
            content: Content::Map(Vec::new()),
        }
    }

    /// Whether this is null: nothing, `~` or `null`, without quotes.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    /// Finds the value at a path of keys.
    pub(crate) fn get(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, key| {
            let Content::Map(entries) = &node.content else {
                return None;
            };
            entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value)
        })
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

impl Scalar {
    /// Whether this is YAML's null.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads one document. An empty one is null.
///
/// # Errors
/// Returns the first syntax fault, beyond which nothing can be read, or every key given twice.
pub(crate) fn parse(text: &str, source: &Source) -> Result<Node, Vec<Fault>> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
        emit_comments: false,
    };
    Reader::new(text, source, options).document()
}

type Item<'a> = (Event<'a>, Span);

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'a Source,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    repeated: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, source: &'a Source, options: Options) -> Self {
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            source,
            anchors: HashMap::new(),
            nodes: 0,
            repeated: Vec::new(),
        }
    }

    fn document(mut self) -> Result<Node, Vec<Fault>> {
        match self.first_document() {
            Ok(root) if self.repeated.is_empty() => Ok(root),
            Ok(_) => Err(self.repeated),
            Err(fault) => {
                self.repeated.push(fault);
                Err(self.repeated)
            }
        }
    }

    fn first_document(&mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => {
                    return Ok(root.unwrap_or_else(|| self.null()));
                }
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Fault::new(
                        &self.position(span.start),
                        "a second document begins here; a configuration is one document",
                    ));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node((event, span))?),
            }
        }
    }

    fn null(&self) -> Node {
        Node {
            at: Position::start(self.source.clone()),
            content: Content::Scalar(Scalar {
                text: String::new(),
                plain: true,
            }),
        }
    }

    fn next(&mut self) -> Result<Item<'a>, Fault> {
        match self.parser.next_event() {
            Some(Ok(item)) => Ok(item),
            Some(Err(error)) => {
                let at = self.position(*error.marker());
                Err(Fault::new(&at, format!("not valid YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn position(&self, marker: Marker) -> Position {
        Position {
            source: self.source.clone(),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn node(&mut self, (event, span): Item<'a>) -> Result<Node, Fault> {
        let at = self.position(span.start);
        self.count(1, &at)?;
        if let Some(tag) = event.tag()
            && tag.is_custom()
            && tag.original() != "!"
        {
            // Its text is not repeated: it may be a secret that was meant to be quoted.
            let message = "an unknown YAML tag; put text that begins with `!` in quotes";
            return Err(Fault::new(&at, message));
        }
        let anchor = event.anchor_id().filter(|id| *id != 0);
        let content = match event {
            Event::Alias(id) => return self.alias(id, &at),
            Event::Scalar(text, style, _, tag) => {
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                Content::Scalar(Scalar {
                    text: text.into_owned(),
                    plain,
                })
            }
            Event::SequenceStart(..) => Content::List(self.list()?),
            Event::MappingStart(..) => Content::Map(self.map()?),
            _ => return Err(Fault::new(&at, "not valid YAML: a value was expected")),
        };
        let node = Node { at, content };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, at: &Position) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > NODE_LIMIT {
            let message = format!("more than {NODE_LIMIT} values, aliases counted at each use");
            return Err(Fault::new(at, message));
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, at: &Position) -> Result<Node, Fault> {
        let Some(target) = self.anchors.get(&id) else {
            return Err(Fault::new(
                at,
                "this alias stands inside the value that it names",
            ));
        };
        let target = target.clone();
        self.count(target.size(), at)?;
        Ok(target)
    }

    fn list(&mut self) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                item => items.push(self.node(item)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merges = Vec::new();
        loop {
            let item = self.next()?;
            if item.0 == Event::MappingEnd {
                break;
            }
            let key = self.node(item)?;
            let item = self.next()?;
            let value = self.node(item)?;
            let Content::Scalar(name) = key.content else {
                return Err(Fault::new(
                    &key.at,
                    "a key must be a word, not a list or a map",
                ));
            };
            if name.plain && name.text == "<<" {
                merges.push(value);
                continue;
            }
            if let Some(first) = entries.iter().find(|entry| entry.key == name.text) {
                let (line, name) = (first.at.line, quote(&name.text));
                let message = format!("{name} is given twice, first in line {line}");
                self.repeated.push(Fault::new(&key.at, message));
            }
            entries.push(Entry {
                key: name.text,
                at: key.at,
                value,
            });
        }
        for value in merges {
            merge(&mut entries, value)?;
        }
        Ok(entries)
    }
}

/// Lays the map of a `<<` key, or of each map in its list, below the keys that are there.
fn merge(entries: &mut Vec<Entry>, value: Node) -> Result<(), Fault> {
    match value.content {
        Content::Map(below) => {
            for entry in below {
                if !entries.iter().any(|there| there.key == entry.key) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        // A list in a list would be the same fault one level down; `merge` reports it there.
        Content::List(items) => items.into_iter().try_for_each(|item| merge(entries, item)),
        Content::Scalar(_) => Err(Fault::new(&value.at, "`<<` takes a map or a list of maps")),
    }
}

#[cfg(test)]
mod tests;
