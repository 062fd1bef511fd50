//! Directories for one test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A fresh directory, removed when dropped; kept, and named, when the test fails.
#[derive(Debug)]
pub struct Scratch {
    directory: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// Makes a directory whose name tells `purpose`.
    ///
    /// # Errors
    /// When the temporary directory of the system cannot be written.
    pub fn new(purpose: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("wharfinger-{purpose}-"))
            .tempdir()
            .context("no scratch directory")?;
        let path = directory.path().to_owned();
        Ok(Self {
            directory: Some(directory),
            path,
        })
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a path below the directory; makes nothing.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory `name` below, and returns its path.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("kept: {}", directory.keep().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_is_gone_after_use() {
        let scratch = Scratch::new("use").unwrap();
        let inner = scratch.make("a/b").unwrap();
        assert!(inner.is_dir());
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_scratch_of_a_failed_test_is_kept() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let failed = std::thread::spawn(move || {
            let scratch = Scratch::new("failed").unwrap();
            sender.send(scratch.path().to_owned()).unwrap();
            panic!("on purpose");
        });
        let path = receiver.recv().unwrap();
        assert!(failed.join().is_err());
        assert!(path.is_dir());
        fs::remove_dir_all(path).unwrap();
    }
}
