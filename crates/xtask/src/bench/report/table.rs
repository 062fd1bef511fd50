//! The tables that people read, in Markdown.

use super::{Memory, Part, PartName, RowReport, cpu_unit, mebibytes, outcomes, unit};
use crate::bench::peers::Kind;

/// Says the medians in one line, while the next row runs.
pub(crate) fn line(row: &RowReport) -> String {
    let medians: Vec<String> = row
        .samples
        .iter()
        .map(|(kind, _)| format!("{} {}", kind.name(), cell(row.figure(*kind), 0)))
        .collect();
    format!("{}: {} {}", row.name, medians.join(", "), unit(row.unit))
}

/// Draws every table of a run.
pub(crate) fn table(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        let kinds = kinds(part);
        text.push_str(&format!("### {}\n\n", heading(part)));
        text.push_str("Behind each figure: how many times as fast wharfinger is.\n\n");
        text.push_str(&aligned(&rates(part, &kinds)));
        text.push_str("\nWhat it cost the server: CPU time.\n\n");
        text.push_str(&aligned(&cpu(part, &kinds)));
        text.push_str("\nWhat the server needed at most: memory, MiB.\n\n");
        text.push_str(&aligned(&memory(part, &kinds)));
        for fault in &part.faults {
            text.push_str(&format!("\nNot measured: {fault}\n"));
        }
        text.push('\n');
    }
    let outcomes = outcomes(parts);
    if !outcomes.is_empty() {
        text.push_str("### Targets\n\n");
        let mut cells = vec![line_of(["target", "wanted", "reached", ""])];
        for outcome in outcomes {
            let sign = if outcome.is_bound {
                "at most"
            } else {
                "at least"
            };
            cells.push(vec![
                outcome.text,
                format!("{sign} {}", short(outcome.wanted)),
                short(outcome.reached),
                if outcome.met { "met" } else { "missed" }.to_owned(),
            ]);
        }
        text.push_str(&aligned(&cells));
    }
    text
}

fn heading(part: &Part) -> String {
    let what = match part.name {
        PartName::Rows => "All rows",
        PartName::Uploads => "Many uploads at once",
        PartName::Disk => "On the disk",
        PartName::Million => "A million repositories, a million tags",
    };
    format!("{what} ({})", part.place)
}

/// Who took part in any row.
fn kinds(part: &Part) -> Vec<Kind> {
    let took_part = |kind: &Kind| part.rows.iter().any(|row| row.of(*kind).is_some());
    Kind::ALL.into_iter().filter(took_part).collect()
}

fn rates(part: &Part, kinds: &[Kind]) -> Vec<Vec<String>> {
    let mut cells = vec![header("work", kinds)];
    for row in &part.rows {
        let figures = kinds.iter().map(|kind| {
            let figure = cell(row.figure(*kind), 0);
            match row.ratio_to(*kind) {
                Some(ratio) if *kind != Kind::Wharfinger => {
                    format!("{figure} (× {})", short(ratio))
                }
                _ => figure,
            }
        });
        cells.push(labelled(
            format!("{}, {}", row.name, unit(row.unit)),
            figures,
        ));
    }
    cells
}

fn cpu(part: &Part, kinds: &[Kind]) -> Vec<Vec<String>> {
    let mut cells = vec![header("work", kinds)];
    for row in &part.rows {
        let figures = kinds
            .iter()
            .map(|kind| row.cpu(*kind).map_or_else(|| cell(None, 0), short));
        cells.push(labelled(
            format!("{}, {}", row.name, cpu_unit(row.unit)),
            figures,
        ));
    }
    cells
}

fn memory(part: &Part, kinds: &[Kind]) -> Vec<Vec<String>> {
    let bytes = |bytes: Option<u64>| cell(bytes.map(mebibytes), 0);
    let whole = |label: &str, of: fn(Memory) -> u64| {
        let figures = kinds.iter().map(|kind| bytes(part.memory(*kind).map(of)));
        // Where servers come and go, nothing is known of a whole.
        (!part.memory.is_empty()).then(|| labelled(label.to_owned(), figures))
    };
    let mut cells = vec![header("work", kinds)];
    cells.extend(whole("idle", |memory| memory.idle));
    for row in &part.rows {
        let peaks = kinds.iter().map(|kind| bytes(row.peak(*kind)));
        cells.push(labelled(row.name.to_owned(), peaks));
    }
    cells.extend(whole("over all of these", |memory| memory.peak));
    cells
}

fn header(first: &str, kinds: &[Kind]) -> Vec<String> {
    labelled(
        first.to_owned(),
        kinds.iter().map(|kind| kind.name().to_owned()),
    )
}

fn labelled(label: String, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(label).chain(cells).collect()
}

fn line_of<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Prints a figure with its thousands apart.
fn cell(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Prints a figure with as many places as say something.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    cell(Some(value), decimals)
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
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text.push_str(&match column {
                0 => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            });
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                text.push_str(&match column {
                    0 => format!("|{dashes}-"),
                    _ => format!("|{dashes}:"),
                });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{part, row};
    use super::*;
    use crate::bench::rows::Unit;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(cell(Some(1_234_567.2), 0), "1,234,567");
        assert_eq!(cell(Some(999.0), 0), "999");
        assert_eq!(cell(Some(1234.56), 1), "1,234.6");
        assert_eq!(cell(None, 0), "–");
        assert_eq!(
            [short(0.853), short(12.34), short(123.4)],
            ["0.85", "12.3", "123"]
        );
    }

    #[test]
    fn columns_line_up() {
        let lines = [vec!["a", "10"], vec!["long", "5"]]
            .map(|line| line.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            aligned(&lines),
            "| a    | 10 |\n|------|---:|\n| long |  5 |\n"
        );
    }

    #[test]
    fn a_figure_stands_beside_its_ratio() {
        let row = row(
            "pull",
            Unit::Mebibytes,
            &[(Kind::Wharfinger, &[1.0]), (Kind::Nginx, &[2.0])],
        );
        let text = table(&[part(PartName::Rows, vec![row])]);
        assert!(
            text.contains("| pull, MiB/s |        100 | 50 (× 2.00) |"),
            "{text}"
        );
    }
}
