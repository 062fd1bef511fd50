//! Chores over cargo. `cargo xtask --help` lists them.
//!
//! Each chore is a few lines over cargo, so that nothing here has to be learnt twice:
//! every command that runs is printed as it could be typed.

mod arrows;
mod bench;
mod check;
mod ci;
mod codegen;
mod content;
mod files;
mod report;
mod shell;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::report::say;
use crate::workspace::Workspace;

/// One chore: its name, what it does in a line, and the function that does it.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

/// Every chore; `--help` prints this table.
const CHORES: &[Chore] = &[
    Chore {
        name: "check",
        about: "all that must hold before a commit: the five below",
        run: check::all,
    },
    Chore {
        name: "fmt",
        about: "the format, without changing anything",
        run: check::fmt,
    },
    Chore {
        name: "clippy",
        about: "lints of every target, warnings are errors",
        run: check::clippy,
    },
    Chore {
        name: "docs",
        about: "the documentation, warnings are errors",
        run: check::docs,
    },
    Chore {
        name: "arrows",
        about: "the dependencies between our own crates",
        run: arrows::run,
    },
    Chore {
        name: "files",
        about: "the shape of the tree: long and forgotten files",
        run: files::run,
    },
    Chore {
        name: "codegen",
        about: "the code of the content service's wire, made anew from its .proto",
        run: codegen::run,
    },
    Chore {
        name: "content",
        about: "speed of the content service beside a containerd's own store",
        run: content::run,
    },
    Chore {
        name: "ci",
        about: "what CI runs: .ci/run, with every foreign client required",
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> Result<()> {
    let name = match words {
        [] => {
            say(&help());
            return Ok(());
        }
        [word] if ["-h", "--help", "help"].contains(&word.as_str()) => {
            say(&help());
            return Ok(());
        }
        [word, rest @ ..] if word == "bench" => return bench::run(rest),
        [word, rest @ ..] if word == "memory" => return bench::memory(rest),
        [word, rest @ ..] if word == "floor" => return bench::floor(rest),
        [word] => word,
        [word, extra, ..] => bail!("`{word}` takes no arguments, but `{extra}` was given"),
    };
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        bail!("there is no chore `{name}`; `cargo xtask --help` lists them");
    };
    (chore.run)(&Workspace::load()?)
}

fn help() -> String {
    let mut text = String::from("Chores over cargo.\n\nUsage: cargo xtask CHORE\n\nChores:\n");
    for Chore { name, about, .. } in CHORES {
        text.push_str(&format!("  {name:<8} {about}\n"));
    }
    text.push_str("  bench    speed beside other registries; takes options, see `bench --help`\n");
    text.push_str("  memory   the server's peak memory, held against its bounds\n");
    text.push_str(
        "\nEvery command is printed before it runs. A chore that finds a fault names it,\n\
         says what to do, and ends with status 1. `cargo test` alone runs every test that\n\
         needs nothing installed; tests that need a foreign client say so and are skipped.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_chore() {
        let text = help();
        for chore in CHORES {
            assert!(
                text.contains(&format!("  {} ", chore.name)),
                "{} is missing",
                chore.name
            );
        }
    }

    #[test]
    fn an_unknown_chore_and_an_extra_word_are_refused() {
        let refused = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            dispatch(&words).unwrap_err().to_string()
        };
        assert!(refused(&["arows"]).contains("no chore `arows`"));
        assert!(refused(&["files", "now"]).contains("takes no arguments"));
    }
}
