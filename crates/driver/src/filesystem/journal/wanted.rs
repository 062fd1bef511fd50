//! What dead processes have promised last for each path.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::SystemTime;

use bytes::Bytes;

use crate::DriverPath;

use super::dead::Dead;
use super::format::{Entry, Operation, parse};

/// The last thing that was promised for a path.
#[derive(Debug)]
pub(super) enum Wanted {
    Value {
        bytes: Bytes,
        verified: bool,
        written: SystemTime,
        /// What was promised for the same path before.
        earlier: Vec<Bytes>,
    },
    Nothing {
        since: SystemTime,
    },
}
/// Goes through all promises in their order: those of one process as it numbered them, those of
/// several by their time.
pub(super) fn wanted(segments: &[Dead]) -> BTreeMap<DriverPath, Wanted> {
    let mut taken_back = HashSet::new();
    let mut promised: BTreeMap<&str, VecDeque<Promised<'_>>> = BTreeMap::new();
    // Segments come in the order of their names, those of one process in the order of its writing.
    for dead in segments {
        let entries = parse(&dead.bytes)
            .map(|parsed| parsed.entries)
            .unwrap_or_default();
        for entry in entries {
            match entry {
                Entry::TakenBack { number } => drop(taken_back.insert((dead.process(), number))),
                Entry::Promise {
                    number,
                    written,
                    operations,
                } => promised
                    .entry(dead.process())
                    .or_default()
                    .push_back(Promised {
                        number,
                        written,
                        operations,
                    }),
            }
        }
    }
    let mut wanted = BTreeMap::new();
    while let Some((process, first)) = promised
        .iter()
        .filter_map(|(process, promised)| Some((*process, promised.front()?.written)))
        .min_by_key(|(_, written)| *written)
        .and_then(|(process, _)| Some((process, promised.get_mut(process)?.pop_front()?)))
    {
        if !taken_back.contains(&(process, first.number)) {
            first
                .operations
                .iter()
                .for_each(|operation| want(&mut wanted, operation, first.written));
        }
    }
    wanted
}

struct Promised<'a> {
    number: u64,
    written: SystemTime,
    operations: Vec<Operation<'a>>,
}

fn want(wanted: &mut BTreeMap<DriverPath, Wanted>, operation: &Operation<'_>, written: SystemTime) {
    // A path that cannot be one was never promised by this code.
    match operation {
        Operation::Put {
            path,
            bytes,
            verified,
        } => {
            let Ok(path) = path.parse() else { return };
            let bytes = Bytes::copy_from_slice(bytes);
            let mut earlier = match wanted.remove(&path) {
                Some(Wanted::Value {
                    bytes, mut earlier, ..
                }) => {
                    earlier.push(bytes);
                    earlier
                }
                Some(Wanted::Nothing { .. }) | None => Vec::new(),
            };
            earlier.retain(|earlier| *earlier != bytes);
            wanted.insert(
                path,
                Wanted::Value {
                    bytes,
                    verified: *verified,
                    written,
                    earlier,
                },
            );
        }
        Operation::Delete { path } => {
            let Ok(path) = path.parse::<DriverPath>() else {
                return;
            };
            wanted.retain(|other, _| !other.is_within(&path));
            wanted.insert(path, Wanted::Nothing { since: written });
        }
    }
}
