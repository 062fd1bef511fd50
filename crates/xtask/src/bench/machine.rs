//! What the figures were made on, and with which versions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use super::peers::Kind;

/// Describes the machine and each program in a line.
pub(crate) fn describe(programs: &[(Kind, PathBuf)]) -> Result<Vec<String>> {
    let cpu = field("/proc/cpuinfo", "model name")?;
    let memory = field("/proc/meminfo", "MemTotal")?;
    let kernel =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's version")?;
    let mut lines = vec![format!(
        "{} × {cpu}, {memory} of memory, Linux {}",
        available_parallelism()?,
        kernel.trim()
    )];
    for (kind, program) in programs {
        let flag = match kind {
            Kind::Floor | Kind::NginxCopy => continue,
            Kind::Nginx => "-v",
            _ => "--version",
        };
        // Whoever has no such flag says nothing that looks like a version.
        let output = Command::new(program).arg(flag).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = text
            .lines()
            .flat_map(str::split_whitespace)
            .map(|word| word.rsplit('/').next().unwrap_or(word))
            .map(|word| word.trim_matches(|c: char| "\",{}v".contains(c)))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
        lines.push(format!(
            "{} {}",
            kind.name(),
            version.unwrap_or("of an unknown version")
        ));
    }
    Ok(lines)
}

/// Returns the value of the first line `name: value`.
fn field(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let value = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name);
    Ok(value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned())
}
