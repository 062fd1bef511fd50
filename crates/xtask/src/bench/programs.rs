//! Which programs are measured: named by an option, by a variable, or installed.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use super::options::Options;
use super::peers::Kind;
use crate::report::say;

/// Finds every program that is there; whatever is missing stays out, and that is said.
pub(crate) fn find(options: &Options) -> Result<Vec<(Kind, PathBuf)>> {
    let mut found = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| options.measures(*kind)) {
        let program = match kind {
            Kind::Wharfinger => Some(wharfinger(options)?),
            Kind::Floor => Some(std::env::current_exe().context("this very program")?),
            _ => named(options, kind)?.or_else(|| kind.installed()),
        };
        match (program, kind.variable()) {
            (Some(program), _) => found.push((kind, program)),
            (None, Some(variable)) => say(&format!(
                "{} stays out: {variable} would name its program",
                kind.name()
            )),
            (None, None) => say(&format!("{} stays out: it is not installed", kind.name())),
        }
    }
    Ok(found)
}

/// Finds the binary that is measured: the release one, for no other says anything about speed.
pub(crate) fn wharfinger(options: &Options) -> Result<PathBuf> {
    if let Some(path) = options.program(Kind::Wharfinger) {
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

/// What the option names, else the variable.
fn named(options: &Options, kind: Kind) -> Result<Option<PathBuf>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the chore is a command line of its own"
    )]
    let set = |variable| std::env::var(variable).ok().filter(|path| !path.is_empty());
    let path = match options.program(kind) {
        Some(path) => Some(path.clone()),
        None => kind.variable().and_then(set).map(PathBuf::from),
    };
    if let Some(path) = &path {
        ensure!(
            path.is_file(),
            "{}: {} is not there",
            kind.name(),
            path.display()
        );
    }
    Ok(path)
}
