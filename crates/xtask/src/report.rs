//! What a chore says: the one place that prints, and how faults become an error.

use anyhow::{Result, bail};

/// Prints `text` and a line end.
#[expect(clippy::print_stdout, reason = "chores talk to whoever runs them")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Succeeds when there are no faults; else prints each and fails with their number.
pub(crate) fn settle(chore: &str, faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        say(&format!("{chore}: nothing to complain about"));
        return Ok(());
    }
    for fault in faults {
        eprintln!("{chore}: {fault}");
    }
    bail!("{chore}: {} to put right", faults.len());
}
