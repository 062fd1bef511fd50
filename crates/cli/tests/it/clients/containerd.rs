//! containerd with its own `ctr`: a daemon with its own root, state and socket.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Image, Process, Scratch, run, tool, wait_until};

use super::{COMMAND, Client, Stored};

pub(super) struct Containerd {
    ctr: PathBuf,
    socket: PathBuf,
    directory: PathBuf,
    namespaces: AtomicU32,
    _daemon: Process,
}

impl Containerd {
    /// Starts the daemon; `None` where it or its client is not installed.
    pub(super) fn start(scratch: &Scratch) -> Result<Option<Self>> {
        let (Some(program), Some(ctr)) = (tool("containerd"), tool("ctr")) else {
            return Ok(None);
        };
        let directory = scratch.make("containerd")?;
        let file = directory.join("config.toml");
        fs::write(&file, configuration(&directory.display().to_string()))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&file);
        let daemon = Process::spawn(&mut command, &scratch.join("containerd.log"))?
            .with_grace(Duration::from_secs(10));
        let this = Self {
            ctr,
            socket: directory.join("containerd.sock"),
            directory,
            namespaces: AtomicU32::new(0),
            _daemon: daemon,
        };
        let ready = wait_until(COMMAND, || this.ctr("none", &["version"]).is_ok());
        ensure!(ready, "containerd did not come up");
        Ok(Some(this))
    }

    fn ctr(&self, namespace: &str, arguments: &[&str]) -> Result<String> {
        run(&mut self.command(namespace, arguments), COMMAND)
    }

    fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.ctr);
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", namespace])
            .args(arguments);
        command
    }

    /// The call that pulls `name` into `namespace`, not started yet.
    pub(super) fn pull_command(&self, namespace: &str, name: &str) -> Command {
        // The snapshotter that works on any file system; unpacking holds each layer against its diff id.
        let pull = [
            "images",
            "pull",
            "--plain-http",
            "--snapshotter",
            "native",
            name,
        ];
        self.command(namespace, &pull)
    }

    /// Pulls `name` into `namespace`, and holds what is there then against `image`.
    pub(super) fn pull_into(&self, namespace: &str, name: &str, image: &Stored) -> Result<()> {
        run(&mut self.pull_command(namespace, name), COMMAND)?;
        self.same(namespace, &image.manifest.digest, &image.manifest.bytes)?;
        for blob in &image.blobs {
            self.same(namespace, &blob.digest, &blob.bytes)?;
        }
        Ok(())
    }

    /// A namespace that has seen nothing yet.
    fn namespace(&self) -> String {
        format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads the bytes that containerd keeps under `digest`. What `ctr` prints is not text.
    fn same(&self, namespace: &str, digest: &str, bytes: &[u8]) -> Result<()> {
        let file = self.directory.join("content");
        let get = format!(
            "exec {} --address {} --namespace {namespace} content get {digest} >{}",
            self.ctr.display(),
            self.socket.display(),
            file.display()
        );
        run(Command::new("sh").args(["-c", &get]), COMMAND)?;
        ensure!(fs::read(&file)? == bytes, "{digest} differs");
        Ok(())
    }
}

impl Client for Containerd {
    fn name(&self) -> &'static str {
        "containerd"
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        let archive = self.directory.join("pushed.tar");
        image.write_archive(&archive, name)?;
        let namespace = self.namespace();
        let file = archive.display().to_string();
        self.ctr(&namespace, &["images", "import", "--no-unpack", &file])?;
        self.ctr(&namespace, &["images", "push", "--plain-http", name])?;
        Ok(())
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        self.pull_into(&self.namespace(), name, image)
    }
}

/// A daemon of its own, without Kubernetes. Namespaces share nothing, so that a pull into a fresh one has to
/// fetch every byte.
fn configuration(directory: &str) -> String {
    format!(
        r#"version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"#
    )
}
