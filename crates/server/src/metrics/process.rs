//! What the system knows of this process, under the names that every Prometheus client uses.

use std::fs;
use std::time::{Duration, SystemTime};

/// What the system knows of this process at one moment. What cannot be found out is left out.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    /// Asks the system: a few small reads of `/proc`, which never wait for a disk.
    pub(super) fn now() -> Self {
        let mut process = Self::default();
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            process.read_stat(&stat);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // The directory itself is open for as long as it is read.
            let count = entries.count().saturating_sub(1);
            process.open_fds = u64::try_from(count).ok();
        }
        process.max_fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        process
    }

    /// Reads `/proc/self/stat` (proc(5)): fields after the name of the program, which is in
    /// parentheses and may hold anything.
    fn read_stat(&mut self, stat: &str) {
        let Some((_, fields)) = stat.rsplit_once(')') else {
            return;
        };
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        // The first of them is field 3 of the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| {
            super::histogram::as_f64(ticks)
                / super::histogram::as_f64(rustix::param::clock_ticks_per_second())
        };
        self.cpu_seconds = field(14)
            .zip(field(15))
            .map(|(user, system)| seconds(user + system));
        self.threads = field(20);
        self.virtual_bytes = field(23);
        let page = u64::try_from(rustix::param::page_size()).ok();
        self.resident_bytes = field(24).zip(page).map(|(pages, page)| pages * page);
    }
}

/// Returns a time as seconds since 1970.
pub(super) fn seconds_since_1970(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let mut process = Process::default();
        let fields = "S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 7 0 99 4096 3 0";
        process.read_stat(&format!("12 (a) b) {fields}"));
        assert_eq!(process.threads, Some(7));
        assert_eq!(process.virtual_bytes, Some(4096));
        let page = rustix::param::page_size() as u64;
        assert_eq!(process.resident_bytes, Some(3 * page));
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = Process::now();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(process.open_fds.is_some_and(|count| count > 2));
    }
}
