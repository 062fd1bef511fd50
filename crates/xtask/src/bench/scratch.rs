//! Where the servers keep their content while they are measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A directory that is removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new directory below `parent`, or below the system's temporary one.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("wharfinger-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is named by nothing else and harms nobody.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Has the kernel write what the last peer left, so that the next one does not pay for it.
pub(crate) fn settle(path: &Path) -> Result<()> {
    let status = Command::new("sync").arg("-f").arg(path).status()?;
    ensure!(status.success(), "sync: {status}");
    Ok(())
}

/// Returns the type of the file system that `path` lies on.
pub(crate) fn file_system(path: &Path) -> Result<String> {
    let mut command = Command::new("findmnt");
    let output = command
        .args(["-n", "-o", "FSTYPE", "-T"])
        .arg(path)
        .output()?;
    ensure!(output.status.success(), "findmnt: {}", output.status);
    // Where one is mounted over another, the last counts.
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().last().unwrap_or("unknown").trim().to_owned())
}
