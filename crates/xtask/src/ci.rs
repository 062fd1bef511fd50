//! What CI runs, here.

use anyhow::Result;

use crate::shell;
use crate::workspace::Workspace;

/// Runs `.ci/run`. It installs what it needs, so it wants root on a Debian machine.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    shell::run(&workspace.root, &[("CI", "true")], "bash", &[".ci/run"])
}
