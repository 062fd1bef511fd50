//! What must hold before a commit.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{arrows, files, shell};

/// All of it, the quickest first.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    fmt(workspace)?;
    arrows::run(workspace)?;
    files::run(workspace)?;
    clippy(workspace)?;
    docs(workspace)
}

/// The format of every file, without changing one.
pub(crate) fn fmt(workspace: &Workspace) -> Result<()> {
    shell::run(&workspace.root, &[], "cargo", &["fmt", "--all", "--check"])
}

/// The lints of every target; a warning is an error.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&workspace.root, &[], "cargo", &arguments)
}

/// The documentation; a warning, such as a broken link, is an error.
pub(crate) fn docs(workspace: &Workspace) -> Result<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--locked"];
    shell::run(
        &workspace.root,
        &[("RUSTDOCFLAGS", "-D warnings")],
        "cargo",
        &arguments,
    )
}
