//! `REGISTRY_…` variables, laid over the tree of the file.
//!
//! A variable's name is the path of a key, in upper case and joined by `_`; its value is YAML. A section
//! can be given whole and then replaces the section of the file. Names that stand for nothing are
//! only worth a warning: Kubernetes sets `REGISTRY_PORT` by itself for a service called *registry*.

use super::check::expand_names;
use super::fault::{Fault, Position, Source, quote};
use super::keys::{KEYS, WORDS_OF_VARIABLES};
use super::schema::{Kind, Row, Status, find, find_old, nearest};
use super::tree::{Content, Entry, Node, parse};

/// What every variable begins with.
pub(crate) const PREFIX: &str = "REGISTRY_";

/// What variables begin with that stand for keys of `auth`.
const AUTH: &str = "REGISTRY_AUTH_";

/// Names the configuration file; it is no key.
pub(crate) const CONFIGURATION_PATH: &str = "REGISTRY_CONFIGURATION_PATH";

/// Lays the variables among `environment` over `root`; what does not fit goes into `faults` and
/// `warnings`.
pub(crate) fn overlay(
    root: &mut Node,
    environment: &[(String, String)],
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<String>,
) {
    let mut variables: Vec<_> = environment
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && name != CONFIGURATION_PATH)
        .collect();
    // A section comes before the keys below it.
    variables.sort();
    for (name, value) in variables {
        let at = Position::start(Source::Variable(name.as_str().into()));
        match locate(&name[PREFIX.len()..]) {
            // Of what shall guard the registry nothing is ignored.
            None if is_of_auth(name) => {
                let message = "stands for no key of `auth`, of which none is ignored";
                faults.push(Fault::new(&at, message));
            }
            None => warnings.push(unknown(name)),
            Some((row, _)) if row.kind == Kind::Version => {
                warnings.push(format!(
                    "{name} is ignored: the file says which version it has"
                ));
            }
            Some((row, path)) => match row.status {
                Status::NotYet(_) | Status::Gone(_) => {
                    faults.push(Fault::new(&at, format!("`{}` is {}", row.path, row.doc)));
                }
                Status::Known => match parse(value, &at.source) {
                    Ok(node) => {
                        if row.path == "auth" && node.is_null() {
                            warnings.push(format!(
                                "{name} is empty: whatever the file says, there is no access control"
                            ));
                        }
                        set(root, &path, node);
                        expand_names(root);
                    }
                    // Where the value is no YAML, what the parser says might repeat some of it.
                    Err(_) if row.kind == Kind::Secret => {
                        let message = "the value is not valid YAML; put it in quotes";
                        faults.push(Fault::new(&at, message));
                    }
                    Err(broken) => faults.extend(broken),
                },
            },
        }
    }
}

/// Whether a variable that stands for no key was meant for `auth`. Kubernetes sets two kinds of them for
/// a service called *registry-auth*.
fn is_of_auth(name: &str) -> bool {
    let word = name
        .strip_prefix(AUTH)
        .and_then(|rest| rest.split('_').next());
    word.is_some_and(|word| !["PORT", "SERVICE"].contains(&word))
}

fn unknown(name: &str) -> String {
    let settings = KEYS.iter().filter(|row| row.is_setting());
    let rest = &name[PREFIX.len()..];
    let near = nearest(
        rest,
        settings.map(|row| (row.variable()[PREFIX.len()..].to_owned(), row)),
    );
    let hint = near.map_or(String::new(), |row| {
        format!("; did you mean {}?", row.variable())
    });
    format!(
        "the variable {} stands for no key and is ignored{hint}",
        quote(name)
    )
}

/// Finds the key that a variable names, with the path to set.
fn locate(rest: &str) -> Option<(&'static Row, Vec<String>)> {
    if rest.contains(|c: char| c.is_lowercase()) {
        return None;
    }
    let mut words: Vec<String> = rest.split('_').map(str::to_lowercase).collect();
    if let [section, word, ..] = words.as_mut_slice() {
        let renamed = WORDS_OF_VARIABLES.iter();
        let mut renamed = renamed.filter(|(of, from, _)| of == section && from == word);
        if let Some((_, _, to)) = renamed.next() {
            *word = (*to).to_owned();
        }
    }
    let exact = words.join(".");
    if let Some(row) = find(&exact).or_else(|| find_old(&exact)) {
        return Some((row, words));
    }
    // The longest section that is known, and a word below it that it would take.
    let (row, word) = (1..words.len()).rev().find_map(|length| {
        find(&words[..length].join(".")).map(|row| (row, words[length].clone()))
    })?;
    let takes = match row.kind {
        Kind::Fields => words.iter().all(|word| !word.is_empty()),
        // A header has no keys below it.
        Kind::Headers => !word.is_empty() && words.len() == row.path.split('.').count() + 1,
        // `…_0_FILE` is a key in the first section of the list.
        Kind::Items => item_index(&word).is_some(),
        _ => false,
    };
    if row.kind == Kind::Items {
        let place = row.path.matches('.').count() + 1;
        words[place].insert(0, ITEM);
    }
    let refuses = row.below().contains(&"*") || row.below().contains(&word.as_str());
    (takes || refuses).then_some((row, words))
}

/// Sets the value at `path`, making the sections on the way.
fn set(node: &mut Node, path: &[String], value: Node) {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if node.is_null() {
        *node = Node::empty_map(node.at.clone());
    }
    if let Some(index) = first.strip_prefix(ITEM).and_then(item_index) {
        return set_item(node, index, rest, value);
    }
    let Content::Map(entries) = &mut node.content else {
        return; // a value where a section belongs: the check says so
    };
    let index = if let Some(index) = entries.iter().position(|entry| is_named(entry, first)) {
        index
    } else {
        let at = value.at.clone();
        entries.push(Entry {
            key: first.clone(),
            at: at.clone(),
            value: Node::empty_map(at),
        });
        entries.len() - 1
    };
    if rest.is_empty() {
        entries[index].at = value.at.clone();
    }
    set(&mut entries[index].value, rest, value);
}

/// Marks a word that is the number of an item; no other word has it.
const ITEM: char = '#';

fn item_index(word: &str) -> Option<usize> {
    word.parse().ok()
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.content, Content::Map(entries) if entries.is_empty())
}

/// Sets a value in an item of a list, or appends an item, as Distribution 3 does. A number beyond the
/// end stands as an item of no use, which the check names.
fn set_item(node: &mut Node, index: usize, path: &[String], value: Node) {
    if is_empty(node) {
        node.content = Content::List(Vec::new());
    }
    let Content::List(items) = &mut node.content else {
        return;
    };
    if index < items.len() {
        return set(&mut items[index], path, value);
    }
    let mut item = Node::empty_map(value.at.clone());
    if index == items.len() {
        set(&mut item, path, value);
    }
    items.push(item);
}

/// Fields of a log line and headers may be written in any case.
fn is_named(entry: &Entry, word: &str) -> bool {
    entry.key.to_lowercase() == word
}

#[cfg(test)]
mod tests;
