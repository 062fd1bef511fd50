//! The figures: medians, ratios, the table and the JSON.

use serde_json::{Value, json};

use super::peers::Kind;
use super::rows::{Sample, Unit};

/// Who ratios are taken to.
const BASELINE: Kind = Kind::DockerRegistry;

/// The samples of one row, for each peer that took part.
#[derive(Debug)]
pub(crate) struct RowReport {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) samples: Vec<(Kind, Vec<Sample>)>,
}

/// What each peer needed at most, over all rows, in bytes.
pub(crate) type Peaks = Vec<(Kind, u64)>;

impl RowReport {
    fn of(&self, kind: Kind) -> Option<&[Sample]> {
        let (_, samples) = self.samples.iter().find(|(other, _)| *other == kind)?;
        Some(samples)
    }

    fn rate(&self, kind: Kind) -> Option<f64> {
        Some(median(self.of(kind)?.iter().map(Sample::rate)))
    }

    fn ratio(&self, kind: Kind) -> Option<f64> {
        Some(self.rate(kind)? / self.rate(BASELINE)?)
    }

    /// Says the medians in one line, while the next row runs.
    pub(crate) fn line(&self) -> String {
        let medians: Vec<String> = self
            .samples
            .iter()
            .map(|(kind, _)| format!("{} {}", kind.name(), cell(self.rate(*kind), 0)))
            .collect();
        format!("{}: {} {}", self.name, medians.join(", "), unit(self.unit))
    }

    /// CPU seconds of the server in a round.
    fn cpu(&self, kind: Kind) -> Option<f64> {
        Some(median(
            self.of(kind)?.iter().map(|sample| sample.cost.cpu_seconds),
        ))
    }

    /// CPU time for a unit of work: seconds for a GiB, else microseconds for one.
    fn cpu_each(&self, kind: Kind) -> Option<f64> {
        let scale = match self.unit {
            Unit::Mebibytes => 1024.0,
            Unit::Requests | Unit::Images => 1e6,
        };
        let each = |sample: &Sample| sample.cost.cpu_seconds / sample.work * scale;
        Some(median(self.of(kind)?.iter().map(each)))
    }

    /// What the server needed at most in this row, in bytes.
    fn peak(&self, kind: Kind) -> Option<u64> {
        self.of(kind)?
            .iter()
            .map(|sample| sample.cost.peak_bytes)
            .max()
    }
}

/// Draws the table that people read.
pub(crate) fn table(rows: &[RowReport], peaks: &Peaks) -> String {
    let kinds: Vec<Kind> = peaks.iter().map(|(kind, _)| *kind).collect();
    let mut header = vec!["row".to_owned(), "unit".to_owned()];
    for kind in &kinds {
        header.push(kind.name().to_owned());
        if *kind != BASELINE {
            header.push("ratio".to_owned());
        }
    }
    for what in ["CPU", "MiB"] {
        header.extend(kinds.iter().map(|kind| format!("{what} {}", short(*kind))));
    }
    let mut cells = vec![header];
    for row in rows {
        let mut line = vec![row.name.to_owned(), unit(row.unit).to_owned()];
        for kind in &kinds {
            line.push(cell(row.rate(*kind), 0));
            if *kind != BASELINE {
                line.push(cell(row.ratio(*kind), 2));
            }
        }
        let cpu = |each: f64| match row.unit {
            Unit::Mebibytes => format!("{each:.2} s/GiB"),
            Unit::Requests | Unit::Images => format!("{each:.0} µs"),
        };
        let cpus = kinds.iter().map(|kind| row.cpu_each(*kind).map(cpu));
        line.extend(cpus.map(|cpu| cpu.unwrap_or_else(|| cell(None, 0))));
        line.extend(
            kinds
                .iter()
                .map(|kind| cell(row.peak(*kind).map(mebibytes), 0)),
        );
        cells.push(line);
    }
    let mut line = vec!["peak memory over all".to_owned(), "MiB".to_owned()];
    for (kind, peak) in peaks {
        line.push(cell(Some(mebibytes(*peak)), 0));
        if *kind != BASELINE {
            line.push(cell(memory_ratio(*kind, peaks), 2));
        }
    }
    cells.push(line);
    aligned(&cells)
}

