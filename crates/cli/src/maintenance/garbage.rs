//! `wharfinger garbage-collect`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use wharfinger_driver::{ErrorKind as DriverErrorKind, Filesystem, Held, Hold};
use wharfinger_runtime::Clock;
use wharfinger_store::{
    ErrorKind, GarbageEvent, GarbageOptions, GarbageReport, collect_garbage, followed, writers,
};

use crate::config::{ServeConfig, parse_duration};
use crate::output::Lines;

use super::{Opened, with_storage};

/// 24 h: no writer takes longer to give a file its name.
const TEMPORARY_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What `garbage-collect` takes.
#[derive(Debug, Args)]
pub(crate) struct GarbageArgs {
    /// Delete nothing; say what would be deleted
    #[arg(short, long)]
    dry_run: bool,
    /// Also remove the manifests that no tag leads to
    #[arg(short = 'm', long)]
    delete_untagged: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Keep what was pushed within this time, such as `2h`: pushes that are only interrupted
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    keep_younger: Duration,
    /// The configuration file; without it, REGISTRY_CONFIGURATION_PATH names it
    pub(crate) config: Option<PathBuf>,
}

/// Collects the garbage in the storage that `config` describes.
///
/// # Errors
/// Fails if a registry is writing there, if it cannot be told for certain what is needed, and if the
/// storage fails.
pub(crate) fn collect(config: &ServeConfig, args: &GarbageArgs) -> anyhow::Result<()> {
    with_storage(config, async |opened| {
        let _held = match &opened.filesystem {
            Some(filesystem) => Some(hold_alone(filesystem)?),
            None => None,
        };
        let options = GarbageOptions {
            dry_run: args.dry_run,
            delete_untagged: args.delete_untagged,
            keep_younger: args.keep_younger,
        };
        let mut lines = Lines::new(args.quiet);
        let mut collected = run(&opened, options, &mut lines).await;
        if let Some(filesystem) = &opened.filesystem
            && !args.dry_run
            && collected.is_ok()
        {
            let clock = &*opened.runtime.clock;
            collected = remove_temporaries(filesystem, clock, &mut lines).await;
        }
        lines.finish()?;
        collected
    })
}

/// Removes what writers have left that died before they could give a file its name.
async fn remove_temporaries(
    filesystem: &Filesystem,
    clock: &dyn Clock,
    lines: &mut Lines,
) -> anyhow::Result<()> {
    let Some(before) = clock.now().checked_sub(TEMPORARY_AGE) else {
        return Ok(());
    };
    for directory in followed() {
        // The first of these holds the others, and our own files, which are nobody's leftovers.
        if directory.name() == "v2" {
            continue;
        }
        let removed = filesystem.remove_temporaries(&directory, before).await;
        let removed = removed.context("cannot remove temporary files")?;
        if removed > 0 {
            lines.print(&format!(
                "removed {removed} temporary files of dead writers in {directory}"
            ));
        }
    }
    Ok(())
}

/// Keeps every Wharfinger out that would write.
fn hold_alone(filesystem: &Filesystem) -> anyhow::Result<Held> {
    match filesystem.hold(&writers(), Hold::Exclusive) {
        Ok(held) => Ok(held),
        Err(error) if error.kind() == DriverErrorKind::Busy => bail!(
            "a registry is serving this storage, or another garbage-collect runs; stop it, or restart \
             the registry with `storage.maintenance.readonly.enabled: true`"
        ),
        Err(error) => Err(error).context("cannot lock the storage"),
    }
}

async fn run(opened: &Opened, options: GarbageOptions, lines: &mut Lines) -> anyhow::Result<()> {
    let clock = &*opened.runtime.clock;
    let mut faults = Vec::new();
    let mut events = |event: GarbageEvent<'_>| match event {
        GarbageEvent::Unsure { path, why } => faults.push(format!("{path}: {why}")),
        event => {
            if let Some(line) = line(&event) {
                lines.print(&line);
            }
        }
    };
    let collected = collect_garbage(&*opened.driver, clock, options, &mut events).await;
    for fault in faults {
        // Also where nothing else is to be printed.
        eprintln!("{fault}");
    }
    match collected {
        Ok(report) => {
            lines.print(&summary(&report, options.dry_run));
            Ok(())
        }
        Err(error) if *error.kind() == ErrorKind::RepositoryUnknown => {
            Err(error).context("there is no repository here; is this the right directory?")
        }
        Err(error) => Err(error.into()),
    }
}

/// The lines of Distribution's own command, where it has one for what happens.
fn line(event: &GarbageEvent<'_>) -> Option<String> {
    Some(match event {
        GarbageEvent::Repository { name } => (*name).to_owned(),
        GarbageEvent::ManifestMarked { repository, digest } => {
            format!("{repository}: marking manifest {digest}")
        }
        GarbageEvent::BlobMarked { repository, digest } => {
            format!("{repository}: marking blob {digest}")
        }
        GarbageEvent::Planned { report } => format!(
            "\n{} blobs marked, {} blobs and {} manifests eligible for deletion",
            report.marked, report.blobs, report.untagged
        ),
        GarbageEvent::Manifest { repository, digest } => {
            format!("{repository}: manifest eligible for deletion: {digest}")
        }
        GarbageEvent::Link { repository, digest } => {
            format!("{repository}: layer link eligible for deletion: {digest}")
        }
        GarbageEvent::Blob { digest, size_bytes } => {
            format!("blob eligible for deletion: {digest} ({size_bytes} bytes)")
        }
        _ => return None,
    })
}

fn summary(report: &GarbageReport, dry_run: bool) -> String {
    let GarbageReport {
        untagged,
        blobs,
        bytes,
        links,
        young,
        ..
    } = report;
    let what = if dry_run { "would free" } else { "freed" };
    let young = match young {
        0 => String::new(),
        young => format!("; {young} young blobs kept"),
    };
    format!(
        "{what} {bytes} bytes: {blobs} blobs, {untagged} untagged manifests and {links} links removed{young}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_was_done() {
        let report = GarbageReport {
            blobs: 2,
            bytes: 300,
            links: 3,
            untagged: 1,
            ..GarbageReport::default()
        };
        insta::assert_snapshot!(summary(&report, false), @"freed 300 bytes: 2 blobs, 1 untagged manifests and 3 links removed");
        let report = GarbageReport { young: 4, ..report };
        insta::assert_snapshot!(summary(&report, true), @"would free 300 bytes: 2 blobs, 1 untagged manifests and 3 links removed; 4 young blobs kept");
    }
}
