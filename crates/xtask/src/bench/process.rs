//! What a process has used, from `/proc`: CPU time and peak memory, with those of its children.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A tick of the times in `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that people run.
const TICK_MS: u64 = 10;

/// How many connections and files both sides need, generously.
const OPEN_FILES: u64 = 8192;

/// Allows this process, and the servers that it starts from now on, enough open files.
pub(crate) fn allow_open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= OPEN_FILES) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= OPEN_FILES),
        "{OPEN_FILES} open files are needed, and the limit cannot be raised to them"
    );
    let raised = Rlimit {
        current: Some(OPEN_FILES),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("the limit of open files")
}

/// Returns the CPU time that the process, all its threads and its children have used.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    family(pid).into_iter().map(cpu_time_alone).sum()
}

/// Returns the CPU time that the process and all its threads have used.
pub(crate) fn cpu_time_alone(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = ticks_in(&text).with_context(|| format!("{path}: {text:?}"))?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// Returns the greatest resident size since the start or [`forget_peak`], in bytes.
pub(crate) fn peak_memory(pid: u32) -> Result<u64> {
    memory(pid, "VmHWM:")
}

/// Returns what is resident now, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> Result<u64> {
    let mut sum = 0;
    for pid in family(pid) {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        sum += bytes_in(&text, field).with_context(|| format!("{path} has no {field}"))?;
    }
    Ok(sum)
}

/// Makes the peak start anew at what is resident now.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    for pid in family(pid) {
        let path = format!("/proc/{pid}/clear_refs");
        fs::write(&path, "5").with_context(|| path.clone())?;
    }
    Ok(())
}

/// The process and its children, such as nginx's workers; one generation is all there is here.
fn family(pid: u32) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut family = vec![pid];
    family.extend(
        children
            .split_whitespace()
            .filter_map(|word| word.parse::<u32>().ok()),
    );
    family
}

/// The sum of utime and stime, fields 14 and 15; the name in field 2 may hold anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn bytes_in(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "7 (a) b ) c) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 9 9 20 0 5 0 1 2";
        assert_eq!(ticks_in(stat), Some(300));
        assert_eq!(
            bytes_in("Name:\tx\nVmHWM:\t    2048 kB\n", "VmHWM:"),
            Some(2 * 1024 * 1024)
        );
    }

    #[test]
    fn this_very_process_has_used_something() {
        assert!(peak_memory(std::process::id()).unwrap() > 100_000);
        cpu_time(std::process::id()).unwrap();
    }
}
