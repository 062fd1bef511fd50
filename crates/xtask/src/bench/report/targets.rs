//! What wharfinger is to reach beside its peers, and what it has reached.

use super::{Part, PartName, RowReport, mebibytes};
use crate::bench::peers::Kind;
use crate::bench::rows::Unit;

/// One thing that is to be reached.
struct Target {
    part: PartName,
    row: &'static str,
    what: What,
    than: f64,
}

/// What is held against a target.
enum What {
    /// Ours over theirs in the same row, at least.
    Rate(Kind),
    /// Ours over theirs in another row of the part, at least.
    RateToRow(&'static str, Kind),
    /// CPU time for a unit of work, ours over theirs, at most.
    Cpu(Kind),
    /// Peak memory of the row in MiB, at most.
    Memory,
    /// Milliseconds, at most.
    Time,
    /// Peak memory over the whole part in MiB, at most.
    PartMemory,
    /// Memory when nothing happens in MiB, at most.
    Idle,
}

/// How one target was met.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) wanted: f64,
    pub(crate) reached: f64,
    pub(crate) met: bool,
    /// Whether less is better.
    pub(crate) is_bound: bool,
}

use Kind::{Angos, Distribution, DockerRegistry, Floor, Nginx, NginxCopy, Wharfinger, Zot};
use PartName::{Disk, Million, Rows, Uploads};
use What::{Cpu, Idle, Memory, PartMemory, Rate, RateToRow, Time};

/// All of them, for the machine that the documentation describes.
const TARGETS: &[Target] = &[
    target(Rows, "push, POST + PUT", Rate(Distribution), 1.5),
    target(Rows, "push, POST + PUT", Rate(Floor), 0.85),
    target(Rows, "push, POST + PUT", Cpu(Distribution), 1.0),
    target(Rows, "push, POST + PATCH + PUT", Rate(Distribution), 1.5),
    target(Rows, "push, POST + PATCH + PUT", Rate(Floor), 0.85),
    target(Rows, "push, POST + PATCH + PUT", Cpu(Distribution), 1.0),
    target(Rows, "push, 16 MiB PATCHes", Rate(Distribution), 1.5),
    target(Rows, "push, 16 MiB PATCHes", Rate(Floor), 0.85),
    target(Rows, "push, 16 MiB PATCHes", Cpu(Distribution), 1.0),
    target(Rows, "push, eight at once", Rate(Distribution), 1.5),
    target(Rows, "push, eight at once", Rate(Floor), 0.85),
    target(Rows, "pull", Rate(Nginx), 1.0),
    target(Rows, "pull", Cpu(NginxCopy), 1.3),
    target(Rows, "pull, eight at once", Rate(Nginx), 1.0),
    target(Rows, "pull, eight at once", Cpu(NginxCopy), 1.3),
    target(Rows, "GET blob", Rate(Nginx), 0.8),
    target(Rows, "HEAD blob", Rate(Nginx), 0.8),
    target(
        Rows,
        "GET manifest by tag",
        RateToRow("GET blob", Nginx),
        0.7,
    ),
    target(
        Rows,
        "GET manifest by digest",
        RateToRow("GET blob", Nginx),
        0.7,
    ),
    target(Rows, "small images", Rate(Distribution), 4.0),
    target(Rows, "small images", Rate(Angos), 2.0),
    target(Rows, "page of tags", Rate(Distribution), 100.0),
    target(Rows, "page of repositories", Rate(Distribution), 40.0),
    target(Rows, "", Idle, 16.0),
    target(Rows, "", PartMemory, 64.0),
    target(Uploads, "uploads, all open at once", Memory, 128.0),
    target(Disk, "push, POST + PUT", Rate(Distribution), 1.5),
    target(Disk, "push, POST + PUT", Rate(Floor), 0.85),
    target(Disk, "push, POST + PATCH + PUT", Rate(Distribution), 1.5),
    target(Disk, "push, POST + PATCH + PUT", Rate(Floor), 0.85),
    target(Disk, "push, 16 MiB PATCHes", Rate(Distribution), 1.5),
    target(Disk, "push, 16 MiB PATCHes", Rate(Floor), 0.85),
    target(Disk, "push, eight at once", Rate(Distribution), 1.5),
    target(Disk, "push, eight at once", Rate(Floor), 0.85),
    target(Disk, "small images", Rate(Distribution), 6.0),
    target(Disk, "small images", Rate(Angos), 2.0),
    target(
        Million,
        TAGS_OF_A_MILLION,
        RateToRow("page of tags in 10,000", Wharfinger),
        0.5,
    ),
    target(Million, TAGS_OF_A_MILLION, Memory, 128.0),
    target(
        Million,
        REPOSITORIES_OF_A_MILLION,
        RateToRow("page of repositories in 5,000", Wharfinger),
        0.5,
    ),
    target(Million, REPOSITORIES_OF_A_MILLION, Memory, 128.0),
    target(Million, "cold start to /v2/", Time, 250.0),
    target(Million, "cold start to a manifest", Time, 250.0),
];
const TAGS_OF_A_MILLION: &str = "page of tags in 1,000,000";
const REPOSITORIES_OF_A_MILLION: &str = "page of repositories in 1,000,000";

