//! Lists of sections, and other values with a form of their own.

use std::collections::BTreeMap;

use super::check::{Findings, Value, default_value, read, shape};
use super::fault::{Fault, Position};
use super::scalar;
use super::schema::{Row, children, find, join};
use super::tree::{Content, Node};

/// One section of a list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Where it begins.
    pub(crate) at: Position,
    /// A value for each key that has one, given or by default, by the last word of its name.
    pub(crate) values: BTreeMap<&'static str, Value>,
}

impl Findings {
    /// Checks a list whose name is that of `row`.
    pub(super) fn list_of_sections(&mut self, row: &'static Row, node: &Node) {
        if node.is_null() {
            return;
        }
        let Content::List(nodes) = &node.content else {
            let message = format!(
                "`{}` takes a list of sections, not {}",
                row.path,
                shape(node)
            );
            self.faults.push(Fault::new(&node.at, message));
            return;
        };
        let items = nodes.iter().filter_map(|node| self.item(row, node));
        let items = items.collect();
        self.values.insert(row.path, Value::Items(items));
    }

    fn item(&mut self, row: &'static Row, node: &Node) -> Option<Item> {
        let Content::Map(entries) = &node.content else {
            let (name, found) = (row.path, shape(node));
            let message = format!("`{name}` takes a list of sections; this is {found}");
            self.faults.push(Fault::new(&node.at, message));
            return None;
        };
        let mut values = BTreeMap::new();
        for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
            let path = join(row.path, &entry.key);
            let Some(key) = find(&path) else {
                self.unknown(row.path, entry);
                continue;
            };
            match read(key, &entry.value) {
                Ok(value) => drop(values.insert(key.name(), value)),
                Err(message) => self.faults.push(Fault::new(&entry.value.at, message)),
            }
        }
        for key in children(row.path) {
            if let Some(default) = key.default {
                values
                    .entry(key.name())
                    .or_insert_with(|| default_value(key, default));
            }
        }
        Some(Item {
            at: node.at.clone(),
            values,
        })
    }
}

/// Log hooks do nothing here, so that each must be disabled.
pub(super) fn disabled_hooks(node: &Node) -> Result<Value, String> {
    let Content::List(hooks) = &node.content else {
        return Err(format!("`log.hooks` takes a list, not {}", shape(node)));
    };
    let is_disabled = |hook: &Node| match hook.get("disabled").map(|node| &node.content) {
        Some(Content::Scalar(scalar)) => scalar::boolean(scalar) == Some(true),
        _ => false,
    };
    match hooks.iter().find(|hook| !is_disabled(hook)) {
        None => Ok(Value::Items(Vec::new())),
        Some(hook) => Err(format!(
            "`log.hooks` at {} cannot send mail: alarms belong to whoever reads the log and the metrics; take \
             it out, or set `disabled: true`",
            hook.at
        )),
    }
}

/// Whether a text is the path of a URL and nothing more.
pub(super) fn is_url_path(text: &str) -> bool {
    text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b))
}
