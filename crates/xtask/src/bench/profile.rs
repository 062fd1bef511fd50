//! `--profile`: where the time goes. After the measured rounds of a row wharfinger does it once
//! more while `perf` looks on, so that the figures are not those of a program that is watched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::peers::now;

/// Looks 1,999 times a second: not a multiple of anything that the program does.
const FREQUENCY: &str = "1999";
/// How long `perf` may take until it looks.
const PATIENCE: Duration = Duration::from_secs(10);

/// A profile that is being taken.
#[derive(Debug)]
pub(crate) struct Profile {
    perf: Child,
    data: PathBuf,
}

impl Profile {
    /// Starts to look at the process, for the row of this name.
    pub(crate) fn start(directory: &Path, row: &str, pid: u32) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = row.chars().map(word).collect();
        let data = directory.join(format!("{name}.data"));
        if data.exists() {
            fs::remove_file(&data)?;
        }
        let perf = Command::new("perf")
            .args([
                "record",
                "-q",
                "-F",
                FREQUENCY,
                "-p",
                &pid.to_string(),
                "-o",
            ])
            .arg(&data)
            .stdin(Stdio::null())
            .spawn()
            .context("`perf` cannot be started")?;
        let started = now();
        while !data.exists() {
            ensure!(started.elapsed() < PATIENCE, "`perf` does not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { perf, data })
    }

    /// Ends it and writes what took most of the time, by function, into a text beside the data.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        let pid = Pid::from_raw(self.perf.id().cast_signed()).context("a process id")?;
        kill_process(pid, Signal::INT)?;
        self.perf.wait()?;
        let text = self.data.with_extension("txt");
        let status = Command::new("perf")
            .args(["report", "--stdio", "-q", "--percent-limit", "0.5"])
            .args(["--sort", "dso,symbol", "-i"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(File::create(&text)?)
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "perf report: {status}");
        Ok(text)
    }
}
