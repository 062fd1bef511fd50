//! `cargo xtask bench`: Wharfinger beside its peers, on the same work in turns.
//!
//! Every peer has its own port and directory. In each round of a row the peers follow one
//! another, so that what drifts on the machine hits all alike; only ratios taken in one run
//! count. Whatever is pushed is pulled and compared, and every answer is checked.

mod client;
mod contents;
mod floor;
mod lock;
mod machine;
mod memory;
mod million;
mod options;
mod part;
mod peers;
mod process;
mod profile;
mod programs;
mod registry;
mod report;
mod rows;
pub(crate) mod scratch;

use std::fs;

use anyhow::{Context, Result, bail, ensure};

pub(crate) use self::floor::run as floor;
pub(crate) use self::memory::run as memory;

use self::options::{HELP, Options};
use self::part::Setting;
use self::report::{Part, PartName};
use self::rows::{Bench, ROWS, Row, Sizes, UPLOADS};
use crate::report::say;

/// Runs the rows that `words` ask for and reports them.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let options = Options::parse(words)?;
    if options.help {
        say(HELP);
        return Ok(());
    }
    process::allow_open_files()?;
    let programs = programs::find(&options)?;
    let machine = machine::describe(&programs)?;
    let bench = Bench::new(if options.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    });
    let setting = Setting {
        options: &options,
        programs: &programs,
        bench: &bench,
    };
    let parts = measure(&setting)?;
    ensure!(!parts.is_empty(), "no row has such a name");

    let table = format!("{}\n\n{}", machine.join("  \n"), report::table(&parts));
    say(&format!("\n{table}"));
    if let Some(path) = &options.table {
        fs::write(path, &table).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report::json(&parts, &machine));
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    judge(&options, &parts)
}

/// Measures every part that was asked for.
fn measure(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let options = setting.options;
    let wanted = |rows: &'static [Row]| rows.iter().filter(|row| options.wants(row.name));
    let mut parts = Vec::new();
    let rows: Vec<&Row> = wanted(ROWS).collect();
    if !rows.is_empty() {
        let place = options.directory.as_deref();
        parts.push(part::run(setting, PartName::Rows, &rows, place)?);
    }
    if options.wants(UPLOADS.name) {
        let place = options.directory.as_deref();
        parts.push(part::run(setting, PartName::Uploads, &[&UPLOADS], place)?);
    }
    let rows: Vec<&Row> = wanted(ROWS).filter(|row| row.disk).collect();
    if let Some(disk) = options.disk.as_deref().filter(|_| !rows.is_empty()) {
        parts.push(part::run(setting, PartName::Disk, &rows, Some(disk))?);
    }
    if let Some(place) = &options.million
        && million::NAMES.iter().any(|name| options.wants(name))
    {
        parts.push(million::run(setting, place)?);
    }
    Ok(parts)
}

/// Says where wharfinger is behind, and fails if that was asked for.
fn judge(options: &Options, parts: &[Part]) -> Result<()> {
    let slower = report::slower(parts);
    for row in &slower {
        eprintln!("bench: wharfinger is behind: {row}");
    }
    if options.not_slower && !slower.is_empty() {
        bail!("{} rows on which wharfinger is behind", slower.len());
    }
    let outcomes = report::outcomes(parts);
    let missed = outcomes.iter().filter(|outcome| !outcome.met).count();
    if options.targets && missed > 0 {
        bail!("{missed} targets are missed");
    }
    Ok(())
}
