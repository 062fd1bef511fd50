//! Real processes that never outlive their test.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::time::wait_until;

/// How much of a log a failed test shows.
const TAIL_LINES: usize = 15;

/// A running program, in a process group of its own, that writes to a log file.
///
/// Dropping it kills the group and reaps the program; if the test is failing, the end of the log is shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    grace: Duration,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, with both its outputs appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| log.display().to_string())?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
            grace: Duration::ZERO,
            status: None,
        })
    }

    /// Lets the program end by itself for so long after a SIGTERM when it is dropped: for daemons that
    /// have mounts and children of their own to put away.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Returns the process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to the program alone.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        let pid = self.running()?;
        kill_process(pid, signal).with_context(|| format!("{}: {signal:?}", self.name))
    }

    /// Kills the whole group with SIGKILL and reaps the program. Does nothing if it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        let Ok(pid) = self.running() else {
            return Ok(());
        };
        kill_process_group(pid, Signal::KILL).with_context(|| format!("killing {}", self.name))?;
        self.status = Some(self.child.wait()?);
        Ok(())
    }

    /// Sends SIGTERM and waits until the program ends.
    ///
    /// # Errors
    /// When it has not ended within `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(timeout)
    }

    /// Waits until the program ends by itself.
    ///
    /// # Errors
    /// When it has not ended within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        wait_until(timeout, || !self.is_running());
        match self.status {
            Some(status) => Ok(status),
            None => bail!("{} is still running after {timeout:?}", self.name),
        }
    }

    /// Whether the program is still running.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    /// Returns the most memory that the program ever had in use, in bytes (`VmHWM` of Linux).
    ///
    /// # Errors
    /// When it has ended, or the system does not tell.
    pub fn peak_memory_bytes(&mut self) -> Result<u64> {
        self.running()?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
            .context("no VmHWM in the status")?;
        Ok(kibibytes.trim().parse::<u64>()? * 1024)
    }

    /// Returns the path of the log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the last lines of the log.
    pub fn log_tail(&self) -> String {
        tail(&self.log, TAIL_LINES)
            .unwrap_or_else(|error| format!("{}: {error}", self.log.display()))
    }

    fn running(&mut self) -> Result<Pid> {
        if !self.is_running() {
            bail!(
                "{} has ended: {:?}\n{}",
                self.name,
                self.status,
                self.log_tail()
            );
        }
        let raw = i32::try_from(self.child.id()).context("a process id out of range")?;
        Pid::from_raw(raw).context("a process id of zero")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() && !self.grace.is_zero() {
            // Whoever does not end in time is killed below.
            drop(self.terminate(self.grace));
        }
        if let Err(error) = self.kill() {
            eprintln!("{}: {error:#}", self.name);
        }
        if std::thread::panicking() {
            let Self {
                name, log, status, ..
            } = self;
            eprintln!("---- end of {} ({name}, {status:?})", log.display());
            eprintln!("{}\n----", self.log_tail());
        }
    }
}

fn tail(path: &Path, lines: usize) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, eventually};

    fn shell(script: &str, scratch: &Scratch) -> Process {
        Process::spawn(
            Command::new("sh").args(["-c", script]),
            &scratch.join("log"),
        )
        .unwrap()
    }

    #[test]
    fn a_killed_process_takes_its_children_along() {
        let scratch = Scratch::new("process").unwrap();
        let mut process = shell("sleep 1000 & echo $!; wait", &scratch);
        let child = || process.log_tail().trim().parse::<u32>().ok();
        eventually!(child().is_some());
        let child = child().unwrap();
        process.kill().unwrap();
        eventually!(!Path::new(&format!("/proc/{child}/stat")).exists() || is_zombie(child));
    }

    /// Whoever adopts the child may take a moment to reap it.
    fn is_zombie(id: u32) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn grace_lets_a_daemon_put_things_away() {
        let scratch = Scratch::new("grace").unwrap();
        let script = "trap 'echo away; exit 3' TERM; echo up; while :; do sleep 0.01; done";
        let process = shell(script, &scratch).with_grace(Duration::from_secs(10));
        eventually!(process.log_tail() == "up");
        drop(process);
        assert_eq!(
            fs::read_to_string(scratch.join("log")).unwrap(),
            "up\naway\n"
        );
    }

    #[test]
    fn waiting_ends_at_the_timeout_and_tells_the_status() {
        let scratch = Scratch::new("wait").unwrap();
        let mut process = shell("read never; sleep 0.05; exit 7", &scratch);
        assert!(process.wait(Duration::from_millis(1)).is_err());
        assert_eq!(
            process.wait(Duration::from_secs(10)).unwrap().code(),
            Some(7)
        );
        assert!(process.signal(Signal::TERM).is_err());
    }

    #[test]
    fn peak_memory_is_told_in_bytes() {
        let scratch = Scratch::new("memory").unwrap();
        let mut process = shell("echo up; sleep 1000", &scratch);
        // Until the program has begun, what is told is of its bare beginning.
        eventually!(process.log_tail() == "up");
        let peak = process.peak_memory_bytes().unwrap();
        assert!((100_000..100_000_000).contains(&peak), "{peak}");
    }
}
