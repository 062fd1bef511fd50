//! `--million`: a million repositories, and a repository with a million tags.
//!
//! The trees lie in Distribution's layout, and stay for the next run: laying them out takes
//! minutes. Wharfinger is measured beside itself, over trees of a few thousand; another registry
//! of the layout only when `--peer` asks for it, since it may need minutes for one page.

mod cold;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::tree::Tree;
use super::lock::Lock;
use super::part::Setting;
use super::peers::{Kind, Peer};
use super::report::{self, Part, PartName, RowReport};
use super::rows::Unit;
use super::rows::pages::Pages;
use super::scratch::{Scratch, file_system};
use crate::report::say;

/// The rows, in the order of the report.
pub(crate) const NAMES: [&str; 9] = [
    "page of tags in 10,000",
    TAGS,
    "page of repositories in 5,000",
    REPOSITORIES,
    WALKS[0].1,
    WALKS[1].1,
    "cold start to /v2/",
    "cold start to a manifest",
    "cold start to the first page of repositories",
];
const TAGS: &str = "page of tags in 1,000,000";
const REPOSITORIES: &str = "page of repositories in 1,000,000";
/// Rows of pages, and what the walk is called that comes before them: every page once, in order.
const WALKS: [(&str, &str); 2] = [
    (TAGS, "first walk through 1,000,000 tags"),
    (REPOSITORIES, "first walk through 1,000,000 repositories"),
];
const MILLION: usize = 1_000_000;

/// Measures all rows over trees in `place`.
pub(crate) fn run(setting: &Setting<'_>, place: &Path) -> Result<Part> {
    let place = place.join("wharfinger-million");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let many = Tree::repositories(&place, MILLION);
    let lists = [
        Tree::tags(&place, 10_000),
        Tree::tags(&place, MILLION),
        Tree::repositories(&place, 5_000),
        many.clone(),
    ];
    let wanted = |names: &[&'static str]| -> Vec<&'static str> {
        let wanted = names.iter().filter(|name| setting.options.wants(name));
        wanted.copied().collect()
    };
    let mut rows = Vec::new();
    for (name, tree) in NAMES.into_iter().zip(&lists) {
        if setting.options.wants(name) {
            rows.push((name, tree));
        }
    }
    let mut part = Part {
        name: PartName::Million,
        place: file_system(&place)?,
        rows: pages(setting, &rows)?,
        memory: Vec::new(),
        faults: Vec::new(),
    };
    if !wanted(&NAMES[NAMES.len() - cold::STEPS..]).is_empty() {
        many.lay_out()?;
        part.rows.extend(cold_starts(setting, &many)?);
    }
    for row in &part.rows {
        say(&report::line(row));
    }
    Ok(part)
}

/// Measures pages of every list, each list with a server of its own, which take turns.
fn pages(setting: &Setting<'_>, rows: &[(&'static str, &Tree)]) -> Result<Vec<RowReport>> {
    let report = |name, unit| RowReport {
        name,
        unit,
        samples: Vec::new(),
    };
    let mut reports: Vec<RowReport> = Vec::new();
    let mut walks: Vec<RowReport> = Vec::new();
    for (name, tree) in rows {
        tree.lay_out()?;
        reports.push(report(name, Unit::Requests));
        if let Some((_, walk)) = WALKS.iter().find(|(row, _)| row == name) {
            walks.push(report(walk, Unit::Milliseconds));
        }
    }
    for (kind, program) in contestants(setting) {
        let scratch = Scratch::new(None)?;
        let mut servers: Vec<(Peer, Pages)> = Vec::new();
        let mut further = walks.iter_mut();
        for (index, (name, tree)) in rows.iter().enumerate() {
            let directory = scratch.path().join(index.to_string());
            let peer = Peer::start_over(*kind, program, &directory, tree.path())?;
            let pages = tree.pages();
            say(&format!("{}: {}", kind.name(), tree.path().display()));
            pages.probe(&peer, &pages.first())?;
            // What a server can learn of the list it knows before the clock of its row starts; what
            // that costs is a row of its own.
            let walked = {
                let _lock = Lock::take(setting.options.lock.as_deref())?;
                pages.walk(&peer)?
            };
            if WALKS.iter().any(|(row, _)| row == name)
                && let Some(report) = further.next()
            {
                report.samples.push((*kind, vec![walked]));
            }
            servers.push((peer, pages));
        }
        for report in &mut reports {
            report.samples.push((*kind, Vec::new()));
        }
        for _ in 0..setting.options.rounds {
            let _lock = Lock::take(setting.options.lock.as_deref())?;
            for ((peer, pages), report) in servers.iter().zip(&mut reports) {
                let sample = pages.repeat(setting.bench, peer)?;
                if let Some((_, samples)) = report.samples.last_mut() {
                    samples.push(sample);
                }
            }
        }
    }
    reports.extend(walks);
    Ok(reports)
}

/// Measures starts over the tree, with nothing of it in memory.
fn cold_starts(setting: &Setting<'_>, tree: &Tree) -> Result<Vec<RowReport>> {
    let names = &NAMES[NAMES.len() - cold::STEPS..];
    let report = |name: &&'static str| RowReport {
        name,
        unit: Unit::Milliseconds,
        samples: Vec::new(),
    };
    let mut reports: Vec<RowReport> = names.iter().map(report).collect();
    for (kind, program) in contestants(setting) {
        for report in &mut reports {
            report.samples.push((*kind, Vec::new()));
        }
        for _ in 0..setting.options.rounds {
            let _lock = Lock::take(setting.options.lock.as_deref())?;
            let steps = cold::start(*kind, program, tree)?;
            for (report, step) in reports.iter_mut().zip(steps) {
                if let Some((_, samples)) = report.samples.last_mut() {
                    samples.push(step);
                }
            }
        }
    }
    Ok(reports)
}

/// Wharfinger, and whoever was asked for by name.
fn contestants<'a>(setting: &'a Setting<'_>) -> impl Iterator<Item = &'a (Kind, PathBuf)> {
    setting.programs.iter().filter(|(kind, _)| {
        *kind == Kind::Wharfinger
            || (kind.has_distributions_layout() && setting.options.names(*kind))
    })
}
