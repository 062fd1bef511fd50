//! skopeo: copies between a registry and a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wharfinger_testkit::{Image, Scratch, run, tool};

use super::{COMMAND, Client, Stored};

pub(super) struct Skopeo {
    program: PathBuf,
    directory: PathBuf,
}

impl Skopeo {
    /// Finds the program; `None` where it is not installed.
    pub(super) fn find(scratch: &Scratch) -> Result<Option<Self>> {
        let Some(program) = tool("skopeo") else {
            return Ok(None);
        };
        Ok(Some(Self {
            program,
            directory: scratch.make("skopeo")?,
        }))
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let mut command = Command::new(&self.program);
        command
            .args(["--insecure-policy", "copy"])
            .args(plain)
            .args([from, to]);
        // Somebody's own credentials and settings are not part of the test.
        command
            .env("HOME", &self.directory)
            .env("XDG_RUNTIME_DIR", &self.directory);
        run(&mut command, COMMAND)?;
        Ok(())
    }
}

impl Client for Skopeo {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        let layout = self.directory.join("pushed");
        image.write_layout(&layout, "pushed")?;
        self.copy(
            &format!("oci:{}:pushed", layout.display()),
            &format!("docker://{name}"),
        )
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        let pulled = self.directory.join("pulled");
        if pulled.exists() {
            fs::remove_dir_all(&pulled)?;
        }
        self.copy(
            &format!("docker://{name}"),
            &format!("dir:{}", pulled.display()),
        )?;
        same(&pulled.join("manifest.json"), &image.manifest.bytes)?;
        for blob in &image.blobs {
            same(&pulled.join(blob.hex()), &blob.bytes)?;
        }
        Ok(())
    }
}

fn same(file: &Path, bytes: &[u8]) -> Result<()> {
    let pulled = fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(pulled == bytes, "{} differs", file.display());
    Ok(())
}
