//! The content service: containerd's own suite for content stores, and containerds that have us as theirs.

mod chain;
mod collectors;
mod direct;
mod images;
mod node;
mod resume;
mod suite;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Process, RegistryConfig, Scratch, Server, wait_until};

use crate::setup::wharfinger_with;

/// Nothing takes longer to come up on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// `wharfinger content serve` as a process of its own.
struct ContentServer {
    socket: PathBuf,
    process: Process,
    command: Vec<String>,
    log: PathBuf,
}

impl ContentServer {
    /// Starts it on the socket `NAME.sock`, over `root`.
    fn start(scratch: &Scratch, root: &Path, name: &str, mode: &str) -> Result<Self> {
        let kept = ["--mode", mode, "--root", &root.display().to_string()];
        Self::start_with(scratch, name, &kept)
    }

    /// Starts it on the socket `NAME.sock`.
    fn start_with(scratch: &Scratch, name: &str, arguments: &[&str]) -> Result<Self> {
        let socket = scratch.join(format!("{name}.sock"));
        let log = scratch.join(format!("{name}.log"));
        let words = ["content", "serve", "--socket"];
        let mut command: Vec<String> = words.map(str::to_owned).into();
        command.push(socket.display().to_string());
        command.extend(arguments.iter().map(ToString::to_string));
        let process = Self::spawn(&command, &log)?;
        let this = Self {
            socket,
            process,
            command,
            log,
        };
        this.wait()?;
        Ok(this)
    }

    fn spawn(command: &[String], log: &Path) -> Result<Process> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        Process::spawn(program.args(command), log)
    }

    fn wait(&self) -> Result<()> {
        wait_for(&self.socket)
    }

    /// Kills it, and starts it anew.
    fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = Self::spawn(&self.command, &self.log)?;
        self.wait()
    }
}

/// Waits until somebody answers at a socket.
fn wait_for(socket: &Path) -> Result<()> {
    let connects = || std::os::unix::net::UnixStream::connect(socket).is_ok();
    ensure!(wait_until(STARTS, connects), "no content store came up");
    Ok(())
}

/// Starts a registry that serves content as well, on a socket for each of `tenants`.
fn registry_with_sockets(
    config: &RegistryConfig,
    scratch: &Scratch,
    tenants: &[&str],
) -> Result<(Server, Vec<PathBuf>)> {
    let sockets: Vec<PathBuf> = tenants
        .iter()
        .map(|tenant| scratch.join(format!("{tenant}.sock")))
        .collect();
    let names: Vec<String> = (0..tenants.len())
        .map(|number| format!("WHARFINGER_CONTENT_{number}_SOCKET"))
        .collect();
    let variables: Vec<(&str, String)> = names
        .iter()
        .zip(&sockets)
        .map(|(name, socket)| (name.as_str(), socket.display().to_string()))
        .collect();
    let server = wharfinger_with(config, scratch, &variables)?;
    for socket in &sockets {
        wait_for(socket)?;
    }
    Ok((server, sockets))
}
