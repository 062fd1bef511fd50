//! What cargo knows about the workspace, in the words the chores need.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, TargetKind};

/// The workspace and its own crates.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Our own crates.
    pub(crate) packages: Vec<Package>,
}

/// One of our own crates.
#[derive(Debug)]
pub(crate) struct Package {
    /// The name in its `Cargo.toml`.
    pub(crate) name: String,
    /// The directory of its `Cargo.toml`.
    pub(crate) directory: PathBuf,
    /// What it names as dependencies, ours and foreign.
    pub(crate) dependencies: Vec<Dependency>,
    /// The source files of its integration test binaries.
    pub(crate) test_binaries: Vec<PathBuf>,
}

/// One line of a crate's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package depended upon.
    pub(crate) name: String,
    /// Whether only tests, examples and benchmarks see it.
    pub(crate) dev: bool,
}

impl Workspace {
    /// Asks `cargo metadata` about the workspace of the current directory.
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("cargo metadata did not answer")?;
        let packages = metadata
            .packages
            .iter()
            .map(|package| Package {
                name: package.name.to_string(),
                directory: package
                    .manifest_path
                    .parent()
                    .map(|directory| directory.as_std_path().to_owned())
                    .unwrap_or_default(),
                dependencies: package
                    .dependencies
                    .iter()
                    .map(|dependency| Dependency {
                        name: dependency.name.clone(),
                        dev: dependency.kind == DependencyKind::Development,
                    })
                    .collect(),
                test_binaries: package
                    .targets
                    .iter()
                    .filter(|target| target.kind.contains(&TargetKind::Test))
                    .map(|target| target.src_path.as_std_path().to_owned())
                    .collect(),
            })
            .collect();
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            packages,
        })
    }
}
