//! Which machine this is, and since which boot.
//!
//! What was written but not synced survives a killed process and not a power cut. A note that was
//! left behind says which boot wrote it, so that its reader can tell the two apart.

use std::fs;
use std::time::{Duration, SystemTime};

/// The identity of a machine and of its current boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    machine: String,
    boot: String,
    booted_at: Option<SystemTime>,
}

impl Host {
    /// Reads the identity of this machine. What cannot be read is empty.
    #[must_use]
    pub fn detect() -> Self {
        // Images and clones share an id, or have `uninitialized` for one; with the name it tells
        // machines apart, and a container that is made anew counts as another.
        let id = read_word("/etc/machine-id").filter(|id| id.len() == 32);
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let machine = id.map(|id| format!("{id} {name}")).unwrap_or_default();
        let boot = read_word("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            machine,
            boot,
            booted_at: booted_at(),
        }
    }

    /// Makes an identity of given words, for tests.
    #[must_use]
    pub fn fixed(machine: &str, boot: &str, booted_at: SystemTime) -> Self {
        let (machine, boot) = (machine.to_owned(), boot.to_owned());
        Self {
            machine,
            boot,
            booted_at: Some(booted_at),
        }
    }

    /// Returns what names the machine; empty where nothing does for certain.
    #[must_use]
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// Returns a word that names the boot; empty where the machine does not tell.
    #[must_use]
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Tells whether a file of this modification time was written since the machine booted, so
    /// that no power cut lies between.
    #[must_use]
    pub fn has_run_since(&self, modified: SystemTime) -> bool {
        self.booted_at
            .is_some_and(|booted_at| modified >= booted_at)
    }
}

fn booted_at() -> Option<SystemTime> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn read_word(path: &str) -> Option<String> {
    let word = fs::read_to_string(path).ok()?.trim().to_owned();
    (!word.is_empty()).then_some(word)
}