/// Gives every figure, also of each round.
pub(crate) fn json(rows: &[RowReport], peaks: &Peaks) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let peers: serde_json::Map<String, Value> = row
                .samples
                .iter()
                .map(|(kind, samples)| {
                    let rates: Vec<f64> = samples.iter().map(Sample::rate).collect();
                    let work: Vec<f64> = samples.iter().map(|sample| sample.work).collect();
                    let figures = json!({
                        "median": row.rate(*kind),
                        "ratio": row.ratio(*kind),
                        "cpu_seconds": row.cpu(*kind),
                        "peak_memory_bytes": row.peak(*kind),
                        "rounds": rates,
                        "work": work,
                    });
                    (kind.name().to_owned(), figures)
                })
                .collect();
            json!({ "row": row.name, "unit": unit(row.unit), "peers": peers })
        })
        .collect();
    let peaks: serde_json::Map<String, Value> = peaks
        .iter()
        .map(|(kind, peak)| (kind.name().to_owned(), json!(peak)))
        .collect();
    json!({ "rows": rows, "peak_memory_bytes": peaks })
}

/// Names every row on which wharfinger is behind docker-registry.
pub(crate) fn slower(rows: &[RowReport], peaks: &Peaks) -> Vec<String> {
    let mut slower: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let ratio = row.ratio(Kind::Wharfinger)?;
            (ratio < 1.0).then(|| format!("{}: {ratio:.2} of {}", row.name, BASELINE.name()))
        })
        .collect();
    if let Some(ratio) = memory_ratio(Kind::Wharfinger, peaks).filter(|ratio| *ratio > 1.0) {
        slower.push(format!("peak memory: {ratio:.2} of {}", BASELINE.name()));
    }
    slower
}

fn memory_ratio(kind: Kind, peaks: &Peaks) -> Option<f64> {
    let of = |kind| {
        peaks
            .iter()
            .find(|(other, _)| *other == kind)
            .map(|(_, peak)| *peak)
    };
    Some(mebibytes(of(kind)?) / mebibytes(of(BASELINE)?))
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
    }
}

fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::DockerRegistry => "d-r",
        Kind::Wharfinger => "whf",
        Kind::Nginx => "nginx",
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn cell(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Sets cells in columns: words to the left, figures to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::Cost;

    fn row(figures: &[(Kind, &[f64])]) -> RowReport {
        let sample = |seconds: f64| Sample {
            work: 100.0,
            cost: Cost {
                seconds,
                cpu_seconds: 0.5,
                peak_bytes: 1 << 20,
            },
        };
        RowReport {
            name: "pull",
            unit: Unit::Mebibytes,
            samples: figures
                .iter()
                .map(|(kind, seconds)| (*kind, seconds.iter().map(|s| sample(*s)).collect()))
                .collect(),
        }
    }

    #[test]
    fn a_row_behind_the_baseline_is_named_by_its_median() {
        // The worst round of wharfinger is behind, its median is not.
        let ahead = row(&[
            (Kind::DockerRegistry, &[1.0, 1.0, 1.0]),
            (Kind::Wharfinger, &[0.9, 4.0, 0.8]),
        ]);
        let behind = row(&[(Kind::DockerRegistry, &[1.0]), (Kind::Wharfinger, &[1.25])]);
        let peaks = vec![(Kind::DockerRegistry, 100), (Kind::Wharfinger, 100)];
        assert!(slower(std::slice::from_ref(&ahead), &peaks).is_empty());
        assert_eq!(
            slower(&[ahead, behind], &peaks),
            ["pull: 0.80 of docker-registry"]
        );
        let peaks = vec![(Kind::DockerRegistry, 100), (Kind::Wharfinger, 150)];
        assert_eq!(
            slower(&[], &peaks),
            ["peak memory: 1.50 of docker-registry"]
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

    #[test]
    fn columns_line_up() {
        let lines = [vec!["a", "b", "10"], vec!["long", "c", "5"]]
            .map(|line| line.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(aligned(&lines), "a     b  10\nlong  c   5\n");
    }
}
