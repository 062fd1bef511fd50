//! The servers that are measured: how each is configured, started, watched and stopped.

use std::cell::Cell;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::process;

/// How long a server may take until it listens, and until it has ended after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a server is to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours.
    Wharfinger,
    /// Distribution 2.8, as Debian has it: what ratios are taken to.
    DockerRegistry,
    /// nginx with static files under the same URLs; it takes part where something is read.
    Nginx,
}

/// One running server with its own port and directory.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    child: Child,
    /// The greatest peak before the last time that it was forgotten.
    peak_before: Cell<u64>,
}

/// What some work cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

impl Kind {
    /// Every kind, in the order of the report.
    pub(crate) const ALL: [Self; 3] = [Self::DockerRegistry, Self::Wharfinger, Self::Nginx];

    /// Returns the name of its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wharfinger => "wharfinger",
            Self::DockerRegistry => "docker-registry",
            Self::Nginx => "nginx",
        }
    }

    /// Finds its program, unless it is not installed.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"]
            .iter()
            .map(|directory| Path::new(directory).join(self.name()))
            .find(|path| path.is_file())
    }
}

impl Peer {
    /// Starts `program` in a directory of its own below `scratch` and waits until it listens.
    pub(crate) fn start(kind: Kind, program: &Path, scratch: &Path) -> Result<Self> {
        let directory = scratch.join(kind.name());
        fs::create_dir_all(directory.join("data"))
            .with_context(|| directory.display().to_string())?;
        let address = free_address()?;
        let config = directory.join("config");
        let text = match kind {
            Kind::Nginx => nginx_config(address, &directory),
            Kind::Wharfinger | Kind::DockerRegistry => registry_config(address, &directory),
        };
        fs::write(&config, text).with_context(|| config.display().to_string())?;
        let log = fs::File::create(directory.join("log"))?;
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.arg("-p").arg(&directory).arg("-c"),
            Kind::Wharfinger | Kind::DockerRegistry => command.arg("serve"),
        };
        let child = command
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", program.display()))?;
        let mut peer = Self {
            kind,
            address,
            directory,
            child,
            peak_before: Cell::new(0),
        };
        peer.wait_until_it_listens()?;
        Ok(peer)
    }

    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the directory that it keeps its content in.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Returns the root of Distribution's layout in its directory.
    pub(crate) fn layout(&self) -> PathBuf {
        self.data().join("docker/registry/v2")
    }

    /// Returns the most memory that it has needed since it was started, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        Ok(process::peak_memory(self.pid())?.max(self.peak_before.get()))
    }

    /// Does `work` and returns what it cost by the wall and to the server.
    pub(crate) fn measure<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
        self.peak_before.set(self.peak()?);
        process::forget_peak(self.pid())?;
        let cpu = process::cpu_time(self.pid())?;
        let started = now();
        let result = work()?;
        let seconds = started.elapsed().as_secs_f64();
        let cost = Cost {
            seconds,
            cpu_seconds: (process::cpu_time(self.pid())? - cpu).as_secs_f64(),
            peak_bytes: process::peak_memory(self.pid())?,
        };
        Ok((result, cost))
    }

    /// Removes a blob behind the server's back: it was measured, and nobody asks for it again.
    ///
    /// What the server left for the kernel to write is then not written while others are measured.
    pub(crate) fn discard(&self, digest: &str) -> Result<()> {
        let hex = digest.strip_prefix("sha256:").context("a sha256 digest")?;
        let path = self.layout().join("blobs/sha256").join(&hex[..2]).join(hex);
        fs::remove_dir_all(&path).with_context(|| path.display().to_string())
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let started = now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                bail!("{} ended with {status}: {log}", self.kind.name());
            }
            if started.elapsed() > PATIENCE {
                bail!("{} does not listen", self.kind.name());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Peer {
    /// Asks it to end, since nginx takes its workers along only then, and insists after a while.
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself; the wait below sees that too.
            rustix::process::kill_process(pid, Signal::TERM).ok();
        }
        let started = now();
        while started.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that nobody had a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn registry_config(address: SocketAddr, directory: &Path) -> String {
    format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}\n  secret: the-same-for-every-run-of-the-bench\n",
        directory.join("data").display()
    )
}

fn nginx_config(address: SocketAddr, directory: &Path) -> String {
    format!(
        "user root;\nworker_processes auto;\ndaemon off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  sendfile on;\n  tcp_nopush on;\n  open_file_cache max=1000;\n  access_log off;\n\
         \x20 keepalive_requests 1000000000;\n  client_body_temp_path {directory}/tmp;\n\
         \x20 server {{ listen {address}; root {directory}/data; default_type application/octet-stream; }}\n}}\n",
        directory = directory.display()
    )
}

/// The wall's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured passes on the wall, there is no test clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
