//! The figures: medians and ratios of what was measured, and the JSON of them.

mod table;
mod targets;

use serde_json::{Value, json};

pub(crate) use self::table::{line, table};
pub(crate) use self::targets::outcomes;

use super::peers::Kind;
use super::rows::{Sample, Unit};

/// The samples of one row, for each peer that took part.
#[derive(Debug)]
pub(crate) struct RowReport {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) samples: Vec<(Kind, Vec<Sample>)>,
}

/// What a server needed, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) kind: Kind,
    /// Resident when it had started and answered once.
    pub(crate) idle: u64,
    /// At most, over all rows of the part.
    pub(crate) peak: u64,
}

/// Rows that were measured with the same servers in the same place.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: PartName,
    /// The type of the file system that the servers kept their content on.
    pub(crate) place: String,
    pub(crate) rows: Vec<RowReport>,
    pub(crate) memory: Vec<Memory>,
    /// What went wrong with servers of others, which then have no figure.
    pub(crate) faults: Vec<String>,
}

/// Which part of a run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartName {
    /// Every row, in `--dir`.
    Rows,
    /// Many uploads at once, on servers of their own.
    Uploads,
    /// The rows that the disk has a say in, in `--disk`.
    Disk,
    /// Long lists and cold starts, in `--million`.
    Million,
}

impl PartName {
    /// Returns its name in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Uploads => "uploads",
            Self::Disk => "disk",
            Self::Million => "million",
        }
    }
}

impl Part {
    /// Finds the row of this name.
    fn row(&self, name: &str) -> Option<&RowReport> {
        self.rows.iter().find(|row| row.name == name)
    }

    fn memory(&self, kind: Kind) -> Option<Memory> {
        self.memory
            .iter()
            .find(|memory| memory.kind == kind)
            .copied()
    }
}

impl RowReport {
    fn of(&self, kind: Kind) -> Option<&[Sample]> {
        let (_, samples) = self.samples.iter().find(|(other, _)| *other == kind)?;
        (!samples.is_empty()).then_some(samples)
    }

    /// The median over the rounds, in the row's unit.
    fn figure(&self, kind: Kind) -> Option<f64> {
        let samples = self.of(kind)?.iter();
        Some(median(samples.map(|sample| sample.figure(self.unit))))
    }

    /// How many times as fast as `kind` wharfinger is.
    fn ratio_to(&self, kind: Kind) -> Option<f64> {
        let (ours, theirs) = (self.figure(Kind::Wharfinger)?, self.figure(kind)?);
        Some(match self.unit {
            Unit::Milliseconds => theirs / ours,
            Unit::Mebibytes | Unit::Requests | Unit::Images => ours / theirs,
        })
    }

    /// CPU time for a unit of work: seconds for a GiB, else microseconds for one.
    fn cpu(&self, kind: Kind) -> Option<f64> {
        let scale = match self.unit {
            Unit::Mebibytes => 1024.0,
            Unit::Requests | Unit::Images | Unit::Milliseconds => 1e6,
        };
        let each = |sample: &Sample| sample.cost.cpu_seconds / sample.work * scale;
        Some(median(self.of(kind)?.iter().map(each)))
    }

    /// What the server needed at most in this row, in bytes.
    fn peak(&self, kind: Kind) -> Option<u64> {
        let peaks = self.of(kind)?.iter().map(|sample| sample.cost.peak_bytes);
        peaks.max()
    }

    fn json(&self) -> Value {
        let peers: serde_json::Map<String, Value> = self
            .samples
            .iter()
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(kind, samples)| {
                let rounds: Vec<Value> = samples
                    .iter()
                    .map(|sample| {
                        json!({
                            "figure": sample.figure(self.unit),
                            "work": sample.work,
                            "seconds": sample.cost.seconds,
                            "cpu_seconds": sample.cost.cpu_seconds,
                            "client_cpu_seconds": sample.cost.client_cpu_seconds,
                            "peak_memory_bytes": sample.cost.peak_bytes,
                        })
                    })
                    .collect();
                let figures = json!({
                    "median": self.figure(*kind),
                    "wharfinger_is_times_as_fast": self.ratio_to(*kind),
                    "cpu": self.cpu(*kind),
                    "peak_memory_bytes": self.peak(*kind),
                    "rounds": rounds,
                });
                (kind.name().to_owned(), figures)
            })
            .collect();
        json!({
            "row": self.name,
            "unit": unit(self.unit),
            "cpu_unit": cpu_unit(self.unit),
            "peers": peers,
        })
    }
}

