//! A containerd that has a socket of ours as its content store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Process, Scratch, run, tool, wait_until};

/// No single command takes longer, even on a busy machine.
const COMMAND: Duration = Duration::from_secs(180);

pub(super) struct Node {
    ctr: PathBuf,
    directory: PathBuf,
    _daemon: Process,
}

impl Node {
    /// Starts the daemon; `None` where it or its client is not installed.
    pub(super) fn start(scratch: &Scratch, name: &str, content: &Path) -> Result<Option<Self>> {
        let (Some(program), Some(ctr)) = (tool("containerd"), tool("ctr")) else {
            return Ok(None);
        };
        let directory = scratch.make(format!("node-{name}"))?;
        let file = directory.join("config.toml");
        fs::write(&file, configuration(&directory, content))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&file);
        let log = directory.join("log");
        let daemon = Process::spawn(&mut command, &log)?.with_grace(Duration::from_secs(10));
        let this = Self {
            ctr,
            directory,
            _daemon: daemon,
        };
        let ready = wait_until(COMMAND, || this.ctr(&["version"]).is_ok());
        ensure!(ready, "containerd did not come up");
        Ok(Some(this))
    }

    /// Where the daemon listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("containerd.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(self.socket());
        command
    }

    /// Runs the client.
    pub(super) fn ctr(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments), COMMAND)
    }

    /// Runs the client as `arguments` say, with its input or output led elsewhere.
    fn shell(&self, arguments: &str) -> Result<()> {
        let (ctr, socket) = (self.ctr.display(), self.socket());
        let line = format!("exec {ctr} --address {} {arguments}", socket.display());
        run(Command::new("sh").args(["-c", &line]), COMMAND).map(drop)
    }

    /// The digests of all content.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let list = self.ctr(&["content", "ls", "--quiet"])?;
        Ok(list.lines().map(str::to_owned).collect())
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

    /// What pulls an image; its layers are unpacked where any file system can.
    fn pulling(name: &str) -> [&str; 6] {
        let snapshotter = ["--snapshotter", "native"];
        [
            "images",
            "pull",
            "--plain-http",
            snapshotter[0],
            snapshotter[1],
            name,
        ]
    }

    pub(super) fn pull(&self, name: &str) -> Result<()> {
        self.ctr(&Self::pulling(name)).map(drop)
    }

    /// Starts to pull an image.
    pub(super) fn start_pull(&self, name: &str) -> Result<Process> {
        let mut command = self.command();
        command.args(Self::pulling(name));
        Process::spawn(&mut command, &self.directory.join("pull.log"))
    }
}

/// Without the built-in store, which a daemon of this age would go on using beside ours.
fn configuration(directory: &Path, content: &Path) -> String {
    let (directory, content) = (directory.display(), content.display());
    format!(
        r#"version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.content.v1.content", "io.containerd.grpc.v1.cri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{directory}/containerd.sock"
[ttrpc]
address = "{directory}/containerd.sock.ttrpc"
[proxy_plugins.wharfinger]
type = "content"
address = "{content}"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"#
    )
}
