//! A client that is one program, run to its end for each thing it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use wharfinger_testkit::{Scratch, run, tool};

use super::COMMAND;

/// A program with a home of its own: somebody's own credentials, settings and caches are not part of the test.
pub(super) struct Program {
    path: PathBuf,
    home: PathBuf,
    first: Vec<String>,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Program {
    /// Finds the program; `None` where it is not installed. Every call begins with the arguments `first`.
    pub(super) fn find(scratch: &Scratch, name: &str, first: &[&str]) -> Result<Option<Self>> {
        let Some(path) = tool(name) else {
            return Ok(None);
        };
        let home = scratch.make(name)?;
        // No credentials; podman insists on the file.
        fs::write(home.join("config.json"), "{}")?;
        Ok(Some(Self {
            path,
            home,
            first: first.iter().map(|&it| it.to_owned()).collect(),
            variables: Vec::new(),
        }))
    }

    /// Gives the program one more variable.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<PathBuf>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The directory that is the program's alone, and where it runs.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the call with `arguments`, not started yet.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.first)
            .args(arguments)
            .current_dir(&self.home);
        for name in [
            "HOME",
            "DOCKER_CONFIG",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_RUNTIME_DIR",
        ] {
            command.env(name, &self.home);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end, and returns what it wrote.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.command(arguments), COMMAND)
    }
}
