//! docker, podman and skopeo log in, push and pull; and fail with their reason when they may not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use wharfinger_testkit::{Image, Scratch, run, tell, tool};

use super::{CHEAP, Guarded};
use crate::clients::COMMAND;
use crate::clients::docker::Docker;
use crate::setup::machine;

const LAYERS: [usize; 2] = [2 << 10, 300_000];

/// A client that keeps who it is.
trait Client {
    fn name(&self) -> &'static str;

    /// Logs in at `host`.
    fn login(&self, host: &str, name: &str, password: &str) -> Result<String>;

    /// Forgets who it is.
    fn logout(&self, host: &str) -> Result<String>;

    /// Makes the client hold `image` under `name`.
    fn load(&self, image: &Image, name: &str) -> Result<()>;

    fn push(&self, name: &str) -> Result<String>;

    /// Pulls `name` into a place that has nothing of it.
    fn pull(&self, name: &str) -> Result<String>;
}

/// What clients say when they may not, all in their own words for the same answer.
fn assert_denied(told: Result<String>, story: &str) {
    let told = told.expect_err(story).to_string().to_lowercase();
    let words = [
        "unauthorized",
        "authentication required",
        "invalid username/password",
        "no basic auth",
    ];
    assert!(
        words.iter().any(|word| told.contains(word)),
        "{story}: {told}"
    );
}

#[test]
fn clients_log_in_push_and_pull_and_are_refused_with_a_reason() {
    let _machine = machine();
    let scratch = Scratch::new("logins").unwrap();
    let guarded = Guarded::start(&[("alice", "s3cret with spaces: ü")], CHEAP);
    let host = guarded.server.host();
    let docker = Docker::start(&scratch).unwrap().map(|daemon| DockerLogin {
        daemon,
        archive: scratch.join("docker.tar"),
    });
    let clients = [
        Skopeo::find(&scratch).map(|it| Box::new(it) as Box<dyn Client>),
        Podman::find(&scratch).map(|it| Box::new(it) as Box<dyn Client>),
        docker.map(|it| Box::new(it) as Box<dyn Client>),
    ];
    for (seed, client) in (2000..).zip(clients.iter().flatten()) {
        let who = client.name();
        let name = format!("{host}/logins/{who}:v1");
        let password = "s3cret with spaces: ü";
        client.load(&Image::build(seed, &LAYERS), &name).unwrap();
        assert_denied(client.login(&host, "alice", "wrong"), who);
        assert_denied(client.login(&host, "mallory", password), who);
        assert_denied(client.push(&name), who);
        client.login(&host, "alice", password).unwrap();
        client.push(&name).unwrap();
        client.pull(&name).unwrap();
        client.logout(&host).unwrap();
        assert_denied(client.pull(&name), who);
        tell(&format!(
            "access: {who} logged in, pushed, pulled and was refused"
        ));
    }
}

/// skopeo, from and to directories.
struct Skopeo {
    program: PathBuf,
    directory: PathBuf,
}

impl Skopeo {
    fn find(scratch: &Scratch) -> Option<Self> {
        Some(Self {
            program: tool("skopeo")?,
            directory: scratch.make("skopeo-login").unwrap(),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("HOME", &self.directory)
            .env("REGISTRY_AUTH_FILE", self.directory.join("auth.json"));
        run(&mut command, COMMAND)
    }

    fn pushed(&self) -> String {
        format!("oci:{}:pushed", self.directory.join("pushed").display())
    }
}

impl Client for Skopeo {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Result<String> {
        self.run(&[
            "login",
            "--tls-verify=false",
            "-u",
            name,
            "-p",
            password,
            host,
        ])
    }

    fn logout(&self, host: &str) -> Result<String> {
        self.run(&["logout", host])
    }

    fn load(&self, image: &Image, _name: &str) -> Result<()> {
        image.write_layout(&self.directory.join("pushed"), "pushed")
    }

    fn push(&self, name: &str) -> Result<String> {
        let to = format!("docker://{name}");
        let copy = ["--insecure-policy", "copy", "--dest-tls-verify=false"];
        self.run(&[&copy[..], &[&self.pushed(), &to]].concat())
    }

    fn pull(&self, name: &str) -> Result<String> {
        let from = format!("docker://{name}");
        let to = format!("dir:{}", self.directory.join("pulled").display());
        let copy = ["--insecure-policy", "copy", "--src-tls-verify=false"];
        self.run(&[&copy[..], &[&from, &to]].concat())
    }
}

/// podman, with a storage of its own.
struct Podman {
    program: PathBuf,
    directory: PathBuf,
}

impl Podman {
    fn find(scratch: &Scratch) -> Option<Self> {
        let program = tool("podman")?;
        let directory = scratch.make("podman-login").unwrap();
        // It wants the file to be there also where nobody has logged in.
        fs::write(directory.join("auth.json"), "{}").unwrap();
        Some(Self { program, directory })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(["--storage-driver=vfs", "--root"])
            .arg(self.directory.join("root"))
            .arg("--runroot")
            .arg(self.directory.join("run"))
            .args(arguments)
            .env("HOME", &self.directory)
            .env("REGISTRY_AUTH_FILE", self.directory.join("auth.json"));
        run(&mut command, COMMAND)
    }
}

impl Client for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Result<String> {
        self.run(&[
            "login",
            "--tls-verify=false",
            "-u",
            name,
            "-p",
            password,
            host,
        ])
    }

    fn logout(&self, host: &str) -> Result<String> {
        self.run(&["logout", host])
    }

    fn load(&self, image: &Image, name: &str) -> Result<()> {
        let archive = self.directory.join("pushed.tar");
        image.write_docker_archive(&archive, name)?;
        self.run(&["load", "--input", &archive.display().to_string()])?;
        Ok(())
    }

    fn push(&self, name: &str) -> Result<String> {
        self.run(&["push", "--tls-verify=false", name])
    }

    fn pull(&self, name: &str) -> Result<String> {
        self.run(&["rmi", "--all", "--force"])?;
        self.run(&["pull", "--tls-verify=false", name])
    }
}

/// docker, which takes any registry on this machine without TLS.
struct DockerLogin {
    daemon: Docker,
    archive: PathBuf,
}

impl Client for DockerLogin {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn login(&self, host: &str, name: &str, password: &str) -> Result<String> {
        self.daemon
            .docker(&["login", "-u", name, "-p", password, host])
    }

    fn logout(&self, host: &str) -> Result<String> {
        self.daemon.docker(&["logout", host])
    }

    fn load(&self, image: &Image, name: &str) -> Result<()> {
        image.write_docker_archive(&self.archive, name)?;
        self.daemon
            .docker(&["load", "--input", &self.archive.display().to_string()])?;
        Ok(())
    }

    fn push(&self, name: &str) -> Result<String> {
        self.daemon.docker(&["push", name])
    }

    fn pull(&self, name: &str) -> Result<String> {
        self.daemon.docker(&["image", "rm", "--force", name])?;
        self.daemon
            .docker(&["image", "prune", "--all", "--force"])?;
        self.daemon.docker(&["pull", name])
    }
}
