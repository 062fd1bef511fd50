//! The servers that are measured: how each is configured, started, watched and stopped.

mod config;
mod kind;

use std::cell::Cell;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

pub(crate) use self::kind::Kind;

use super::client::{Connection, Request};
use super::process;

/// How long a server may take until it listens, and until it has ended after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(15);

/// One running server with its own port and directory.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    data: PathBuf,
    child: Child,
    /// The greatest peak before the last time that it was forgotten.
    peak_before: Cell<u64>,
}

/// What some work cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// CPU seconds of the bench itself, which shares the machine with the server.
    pub(crate) client_cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

impl Peer {
    /// Starts `program` in a directory of its own below `scratch` and waits until it listens.
    pub(crate) fn start(kind: Kind, program: &Path, scratch: &Path) -> Result<Self> {
        Self::start_over(
            kind,
            program,
            scratch,
            &scratch.join(kind.name()).join("data"),
        )
    }

    /// Starts `program` over content that may be there already and waits until it listens.
    pub(crate) fn start_over(
        kind: Kind,
        program: &Path,
        scratch: &Path,
        data: &Path,
    ) -> Result<Self> {
        let mut peer = Self::spawn(kind, program, scratch, data)?;
        peer.wait_until_it_listens()?;
        Ok(peer)
    }

    /// Starts `program` over content that may be there already.
    pub(crate) fn spawn(kind: Kind, program: &Path, scratch: &Path, data: &Path) -> Result<Self> {
        let directory = scratch.join(kind.name());
        for directory in [&directory, data] {
            fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        }
        let address = free_address()?;
        let log = fs::File::create(directory.join("log"))?;
        let child = config::command(kind, program, address, &directory, data)?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", program.display()))?;
        Ok(Self {
            kind,
            address,
            directory,
            data: data.to_owned(),
            child,
            peak_before: Cell::new(0),
        })
    }

    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the directory that it keeps its content in.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the root of Distribution's layout in its directory.
    pub(crate) fn layout(&self) -> PathBuf {
        self.data.join("docker/registry/v2")
    }

    /// Lets it answer once and returns what is then resident, in bytes.
    pub(crate) fn idle(&self) -> Result<u64> {
        if self.kind != Kind::Floor {
            Connection::open(self.address)?.call(&Request {
                method: "GET",
                target: "/v2/",
                headers: &[],
                body: &[],
            })?;
        }
        process::resident(self.pid())
    }

    /// Returns the most memory that it has needed since it was started, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        Ok(process::peak_memory(self.pid())?.max(self.peak_before.get()))
    }

    /// Does `work` and returns what it cost by the wall and to the server.
    pub(crate) fn measure<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
        self.peak_before.set(self.peak()?);
        process::forget_peak(self.pid())?;
        let own = std::process::id();
        let (cpu, own_cpu) = (
            process::cpu_time(self.pid())?,
            process::cpu_time_alone(own)?,
        );
        let started = now();
        let result = work()?;
        let seconds = started.elapsed().as_secs_f64();
        let cost = Cost {
            seconds,
            cpu_seconds: (process::cpu_time(self.pid())? - cpu).as_secs_f64(),
            client_cpu_seconds: (process::cpu_time_alone(own)? - own_cpu).as_secs_f64(),
            peak_bytes: process::peak_memory(self.pid())?,
        };
        Ok((result, cost))
    }

    /// Removes a blob behind the server's back: it was measured, and nobody asks for it again.
    ///
    /// What the server left for the kernel to write is then not written while others are measured,
    /// and a run needs no more room than its largest row.
    pub(crate) fn discard(&self, repository: &str, digest: &str) -> Result<()> {
        let hex = digest.strip_prefix("sha256:").context("a sha256 digest")?;
        let path = match self.kind {
            Kind::Wharfinger | Kind::Distribution | Kind::DockerRegistry => {
                self.layout().join("blobs/sha256").join(&hex[..2]).join(hex)
            }
            Kind::Zot => self.data.join(repository).join("blobs/sha256").join(hex),
            Kind::Angos => self.data.join("v2/blobs/sha256").join(&hex[..2]).join(hex),
            Kind::Floor => self.data.join(hex),
            Kind::Nginx | Kind::NginxCopy => bail!("nothing is pushed to nginx"),
        };
        if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        }
        .with_context(|| path.display().to_string())
    }

    /// Waits until it listens.
    pub(crate) fn wait_until_it_listens(&mut self) -> Result<()> {
        let started = now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                bail!("{} ended with {status}: {log}", self.kind.name());
            }
            if started.elapsed() > PATIENCE {
                bail!("{} does not listen", self.kind.name());
            }
            std::thread::sleep(Duration::from_millis(1));
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

/// The wall's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured passes on the wall, there is no test clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
