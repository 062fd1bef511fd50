//! Programs that are run to their end.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{Process, Scratch};

/// Runs `command` to its end, which must come within `timeout` and with status 0; returns what it wrote.
///
/// # Errors
/// When it cannot be started, is not done in time (it is killed then), or ends with another status; the
/// error tells the command and what it wrote.
pub fn run(command: &mut Command, timeout: Duration) -> Result<String> {
    let scratch = Scratch::new("command")?;
    let line = format!("{command:?}");
    let mut process = Process::spawn(command, &scratch.join("output"))?;
    let ended = process.wait(timeout);
    let output = String::from_utf8_lossy(&fs::read(process.log())?).into_owned();
    match ended {
        Ok(status) if status.success() => Ok(output),
        Ok(status) => bail!("{line}: {status}\n{output}"),
        Err(error) => bail!("{line}: {error}\n{output}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> Result<String> {
        run(Command::new("sh").args(["-c", script]), timeout)
    }

    #[test]
    fn output_comes_back_and_failure_tells_it() {
        let long = Duration::from_secs(10);
        assert_eq!(sh("echo out; echo err >&2", long).unwrap(), "out\nerr\n");
        let error = sh("echo why; exit 4", long).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 4") && error.ends_with("why\n"),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = sh("sleep 1000", Duration::from_millis(20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("still running after 20ms"), "{error}");
    }
}
