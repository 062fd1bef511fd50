//! docker: a daemon started by hand, without a network of its own and without touching the system's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharfinger_testkit::{Image, Process, Scratch, run, sha256, tool, wait_until};

use super::{COMMAND, Client, Stored};

pub(crate) struct Docker {
    program: PathBuf,
    tar: PathBuf,
    socket: PathBuf,
    directory: PathBuf,
    _daemon: Process,
}

impl Docker {
    /// Starts the daemon, which starts its own containerd; `None` where something is not installed.
    pub(crate) fn start(scratch: &Scratch) -> Result<Option<Self>> {
        Self::start_with(scratch, &[])
    }

    /// Starts the daemon with variables of its own.
    pub(crate) fn start_with(
        scratch: &Scratch,
        variables: &[(&str, &Path)],
    ) -> Result<Option<Self>> {
        let tools = (tool("dockerd"), tool("docker"), tool("tar"));
        let (Some(daemon), Some(program), Some(tar)) = tools else {
            return Ok(None);
        };
        let directory = scratch.make("docker")?;
        // An empty file in place of whatever the machine has in /etc/docker.
        let file = directory.join("daemon.json");
        fs::write(&file, "{}")?;
        let socket = directory.join("docker.sock");
        let mut command = Command::new(daemon);
        command
            .args(["--iptables=false", "--bridge=none", "--storage-driver=vfs"])
            .arg("--config-file")
            .arg(&file)
            .arg("--data-root")
            .arg(directory.join("data"))
            .arg("--exec-root")
            .arg(directory.join("exec"))
            .arg("--pidfile")
            .arg(directory.join("docker.pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .envs(variables.iter().copied());
        let daemon = Process::spawn(&mut command, &scratch.join("dockerd.log"))?
            .with_grace(Duration::from_secs(20));
        let this = Self {
            program,
            tar,
            socket,
            directory,
            _daemon: daemon,
        };
        let ready = wait_until(COMMAND, || this.docker(&["version"]).is_ok());
        ensure!(ready, "dockerd did not come up");
        Ok(Some(this))
    }

    /// Runs a command of the client.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()))
            .args(arguments);
        // Somebody's own credentials and settings are not part of the test.
        command
            .env("DOCKER_CONFIG", &self.directory)
            .env_remove("DOCKER_CONTEXT");
        run(&mut command, COMMAND)
    }

    /// Removes the image with all its layers, so that nothing is left to spare a pull.
    fn forget(&self, name: &str) -> Result<()> {
        self.docker(&["image", "rm", "--force", name])?;
        self.docker(&["image", "prune", "--all", "--force"])?;
        let left = self.docker(&["image", "ls", "--all", "--quiet"])?;
        ensure!(left.trim().is_empty(), "docker still has {left}");
        Ok(())
    }
}

impl Client for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn repacks(&self) -> bool {
        true
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        let archive = self.directory.join("pushed.tar");
        image.write_docker_archive(&archive, name)?;
        self.docker(&["load", "--input", &archive.display().to_string()])?;
        self.docker(&["push", name])?;
        // The same image under another repository: docker asks for a mount of each layer.
        let (repository, tag) = name.rsplit_once(':').context("a name without a tag")?;
        let second = format!("{repository}-mounted:{tag}");
        self.docker(&["tag", name, &second])?;
        let pushed = self.docker(&["push", &second])?;
        ensure!(
            pushed.contains("Mounted from"),
            "nothing was mounted:\n{pushed}"
        );
        self.docker(&["image", "rm", &second])?;
        self.forget(name)
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        self.docker(&["pull", name])?;
        let id = self.docker(&["image", "inspect", "--format", "{{.Id}}", name])?;
        ensure!(id.trim() == image.config().digest, "the id is {id}");
        let digests = self.docker(&["image", "inspect", "--format", "{{.RepoDigests}}", name])?;
        ensure!(
            digests.contains(&image.manifest.digest),
            "the digests are {digests}"
        );

        // docker keeps layers unpacked; what it exports are the bytes of the archives that they were.
        let exported = self.directory.join("exported");
        fs::create_dir_all(&exported)?;
        let archive = self.directory.join("exported.tar").display().to_string();
        self.docker(&["save", "--output", &archive, name])?;
        run(
            Command::new(&self.tar)
                .arg("-xf")
                .arg(archive)
                .arg("-C")
                .arg(&exported),
            COMMAND,
        )?;
        let list: Value = serde_json::from_slice(&fs::read(exported.join("manifest.json"))?)?;
        let paths: Vec<String> = serde_json::from_value(list[0]["Layers"].clone())?;
        let layers = paths
            .iter()
            .map(|path| Ok(sha256(&fs::read(exported.join(path))?)))
            .collect::<Result<Vec<String>>>()?;
        ensure!(layers == image.diff_ids, "the layers are {layers:?}");
        fs::remove_dir_all(exported)?;
        self.forget(name)
    }
}