/// On every row, wherever its rate is measured, no other registry may be ahead.
const REGISTRIES: [Kind; 4] = [Distribution, DockerRegistry, Zot, Angos];

const fn target(part: PartName, row: &'static str, what: What, than: f64) -> Target {
    Target {
        part,
        row,
        what,
        than,
    }
}

/// Holds what was measured against every target that it says something about.
pub(crate) fn outcomes(parts: &[Part]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for part in parts {
        let targets = TARGETS.iter().filter(|target| target.part == part.name);
        outcomes.extend(targets.filter_map(|target| target.outcome(part)));
        outcomes.extend(part.rows.iter().filter_map(|row| first(part, row)));
    }
    outcomes
}

/// Whether wharfinger is first on a row: only said where it is not.
fn first(part: &Part, row: &RowReport) -> Option<Outcome> {
    if row.unit == Unit::Milliseconds {
        return None;
    }
    let best = REGISTRIES
        .into_iter()
        .filter_map(|kind| Some((kind, row.ratio_to(kind)?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let (kind, ratio) = best;
    (ratio < 1.0).then(|| Outcome {
        text: format!("{}: {}, × {}", part.name.name(), row.name, kind.name()),
        wanted: 1.0,
        reached: ratio,
        met: false,
        is_bound: false,
    })
}

impl Target {
    fn outcome(&self, part: &Part) -> Option<Outcome> {
        let row = || part.row(self.row);
        let ours = part.memory(Wharfinger);
        let (what, reached) = match self.what {
            Rate(kind) => (format!("× {}", kind.name()), row()?.ratio_to(kind)?),
            RateToRow(other, kind) => (
                format!("× {}, {other}", kind.name()),
                row()?.figure(Wharfinger)? / part.row(other)?.figure(kind)?,
            ),
            Cpu(kind) => (
                format!("CPU × {}", kind.name()),
                row()?.cpu(Wharfinger)? / row()?.cpu(kind)?,
            ),
            Memory => ("MiB".to_owned(), mebibytes(row()?.peak(Wharfinger)?)),
            Time => ("ms".to_owned(), row()?.figure(Wharfinger)?),
            PartMemory => ("peak memory, MiB".to_owned(), mebibytes(ours?.peak)),
            Idle => ("idle, MiB".to_owned(), mebibytes(ours?.idle)),
        };
        let is_bound = !matches!(self.what, Rate(_) | RateToRow(..));
        let comma = if self.row.is_empty() { "" } else { ", " };
        Some(Outcome {
            text: format!("{}: {}{comma}{what}", part.name.name(), self.row),
            wanted: self.than,
            reached,
            met: if is_bound {
                reached <= self.than
            } else {
                reached >= self.than
            },
            is_bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{part, row};
    use super::*;

    #[test]
    fn a_target_is_met_or_missed_and_unmeasured_ones_are_not_mentioned() {
        let pull = row(
            "pull",
            Unit::Mebibytes,
            &[
                (Wharfinger, &[1.0]),
                (Nginx, &[1.1]),
                (NginxCopy, &[0.5]),
                (Zot, &[0.9]),
            ],
        );
        let outcomes = outcomes(&[part(Rows, vec![pull])]);
        let said: Vec<(&str, bool)> = outcomes
            .iter()
            .map(|outcome| (outcome.text.as_str(), outcome.met))
            .collect();
        assert_eq!(
            said,
            [
                ("rows: pull, × nginx", true),
                ("rows: pull, CPU × nginx-copy", false),
                ("rows: pull, × zot", false),
            ]
        );
    }

    #[test]
    fn every_row_with_a_target_exists() {
        use crate::bench::million;
        use crate::bench::rows::{ROWS, UPLOADS};
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        for target in TARGETS.iter().filter(|target| !target.row.is_empty()) {
            let exists = match target.part {
                Rows | Disk => names.contains(&target.row),
                Uploads => target.row == UPLOADS.name,
                Million => million::NAMES.contains(&target.row),
            };
            assert!(exists, "{}", target.row);
        }
    }
}
