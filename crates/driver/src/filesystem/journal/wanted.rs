//! What dead processes have promised last for each path.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::SystemTime;

use crate::DriverPath;

use super::dead::Dead;
use super::format::{Entry, Operation, parse};

/// The last thing that was promised for a path.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) path: DriverPath,
    /// What has to be done, if it is not.
    pub(super) last: Operation<'a>,
    pub(super) written: SystemTime,
    /// Other values that were promised for the same path before.
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
/// several by their time.
pub(super) fn wanted(segments: &[Dead]) -> Vec<Wanted<'_>> {
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
            for operation in first.operations {
                want(&mut wanted, operation, first.written);
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

fn want<'a>(
    wanted: &mut BTreeMap<DriverPath, Wanted<'a>>,
    last: Operation<'a>,
    written: SystemTime,
) {
    // A path that cannot be one was never promised by this code.
    let Ok(path) = last.path().parse::<DriverPath>() else {
        return;
    };
    let before = wanted.remove(&path);
    let mut earlier = Vec::new();
    match last {
        Operation::Put { bytes, .. } => {
            if let Some(before) = before {
                earlier = before.earlier;
                if let Operation::Put { bytes, .. } = before.last {
                    earlier.push(bytes);
                }
            }
            earlier.retain(|earlier| *earlier != bytes);
        }
        Operation::Delete { .. } => wanted.retain(|other, _| !other.is_within(&path)),
    }
    let as_wanted = Wanted {
        path: path.clone(),
        last,
        written,
        earlier,
    };
    wanted.insert(path, as_wanted);
}
