//! strace on a running server: it holds each call that can change something, and writes down its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Process, Scratch, wait_until};

/// Every call that can change a file system, or send an answer. The question mark is strace's way to say
/// "if this machine has it".
const HELD: &str = "?open,?openat,?creat,\
    ?write,?writev,?pwrite64,?pwritev,?pwritev2,?sendfile,?splice,?copy_file_range,?fallocate,\
    ?fsync,?fdatasync,?sync_file_range,?syncfs,\
    ?rename,?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat,\
    ?mkdir,?mkdirat,?unlink,?unlinkat,?rmdir,?truncate,?ftruncate,\
    ?setxattr,?fsetxattr,?sendto,?sendmsg";

/// A call that makes no files here, only looks up directories, and that often: written down to prove it,
/// and not held, for that would double the time of the suite twice over.
const LOOKS_UP: &str = "openat2";

/// How long a call is held at its end: long enough for the watcher to kill the process right there.
const HOLD: Duration = Duration::from_millis(5);

/// Attaching to all threads of a process takes a moment.
const ATTACH: Duration = Duration::from_secs(20);

pub(super) struct Trace {
    strace: Process,
    log: PathBuf,
}

impl Trace {
    /// Attaches to the process `id`, with all its threads and those that it starts.
    pub(super) fn attach(strace: &Path, id: u32, scratch: &Scratch, number: usize) -> Result<Self> {
        let log = scratch.join(format!("calls-{number}"));
        let traced = format!("trace={HELD},?{LOOKS_UP}");
        let held = format!("inject={HELD}:delay_exit={}", HOLD.as_micros());
        let mut command = Command::new(strace);
        command
            .arg("-f")
            .args(["-p", &id.to_string()])
            .arg("-o")
            .arg(&log)
            .args(["-e", &traced, "-e", &held]);
        let said = scratch.join(format!("strace-{number}"));
        let mut strace = Process::spawn(&mut command, &said)?;
        wait_until(ATTACH, || {
            !strace.is_running() || strace.log_tail().contains("attached")
        });
        ensure!(
            strace.is_running(),
            "strace does not attach: {}",
            strace.log_tail()
        );
        Ok(Self { strace, log })
    }

    /// Returns the names of the calls that are done, in their order.
    pub(super) fn calls(&self) -> Result<Vec<String>> {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let makes_files = |line: &str| line.contains(LOOKS_UP) && line.contains("O_CREAT");
        ensure!(
            !text.lines().any(makes_files),
            "{LOOKS_UP} makes files: it must be held, too"
        );
        // A line is written before the call is held, and says so.
        Ok(text
            .lines()
            .filter(|line| line.ends_with("(DELAYED)"))
            .map(name)
            .collect())
    }

    /// Lets the process go on alone, if it still lives.
    pub(super) fn detach(&mut self) -> Result<()> {
        if self.strace.is_running() {
            self.strace.terminate(ATTACH)?;
        }
        Ok(())
    }

    /// Removes what was written down: only of a push that showed a fault does anyone want to read it.
    pub(super) fn forget(self) -> Result<()> {
        fs::remove_file(&self.log)?;
        fs::remove_file(self.strace.log())?;
        Ok(())
    }
}

/// Takes the name out of `123 write(4, …) = 5 (DELAYED)` or `123 <... write resumed>) = 5 (DELAYED)`.
fn name(line: &str) -> String {
    let call = line
        .split_once(' ')
        .map_or(line, |(_, call)| call.trim_start());
    let call = call.strip_prefix("<... ").unwrap_or(call);
    call.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_whole_and_of_resumed_calls() {
        assert_eq!(name("123 write(4, \"x\", 1) = 1 (DELAYED)"), "write");
        assert_eq!(name("7   <... fsync resumed>) = 0 (DELAYED)"), "fsync");
    }
}
