//! What dead processes have promised last for each path.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::SystemTime;

use crate::DriverPath;

use super::super::durable::below;
use super::dead::Dead;
use super::format::{Entry, Operation, parse};
use super::segment::is_suspect;

/// The last thing that was promised for a path.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) path: DriverPath,
    /// What has to be done, if it is not.
    pub(super) last: Operation<'a>,
    pub(super) written: SystemTime,
    /// Whether what the page cache shows of it need not be on the disk.
    pub(super) suspect: bool,
    /// Other values that were promised before for the same path, or below it.
    pub(super) earlier: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// The promises that it was made of, as far as they still matter, to be made once more.
    pub(super) fn promises(&'a self) -> impl Iterator<Item = (SystemTime, Operation<'a>)> {
        let earlier = self.earlier.iter().map(|bytes| Operation::Put {
            path: self.path.as_str(),
            bytes,
            verified: false,
        });
        let promises = earlier.chain([self.last]);
        promises.map(|operation| (self.written, operation))
    }
}

/// Goes through all promises in their order: those of one process as it numbered them, those of
/// several by their time. When one segment is suspect they all are: the failed sync of one process
/// may have been about what another has written, and that one may have died before it knew.
pub(super) fn wanted(segments: &[Dead]) -> Vec<Wanted<'_>> {
    let suspect = segments.iter().any(|dead| is_suspect(&dead.path));
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
    let mut wanted: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
    while let Some((process, first)) = promised
        .iter()
        .filter_map(|(process, promised)| Some((*process, promised.front()?.written)))
        .min_by_key(|(_, written)| *written)
        .and_then(|(process, _)| Some((process, promised.get_mut(process)?.pop_front()?)))
    {
        if !taken_back.contains(&(process, first.number)) {
            for last in first.operations {
                // A path that cannot be one was never promised by this code.
                let Ok(path) = last.path().parse() else {
                    continue;
                };
                want(
                    &mut wanted,
                    Wanted {
                        path,
                        last,
                        written: first.written,
                        suspect,
                        earlier: Vec::new(),
                    },
                );
            }
        }
    }
    wanted.into_values().collect()
}

struct Promised<'a> {
    number: u64,
    written: SystemTime,
    operations: Vec<Operation<'a>>,
}

/// Adds what was promised next. It ends what was promised below its path, and takes over the values
/// that may still lie there from before.
fn want<'a>(wanted: &mut BTreeMap<String, Wanted<'a>>, mut next: Wanted<'a>) {
    let path = next.path.as_str();
    let below: Vec<String> = wanted
        .range(below(path))
        .map(|(key, _)| key.clone())
        .collect();
    let before = below.iter().filter_map(|key| wanted.remove(key));
    let before: Vec<Wanted<'a>> = before.collect();
    let before = before.into_iter().chain(wanted.remove(path));
    for before in before {
        next.earlier.extend(before.earlier);
        if let Operation::Put { bytes, .. } = before.last {
            next.earlier.push(bytes);
        }
    }
    if let Operation::Put { bytes, .. } = next.last {
        next.earlier.retain(|earlier| *earlier != bytes);
    }
    wanted.insert(path.to_owned(), next);
}
