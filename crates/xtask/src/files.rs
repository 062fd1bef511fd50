//! The shape of the tree: no file too long, none forgotten, one integration binary a crate.

mod rules;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report;
use crate::workspace::Workspace;

/// A source file: its path from the workspace's root, with `/` between the parts, and its text.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

/// Fails on any file that breaks a rule of [`rules`].
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let mut sources = Vec::new();
        collect(&workspace.root, &package.directory, &mut sources)?;
        for source in &sources {
            faults.extend(rules::length(source));
            faults.extend(rules::name(source));
        }
        let directory = from_root(&workspace.root, &package.directory);
        faults.extend(rules::integration_tests(
            &directory,
            package.test_binaries.len(),
            &sources,
        ));
    }
    report::settle("files", &faults)
}

/// Reads every `.rs` file below `directory`, in the order of their names.
fn collect(root: &Path, directory: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let listed = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut entries = listed.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.push(Source {
                path: from_root(root, &path),
                text,
            });
        }
    }
    Ok(())
}

fn from_root(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
