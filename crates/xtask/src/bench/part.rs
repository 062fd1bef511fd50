//! One part of a run: servers are started in one place, and take turns on its rows.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::lock::Lock;
use super::options::Options;
use super::peers::{Kind, Peer};
use super::profile::Profile;
use super::report::{self, Memory, Part, PartName, RowReport};
use super::rows::{Bench, Row, Sample, Turn};
use super::scratch::{Scratch, file_system, settle};
use crate::report::say;

/// What every part needs to know.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) options: &'a Options,
    pub(crate) programs: &'a [(Kind, PathBuf)],
    pub(crate) bench: &'a Bench,
}

/// A server that takes part, and what has been measured of it in the row that runs.
struct Contestant<'a> {
    peer: &'a Peer,
    samples: Vec<Sample>,
    /// Why it has no figure, if it is another's server and has failed.
    fault: Option<String>,
}

/// Starts the servers that any of `rows` wants below `place` and measures the rows.
pub(crate) fn run(
    setting: &Setting<'_>,
    name: PartName,
    rows: &[&Row],
    place: Option<&Path>,
) -> Result<Part> {
    let scratch = Scratch::new(place)?;
    let mut part = Part {
        name,
        place: file_system(scratch.path())?,
        rows: Vec::new(),
        memory: Vec::new(),
        faults: Vec::new(),
    };
    say(&format!("\n{}, on {}", name.name(), part.place));
    let mut peers = Vec::new();
    for (kind, program) in setting.programs {
        if !rows.iter().any(|row| row.takes.takes(*kind)) {
            continue;
        }
        let started = Peer::start(*kind, program, scratch.path())
            .and_then(|peer| Ok((peer.idle()?, peer)))
            .with_context(|| kind.name());
        match started {
            Ok(started) => peers.push(started),
            Err(error) => part.faults.push(foreign(*kind, "start", error)?),
        }
    }
    for row in rows {
        let _lock = Lock::take(setting.options.lock.as_deref())?;
        let (report, faults) =
            measure(setting, row, &peers, scratch.path()).with_context(|| row.name.to_owned())?;
        say(&report::line(&report));
        part.faults.extend(faults);
        part.rows.push(report);
    }
    for (idle, peer) in &peers {
        part.memory.push(Memory {
            kind: peer.kind,
            idle: *idle,
            // It may have ended, and that has been said.
            peak: peer.peak().unwrap_or_default(),
        });
    }
    Ok(part)
}

/// Lets the servers take turns on one row; each round begins with another.
fn measure(
    setting: &Setting<'_>,
    row: &Row,
    peers: &[(u64, Peer)],
    scratch: &Path,
) -> Result<(RowReport, Vec<String>)> {
    let mut contestants: Vec<Contestant<'_>> = peers
        .iter()
        .filter(|(_, peer)| row.takes.takes(peer.kind))
        .map(|(_, peer)| Contestant {
            peer,
            samples: Vec::new(),
            fault: None,
        })
        .collect();
    for contestant in &mut contestants {
        let prepared = (row.prepare)(setting.bench, contestant.peer);
        contestant.keep(row, prepared)?;
    }
    for round in 0..setting.options.rounds {
        let turn = Turn {
            row: row.name,
            round,
        };
        let count = contestants.len();
        for index in 0..count {
            let contestant = &mut contestants[(index + round) % count];
            if contestant.fault.is_some() {
                continue;
            }
            settle(scratch)?;
            let sample = (row.run)(setting.bench, contestant.peer, turn);
            if let Some(sample) = contestant.keep(row, sample)? {
                contestant.samples.push(sample);
            }
        }
    }
    if let Some(directory) = &setting.options.profile {
        let ours = contestants
            .iter()
            .find(|contestant| contestant.peer.kind == Kind::Wharfinger);
        if let Some(contestant) = ours {
            let turn = Turn {
                row: row.name,
                round: setting.options.rounds,
            };
            let profile = Profile::start(directory, row.name, contestant.peer.pid())?;
            (row.run)(setting.bench, contestant.peer, turn)?;
            say(&profile.finish()?.display().to_string());
        }
    }
    let faults = contestants
        .iter_mut()
        .filter_map(|contestant| contestant.fault.take())
        .collect();
    let samples = contestants
        .into_iter()
        .map(|contestant| (contestant.peer.kind, contestant.samples))
        .collect();
    let report = RowReport {
        name: row.name,
        unit: row.unit,
        samples,
    };
    Ok((report, faults))
}

impl Contestant<'_> {
    /// Returns what went well. A fault of another's server ends its part in the row, one of ours the run.
    fn keep<T>(&mut self, row: &Row, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.samples.clear();
                self.fault = Some(foreign(self.peer.kind, row.name, error)?);
                Ok(None)
            }
        }
    }
}

/// Turns the fault of another's server into a line of the report.
fn foreign(kind: Kind, what: &str, error: anyhow::Error) -> Result<String> {
    if matches!(kind, Kind::Wharfinger | Kind::Floor) {
        return Err(error.context(kind.name()));
    }
    let line = format!("{}, {what}: {error:#}", kind.name());
    say(&line);
    Ok(line)
}
