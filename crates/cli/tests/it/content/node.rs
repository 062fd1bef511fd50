//! A containerd that has a socket of ours as its content store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Process, Scratch, run, sha256, tool, wait_until};

/// No single command takes longer, even on a busy machine.
const COMMAND: Duration = Duration::from_secs(180);

/// Pulls an image; its name follows.
const PULL: [&str; 5] = ["images", "pull", "--plain-http", "--snapshotter", "native"];

/// Which containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The machine's own: 1.6 in Debian 12.
    One,
    /// That of `tests/content/go.mod`.
    Two,
}

impl Version {
    pub(super) const ALL: [Self; 2] = [Self::One, Self::Two];

    /// The names of the daemon and of its client.
    fn programs(self) -> (&'static str, &'static str) {
        match self {
            Self::One => ("containerd", "ctr"),
            Self::Two => ("containerd-2", "ctr-2"),
        }
    }
}

/// A containerd and its client, or the client alone.
pub(super) struct Node {
    version: Version,
    ctr: PathBuf,
    directory: PathBuf,
    socket: PathBuf,
    _daemon: Option<Process>,
}

impl Node {
    /// Starts the daemon; `None` where it or its client is not installed.
    pub(super) fn start(
        version: Version,
        scratch: &Scratch,
        name: &str,
        content: &Path,
    ) -> Result<Option<Self>> {
        let Some(program) = tool(version.programs().0) else {
            return Ok(None);
        };
        let Some(mut this) = Self::client(version, scratch, name, content)? else {
            return Ok(None);
        };
        let directory = &this.directory;
        let file = directory.join("config.toml");
        fs::write(&file, configuration(version, directory, content))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&file);
        let log = directory.join("log");
        let daemon = Process::spawn(&mut command, &log)?.with_grace(Duration::from_secs(10));
        this.socket = directory.join("containerd.sock");
        this._daemon = Some(daemon);
        let ready = wait_until(COMMAND, || this.ctr(&["version"]).is_ok());
        ensure!(ready, "containerd did not come up");
        Ok(Some(this))
    }

    /// The client alone, which speaks to `socket`; `None` where it is not installed.
    pub(super) fn client(
        version: Version,
        scratch: &Scratch,
        name: &str,
        socket: &Path,
    ) -> Result<Option<Self>> {
        let Some(ctr) = tool(version.programs().1) else {
            return Ok(None);
        };
        Ok(Some(Self {
            version,
            ctr,
            directory: scratch.make(format!("node-{name}"))?,
            socket: socket.to_owned(),
            _daemon: None,
        }))
    }

    /// Where the daemon listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(&self.socket);
        command
    }

    /// Runs the client.
    pub(super) fn ctr(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments), COMMAND)
    }

    /// Runs the client as `arguments` say, with its input or output led elsewhere.
    fn shell(&self, arguments: &str) -> Result<()> {
        let line = self.line(arguments);
        run(Command::new("sh").args(["-c", &line]), COMMAND).map(drop)
    }

    fn line(&self, arguments: &str) -> String {
        let (ctr, socket) = (self.ctr.display(), self.socket.display());
        format!("exec {ctr} --address {socket} {arguments}")
    }

    /// Begins to write what comes out of `pipe` under a ref.
    pub(super) fn start_ingest(&self, reference: &str, pipe: &Path) -> Result<Process> {
        let line = self.line(&format!("content ingest {reference} <{}", pipe.display()));
        let log = self.directory.join("ingest.log");
        Process::spawn(Command::new("sh").args(["-c", &line]), &log)
    }

    /// The digests of all content.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let list = self.ctr(&["content", "ls", "--quiet"])?;
        // The newer client also warns of what the machine will be too old for.
        let digests = list.lines().filter(|line| line.starts_with("sha256:"));
        Ok(digests.map(str::to_owned).collect())
    }

    /// Holds what the daemon has under `digest` against `bytes`.
    pub(super) fn check(&self, digest: &str, bytes: &[u8]) -> Result<()> {
        let file = self.directory.join("content");
        self.shell(&format!("content get {digest} >{}", file.display()))?;
        ensure!(fs::read(&file)? == bytes, "{digest} differs");
        Ok(())
    }

    /// Writes content under a ref.
    pub(super) fn ingest(&self, reference: &str, digest: &str, bytes: &[u8]) -> Result<()> {
        let file = self.directory.join("ingested");
        fs::write(&file, bytes)?;
        let file = file.display();
        self.shell(&format!(
            "content ingest --expected-digest {digest} {reference} <{file}"
        ))
    }

    /// Writes content under a ref, and holds it by a label. The daemon collects what nobody holds, at
    /// any moment after something was deleted, and the client writes without a lease: what has gone
    /// before it was held is written again.
    pub(super) fn ingest_and_hold(
        &self,
        reference: &str,
        digest: &str,
        bytes: &[u8],
    ) -> Result<()> {
        let label = ["content", "label", digest, "containerd.io/gc.root=held"];
        let mut held = Ok(());
        let is_held = wait_until(COMMAND, || {
            held = self
                .ingest(reference, digest, bytes)
                .and_then(|()| self.ctr(&label).map(drop));
            held.is_ok()
        });
        ensure!(is_held, "{digest} was not held: {held:?}");
        Ok(())
    }

    /// Pulls an image, the way that the version does it; its layers are unpacked where any file
    /// system can.
    pub(super) fn pull(&self, name: &str) -> Result<()> {
        self.ctr(&[&PULL[..], &[name]].concat()).map(drop)
    }

    /// What pulls an image by the client; with the newer version the daemon would.
    fn pulling<'a>(&self, name: &'a str) -> Vec<&'a str> {
        let by_client: &[&str] = match self.version {
            Version::One => &[],
            Version::Two => &["--local"],
        };
        [&PULL[..], by_client, &[name]].concat()
    }

    /// Pulls an image by the client.
    pub(super) fn pull_by_client(&self, name: &str) -> Result<()> {
        self.ctr(&self.pulling(name)).map(drop)
    }

    /// Waits until the daemon has found its content store again, which it does by itself after a pause:
    /// until then a write waits, and a read fails.
    pub(super) fn comes_back(&self) -> Result<()> {
        let bytes = b"anything";
        self.ingest("anything", &sha256(bytes), bytes)
    }

    /// Waits until the daemon has collected all that it had.
    pub(super) fn collected(&self) -> Result<()> {
        let is_empty = || self.list().is_ok_and(|list| list.is_empty());
        ensure!(
            wait_until(COMMAND, is_empty),
            "content stays: {:?}",
            self.list()
        );
        Ok(())
    }

    /// Starts to pull an image by the client.
    pub(super) fn start_pull(&self, name: &str) -> Result<Process> {
        let mut command = self.command();
        command.args(self.pulling(name));
        Process::spawn(&mut command, &self.directory.join("pull.log"))
    }
}

/// Where the daemon unpacks by itself; the client of the older one does.
const UNPACK: &str = r#"[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux"
snapshotter = "native"
"#;

/// Without the built-in store: the older daemon would go on using it beside ours, the newer one have none.
fn configuration(version: Version, directory: &Path, content: &Path) -> String {
    let (directory, content) = (directory.display(), content.display());
    let (number, unpack) = match version {
        Version::One => (2, ""),
        Version::Two => (3, UNPACK),
    };
    format!(
        r#"version = {number}
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.content.v1.content", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{directory}/containerd.sock"
[ttrpc]
address = "{directory}/containerd.sock.ttrpc"
[proxy_plugins.wharfinger]
type = "content"
address = "{content}"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
{unpack}"#
    )
}
