//! The keys under which paths are kept.
//!
//! They have NUL in place of each slash. No path holds a NUL, and none of its characters sorts
//! below it: so the order of the keys is the order of a listing, and everything below a directory
//! is one range.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::DriverPath;

/// Returns the key of a path.
pub(super) fn key(path: &DriverPath) -> String {
    path.as_str().replace('/', "\0")
}

/// The range of all keys below `path`.
pub(super) fn below(path: &DriverPath) -> (Bound<String>, Bound<String>) {
    let key = key(path);
    (
        Bound::Included(format!("{key}\0")),
        Bound::Excluded(format!("{key}\u{1}")),
    )
}

/// The first key that can follow the name and everything below it.
pub(super) fn beyond(prefix: &str, name: &str) -> String {
    format!("{prefix}{name}\u{1}")
}

/// Returns the keys of `path` and of everything below it.
pub(super) fn keys_within<T>(map: &BTreeMap<String, T>, path: &DriverPath) -> Vec<String> {
    let itself = map.get_key_value(&key(path)).into_iter();
    itself
        .chain(map.range(below(path)))
        .map(|(key, _)| key.clone())
        .collect()
}