/// Gives every figure, also of each round.
pub(crate) fn json(parts: &[Part], machine: &[String]) -> Value {
    let written: Vec<Value> = parts
        .iter()
        .map(|part| {
            let rows: Vec<Value> = part.rows.iter().map(RowReport::json).collect();
            let memory: serde_json::Map<String, Value> = part
                .memory
                .iter()
                .map(|memory| {
                    let bytes = json!({ "idle_bytes": memory.idle, "peak_bytes": memory.peak });
                    (memory.kind.name().to_owned(), bytes)
                })
                .collect();
            json!({
                "part": part.name.name(),
                "file_system": part.place,
                "rows": rows,
                "memory": memory,
                "faults": part.faults,
            })
        })
        .collect();
    let targets: Vec<Value> = outcomes(parts)
        .iter()
        .map(|outcome| {
            json!({
                "target": outcome.text,
                "reached": outcome.reached,
                "wanted": outcome.wanted,
                "met": outcome.met,
            })
        })
        .collect();
    json!({ "machine": machine, "parts": written, "targets": targets })
}

/// Names every row on which wharfinger is behind a registry that keeps the same layout.
pub(crate) fn slower(parts: &[Part]) -> Vec<String> {
    let mut slower = Vec::new();
    for part in parts {
        for row in &part.rows {
            for kind in [Kind::Distribution, Kind::DockerRegistry] {
                if let Some(ratio) = row.ratio_to(kind).filter(|ratio| *ratio < 1.0) {
                    slower.push(format!("{}: {ratio:.2} of {}", row.name, kind.name()));
                }
            }
        }
    }
    slower
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Mebibytes => "MiB/s",
        Unit::Requests => "requests/s",
        Unit::Images => "images/s",
        Unit::Milliseconds => "ms",
    }
}

fn cpu_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Mebibytes => "s/GiB",
        Unit::Requests => "µs/request",
        Unit::Images => "µs/image",
        Unit::Milliseconds => "µs",
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::Cost;

    /// A row in which each kind did the same work in these seconds, round by round.
    pub(super) fn row(name: &'static str, unit: Unit, figures: &[(Kind, &[f64])]) -> RowReport {
        let sample = |seconds: f64| Sample {
            work: 100.0,
            cost: Cost {
                seconds,
                cpu_seconds: seconds / 2.0,
                client_cpu_seconds: 0.1,
                peak_bytes: 1 << 20,
            },
        };
        RowReport {
            name,
            unit,
            samples: figures
                .iter()
                .map(|(kind, seconds)| (*kind, seconds.iter().map(|s| sample(*s)).collect()))
                .collect(),
        }
    }

    pub(super) fn part(name: PartName, rows: Vec<RowReport>) -> Part {
        Part {
            name,
            place: "tmpfs".to_owned(),
            rows,
            memory: Vec::new(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_row_behind_is_named_by_its_median() {
        // The worst round of wharfinger is behind, its median is not.
        let ahead = row(
            "pull",
            Unit::Mebibytes,
            &[
                (Kind::DockerRegistry, &[1.0, 1.0, 1.0]),
                (Kind::Wharfinger, &[0.9, 4.0, 0.8]),
            ],
        );
        let behind = row(
            "push",
            Unit::Mebibytes,
            &[(Kind::Distribution, &[1.0]), (Kind::Wharfinger, &[1.25])],
        );
        let parts = [part(PartName::Rows, vec![ahead, behind])];
        assert_eq!(slower(&parts), ["push: 0.80 of distribution"]);
    }

    #[test]
    fn a_shorter_time_is_the_better_one() {
        let row = row(
            "cold start",
            Unit::Milliseconds,
            &[(Kind::Distribution, &[3.0]), (Kind::Wharfinger, &[1.0])],
        );
        assert_eq!(row.ratio_to(Kind::Distribution), Some(3.0));
        assert_eq!(row.figure(Kind::Wharfinger), Some(1000.0));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

    #[test]
    fn a_server_without_samples_has_no_figure() {
        let row = row("pull", Unit::Mebibytes, &[(Kind::Zot, &[])]);
        assert_eq!(row.figure(Kind::Zot), None);
        assert!(row.json()["peers"].get("zot").is_none());
    }
}
