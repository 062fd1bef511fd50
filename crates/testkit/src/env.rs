//! What tests read from their surroundings and tell them, in one place.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

/// Where Debian keeps programs for root; not everyone's `PATH` has them.
const MORE_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Returns the environment variable `name`, unless it is unset or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests read settings"
)]
pub fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Writes a line that is seen even when the test passes: a figure, or that something was skipped.
///
/// The test harness captures what the print macros write, and shows it only for a test that fails.
pub fn tell(line: &str) {
    // Nobody listens when this fails, and no test depends on it.
    drop(io::stderr().write_all(format!("{line}\n").as_bytes()));
}

/// Finds the executable `name`, in the directory `WHARFINGER_TEST_TOOLS` first; without it, says `skipped: NAME is not installed` and returns `None`.
///
/// # Panics
///
/// When it is missing and `CI` is set: there every suite runs.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        assert!(
            setting("CI").is_none(),
            "a missing tool fails in CI: {name} is not installed"
        );
        tell(&format!("skipped: {name} is not installed"));
    }
    found
}

fn find(name: &str) -> Option<PathBuf> {
    // What was built for the tests goes before what the machine happens to have.
    let built = setting("WHARFINGER_TEST_TOOLS").map(PathBuf::from);
    let path = setting("PATH").unwrap_or_default();
    built
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(MORE_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has_and_nothing_else() {
        assert!(tool("sh").is_some_and(|file| file.ends_with("sh")));
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
