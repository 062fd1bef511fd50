//! `--profile`: where the time goes. After the measured rounds of a row wharfinger does it once
//! more while `perf` looks on, so that the figures are not those of a program that is watched.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

/// Looks 1,999 times a second: not a multiple of anything that the program does.
const FREQUENCY: &str = "1999";
/// How long `perf` may take until it looks; it has to read the symbols first.
const PATIENCE: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// A profile that is being taken.
#[derive(Debug)]
pub(crate) struct Profile {
    perf: Child,
    data: PathBuf,
}

impl Profile {
    /// Looks at the process from now on, for the row of this name.
    pub(crate) fn start(directory: &Path, row: &str, pid: u32) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let words: Vec<&str> = row
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let data = directory.join(format!("{}.data", words.join("-")));
        // It is told to begin, and says when it has.
        let (control, begun) = (fifo(directory, "control")?, fifo(directory, "begun")?);
        let perf = Command::new("perf")
            .args(["record", "-q", "-F", FREQUENCY, "-p", &pid.to_string()])
            .args(["-D", "-1", "--control"])
            .arg(format!("fifo:{},{}", control.display(), begun.display()))
            .arg("-o")
            .arg(&data)
            .stdin(Stdio::null())
            .spawn()
            .context("`perf` cannot be started")?;
        let profile = Self { perf, data };
        // Whoever opens a fifo for both waits for nobody. What is in it is lost once all have closed it.
        let open = |path: &Path| File::options().read(true).write(true).open(path);
        let (mut control, mut begun) = (open(&control)?, open(&begun)?);
        control.write_all(b"enable\n")?;
        let mut ready = [PollFd::new(&begun, PollFlags::IN)];
        ensure!(
            poll(&mut ready, Some(&PATIENCE))? > 0,
            "`perf` does not begin"
        );
        begun.read_exact(&mut [0; 4])?;
        Ok(profile)
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

/// Makes a fifo anew.
fn fifo(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(path)
}
