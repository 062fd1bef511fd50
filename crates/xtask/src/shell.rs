//! Running a command as if it had been typed: print it, run it, say how long it took.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::report::say;

/// Runs `program` with `arguments` in `directory`, with `variables` added to its environment.
///
/// # Errors
/// When it cannot be started or ends with anything but success.
pub(crate) fn run(
    directory: &Path,
    variables: &[(&str, &str)],
    program: &str,
    arguments: &[&str],
) -> Result<()> {
    let mut line = String::from("$");
    for (name, value) in variables {
        line.push_str(&format!(" {name}={value:?}"));
    }
    line.push_str(&format!(" {program} {}", arguments.join(" ")));
    say(&line);

    let started = now();
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .status()
        .with_context(|| format!("`{program}` cannot be started"))?;
    if !status.success() {
        bail!("`{program} {}`: {status}", arguments.join(" "));
    }
    say(&format!("  ok in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore is timed by the wall, there is no test clock"
)]
fn now() -> Instant {
    Instant::now()
}
