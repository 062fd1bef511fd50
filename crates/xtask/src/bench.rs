//! `cargo xtask bench`: Wharfinger beside its peers, on the same work in turns.
//!
//! Every peer has its own port and directory. In each round of a row the peers follow one
//! another, so that what drifts on the machine hits all alike; only ratios taken in one run
//! count. Whatever is pushed is pulled and compared, and every answer is checked.

mod client;
mod contents;
mod memory;
mod options;
mod peers;
mod process;
mod registry;
mod report;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;

pub(crate) use memory::run as memory;

use self::options::{HELP, Options};
use self::peers::{Kind, Peer};
use self::report::{Peaks, RowReport};
use self::rows::{Bench, ROWS, Row, Sizes, Turn};
use crate::report::say;

/// Runs the rows that `words` ask for and reports them.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let options = Options::parse(words)?;
    if options.help {
        say(HELP);
        return Ok(());
    }
    let rows: Vec<&Row> = ROWS.iter().filter(|row| options.wants(row.name)).collect();
    ensure!(!rows.is_empty(), "no row has such a name");

    let scratch = Scratch::new(options.directory.as_deref())?;
    let peers = start(&options, scratch.path())?;
    let bench = Bench::new(if options.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    });
    let mut reports = Vec::new();
    for row in rows {
        let report = measure(&bench, row, &peers, options.rounds, scratch.path())
            .with_context(|| row.name.to_owned())?;
        reports.push(report);
    }
    let peaks = peers
        .iter()
        .map(|peer| Ok((peer.kind, peer.peak()?)))
        .collect::<Result<Peaks>>()?;
    say(&format!("\n{}", report::table(&reports, &peaks)));
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report::json(&reports, &peaks));
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let slower = report::slower(&reports, &peaks);
    for row in &slower {
        eprintln!("bench: wharfinger is behind: {row}");
    }
    if options.not_slower && !slower.is_empty() {
        bail!("{} rows on which wharfinger is behind", slower.len());
    }
    Ok(())
}

/// Starts wharfinger, and each other peer that is installed.
fn start(options: &Options, scratch: &Path) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for kind in Kind::ALL {
        let program = match kind {
            Kind::Wharfinger => Some(wharfinger(options)?),
            Kind::DockerRegistry | Kind::Nginx => kind.installed(),
        };
        match program {
            Some(program) => peers.push(Peer::start(kind, &program, scratch)?),
            None => say(&format!("{} is not installed, it stays out", kind.name())),
        }
    }
    Ok(peers)
}

/// Finds the binary that is measured: the release one, for no other says anything about speed.
fn wharfinger(options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.wharfinger {
        return Ok(path.clone());
    }
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let path = metadata.target_directory.join("release/wharfinger");
    ensure!(
        path.is_file(),
        "{path} is not there: `cargo build --release` makes it"
    );
    Ok(path.into_std_path_buf())
}

/// Lets the peers take turns on one row.
fn measure(
    bench: &Bench,
    row: &Row,
    peers: &[Peer],
    rounds: usize,
    scratch: &Path,
) -> Result<RowReport> {
    let mut samples = Vec::new();
    for peer in peers {
        if row.statics || peer.kind != Kind::Nginx {
            (row.prepare)(bench, peer).with_context(|| peer.kind.name())?;
            samples.push((peer, Vec::new()));
        }
    }
    for round in 0..rounds {
        for (peer, samples) in &mut samples {
            settle(scratch)?;
            let turn = Turn {
                row: row.name,
                round,
            };
            let sample = (row.run)(bench, peer, turn).with_context(|| peer.kind.name())?;
            samples.push(sample);
        }
    }
    let report = RowReport {
        name: row.name,
        unit: row.unit,
        samples: samples
            .into_iter()
            .map(|(peer, samples)| (peer.kind, samples))
            .collect(),
    };
    say(&report.line());
    Ok(report)
}

/// Has the kernel write what the last peer left, so that the next one does not pay for it.
fn settle(scratch: &Path) -> Result<()> {
    let status = Command::new("sync").arg("-f").arg(scratch).status()?;
    ensure!(status.success(), "sync: {status}");
    Ok(())
}

/// A directory that is removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new directory below `parent`, or below the system's temporary one.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("wharfinger-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is named by nothing else and harms nobody.
        fs::remove_dir_all(&self.0).ok();
    }
}
