//! Registries as real processes: ours, Debian's and Distribution's latest, on one address each, started, killed and started again.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::{Client, Request};
use crate::port::free_port;
use crate::process::Process;
use crate::registry::Registry;
use crate::time::{Stopwatch, wait_until};

/// No registry takes longer to come up on a busy machine.
const STARTUP: Duration = Duration::from_secs(30);

/// A configuration in the words that both registries read.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The directory that keeps the data.
    pub root: PathBuf,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// What upload tokens are signed with.
    pub secret: String,
    /// Whether manifests and blobs may be deleted.
    pub delete: bool,
}

impl RegistryConfig {
    /// Data below `root`, a free port, a fixed secret, deleting allowed, and no descriptor cache.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            port: free_port(),
            secret: "a secret that both registries know".to_owned(),
            delete: true,
        }
    }

    /// The same data and secret on another free port: for a second registry beside the first.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            port: free_port(),
            ..self.clone()
        }
    }

    /// Returns the file's text.
    pub fn text(&self) -> String {
        let Self {
            root,
            port,
            secret,
            delete,
        } = self;
        format!(
            "version: 0.1\n\
             log:\n  level: info\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: {delete}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: {secret}\n",
            root.display()
        )
    }

    /// Writes the file to `path`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }
}

/// A registry that runs as a process of its own, always on the same address.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    address: SocketAddr,
    log: PathBuf,
    process: Option<Process>,
}

/// Starts our own registry.
#[derive(Debug, Clone, Copy)]
pub struct Wharfinger;

/// Starts Debian's `docker-registry`, Distribution 2.8.
#[derive(Debug, Clone, Copy)]
pub struct DockerRegistry;

/// Starts `distribution`, Distribution 3 as `tests/tools` builds it.
#[derive(Debug, Clone, Copy)]
pub struct Distribution;

impl Wharfinger {
    /// Starts `binary serve CONFIG` and waits until it answers; the file and the log go into `directory`.
    /// Tests of the binary's own crate have its path in `env!("CARGO_BIN_EXE_wharfinger")`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        binary: impl Into<PathBuf>,
        config: &RegistryConfig,
        directory: &Path,
    ) -> Result<Server> {
        Server::configured(binary.into(), "wharfinger", Vec::new(), config, directory)
    }
}

impl DockerRegistry {
    /// Starts `program serve CONFIG` and waits until it answers; the file and the log go into `directory`.
    /// The path of the program comes from [`tool`](crate::tool).
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        program: impl Into<PathBuf>,
        config: &RegistryConfig,
        directory: &Path,
    ) -> Result<Server> {
        Server::configured(
            program.into(),
            "docker-registry",
            Vec::new(),
            config,
            directory,
        )
    }
}

impl Distribution {
    /// Starts `program serve CONFIG` and waits until it answers; the file and the log go into `directory`.
    /// The path of the program comes from [`tool`](crate::tool).
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        program: impl Into<PathBuf>,
        config: &RegistryConfig,
        directory: &Path,
    ) -> Result<Server> {
        // It would send traces to a collector that nobody runs.
        let variables = vec![("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned())];
        Server::configured(program.into(), "distribution", variables, config, directory)
    }
}

impl Server {
    /// Starts any program that serves a registry on `address`, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up; the error tells the end of its log.
    pub fn start(
        program: impl Into<PathBuf>,
        arguments: Vec<OsString>,
        variables: Vec<(String, String)>,
        address: SocketAddr,
        log: &Path,
    ) -> Result<Self> {
        let program = program.into();
        let mut server = Self {
            program,
            arguments,
            variables,
            address,
            log: log.to_owned(),
            process: None,
        };
        server.restart()?;
        Ok(server)
    }

    fn configured(
        program: PathBuf,
        name: &str,
        variables: Vec<(String, String)>,
        config: &RegistryConfig,
        directory: &Path,
    ) -> Result<Self> {
        let file = directory.join(format!("{name}-{}.yml", config.port));
        config.write(&file)?;
        let arguments = vec!["serve".into(), file.into()];
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let log = directory.join(format!("{name}-{}.log", config.port));
        Self::start(program, arguments, variables, address, &log)
    }

    /// Starts the program anew, killing it first if it runs, and returns the time from the start of the
    /// process to the first 200 of `GET /v2/`, or 401 where it asks for credentials.
    ///
    /// # Errors
    /// When it does not come up; the error tells the end of its log.
    pub fn restart(&mut self) -> Result<Duration> {
        self.kill()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        let watch = Stopwatch::start();
        let mut process = Process::spawn(&mut command, &self.log)?;
        let mut ended = false;
        let answers = wait_until(STARTUP, || {
            ended = !process.is_running();
            ended || answers(self.address)
        });
        if ended || !answers {
            bail!(
                "{} did not come up:\n{}",
                self.program.display(),
                process.log_tail()
            );
        }
        let elapsed = watch.elapsed();
        self.process = Some(process);
        Ok(elapsed)
    }

    /// Kills the program with SIGKILL and reaps it. Does nothing if it does not run.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Sends SIGTERM and waits until the program has ended.
    ///
    /// # Errors
    /// When it does not run, or not end within `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let mut process = self.process.take().context("the server is not running")?;
        process.terminate(timeout)
    }

    /// Returns the running process.
    ///
    /// # Errors
    /// When it was killed and not started again.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the server is not running")
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `127.0.0.1:PORT`, as it stands in the names of images.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns a client of it.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Returns the registry API of it.
    pub fn registry(&self) -> Registry {
        Registry::new(self.address)
    }

    /// Returns the path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn answers(address: SocketAddr) -> bool {
    let mut client = Client::new(address).with_timeout(Duration::from_secs(5));
    client
        .send(&Request::new("GET", "/v2/"))
        .is_ok_and(|response| [200, 401].contains(&response.status()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, Scratch, tool};

    #[test]
    fn an_image_survives_a_restart_of_docker_registry() {
        let Some(program) = tool("docker-registry") else {
            return;
        };
        let scratch = Scratch::new("server").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let mut server = DockerRegistry::start(program, &config, scratch.path()).unwrap();
        let image = Image::build(1, &[2048, 200_000]);
        let mut registry = server.registry();
        registry.push_image("a/b", "v1", &image).unwrap();
        server.kill().unwrap();
        assert!(server.process().is_err());
        server.restart().unwrap();
        let mut registry = server.registry();
        registry.check_image("a/b", "v1", &image).unwrap();
        assert_eq!(registry.tags("a/b").unwrap(), ["v1"]);
        assert_eq!(registry.catalog().unwrap(), ["a/b"]);
    }

    #[test]
    fn a_server_that_does_not_come_up_tells_its_log() {
        let scratch = Scratch::new("down").unwrap();
        let arguments = vec!["-c".into(), "echo no luck; exit 1".into()];
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let error = Server::start("sh", arguments, Vec::new(), address, &scratch.join("log"));
        assert!(error.unwrap_err().to_string().ends_with("no luck"));
    }
}
