//! docker, podman and skopeo log in, push and pull over TLS; and fail with their reason when they may not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use wharfinger_testkit::{
    Authority, Image, Scratch, Signed, free_port, outer_address, run, setting, tell, tool,
};

use super::{CHEAP, lines};
use crate::clients::COMMAND;
use crate::clients::docker::Docker;
use crate::http::Wharf;
use crate::setup::machine;

const LAYERS: [usize; 2] = [2 << 10, 300_000];

const PASSWORD: &str = "s3cret with spaces: ü";

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

/// What clients say of a certificate whose time is over, and what they say of an authority that is not theirs.
const EXPIRED: &str = "certificate has expired";
const UNKNOWN: &str = "certificate signed by unknown authority";

fn assert_told(told: Result<String>, words: &str, story: &str) {
    let told = told.expect_err(story).to_string();
    assert!(told.contains(words), "{story}: {told}");
}

/// Starts a registry over TLS, on every address of this machine, that lets alice in.
fn start(certificate: &Signed) -> Wharf {
    let scratch = Scratch::new("secured").unwrap();
    let (certificate, key) = certificate.write(scratch.path(), "server").unwrap();
    let users = scratch.join("htpasswd");
    fs::write(&users, lines(&[("alice", PASSWORD)], CHEAP)).unwrap();
    let port = free_port();
    let config = scratch.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         auth: {{htpasswd: {{realm: the wharf, path: {}}}}}\n\
         http: {{addr: ':{port}', secret: s, tls: {{certificate: {}, key: {}}}}}\n",
        scratch.join("data").display(),
        users.display(),
        certificate.display(),
        key.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command.arg("serve").arg(config);
    Wharf::run(command, port, scratch)
}

#[test]
fn clients_log_in_push_and_pull_over_tls_and_are_refused_with_a_reason() {
    let _machine = machine();
    let scratch = Scratch::new("logins").unwrap();
    // docker trusts whoever serves on a loopback address.
    let Some(address) = outer_address() else {
        assert!(setting("CI").is_none(), "this machine has no address");
        return tell("skipped: this machine has no address but those of its loopback interface");
    };
    let address = address.to_string();
    let authority = Authority::new("harbour").unwrap();
    let trusted = authority.write(&scratch.make("trusted").unwrap()).unwrap();
    let trusted = Trusted(trusted);
    let good = start(&authority.server_at(&address).unwrap());
    let expired = start(&authority.expired_server_at(&address).unwrap());
    let stranger = Authority::new("stranger").unwrap();
    let strange = start(&stranger.server_at(&address).unwrap());
    let [host, expired, strange] =
        [&good, &expired, &strange].map(|it| format!("{address}:{}", it.port));
    let clients = [
        Skopeo::find(&scratch, &trusted).map(|it| Box::new(it) as Box<dyn Client>),
        Podman::find(&scratch, &trusted).map(|it| Box::new(it) as Box<dyn Client>),
        DockerLogin::find(&scratch, &trusted).map(|it| Box::new(it) as Box<dyn Client>),
    ];
    for (seed, client) in (2000..).zip(clients.iter().flatten()) {
        let who = client.name();
        let name = format!("{host}/logins/{who}:v1");
        client.load(&Image::build(seed, &LAYERS), &name).unwrap();
        assert_told(client.login(&expired, "alice", PASSWORD), EXPIRED, who);
        assert_told(client.pull(&name.replace(&host, &expired)), EXPIRED, who);
        assert_told(client.login(&strange, "alice", PASSWORD), UNKNOWN, who);
        assert_denied(client.login(&host, "alice", "wrong"), who);
        assert_denied(client.login(&host, "mallory", PASSWORD), who);
        client.load(&Image::build(seed, &LAYERS), &name).unwrap();
        assert_denied(client.push(&name), who);
        client.login(&host, "alice", PASSWORD).unwrap();
        client.push(&name).unwrap();
        client.pull(&name).unwrap();
        client.logout(&host).unwrap();
        assert_denied(client.pull(&name), who);
        tell(&format!(
            "access: {who} logged in, pushed, pulled and was refused, over TLS"
        ));
    }
}

/// The certificate of the authority that clients trust.
struct Trusted(PathBuf);

impl Trusted {
    /// The directory that holds it, and nothing else.
    fn directory(&self) -> String {
        self.0.parent().unwrap().display().to_string()
    }
}

/// skopeo, from and to directories.
struct Skopeo {
    program: PathBuf,
    directory: PathBuf,
    certificates: String,
}

impl Skopeo {
    fn find(scratch: &Scratch, trusted: &Trusted) -> Option<Self> {
        Some(Self {
            program: tool("skopeo")?,
            directory: scratch.make("skopeo-login").unwrap(),
            certificates: trusted.directory(),
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
        let login = ["login", "--cert-dir", &self.certificates];
        self.run(&[&login[..], &["-u", name, "-p", password, host]].concat())
    }

    fn logout(&self, host: &str) -> Result<String> {
        self.run(&["logout", host])
    }

    fn load(&self, image: &Image, _name: &str) -> Result<()> {
        image.write_layout(&self.directory.join("pushed"), "pushed")
    }

    fn push(&self, name: &str) -> Result<String> {
        let to = format!("docker://{name}");
        let copy = ["--insecure-policy", "copy", "--dest-cert-dir"];
        self.run(&[&copy[..], &[&self.certificates, &self.pushed(), &to]].concat())
    }

    fn pull(&self, name: &str) -> Result<String> {
        let from = format!("docker://{name}");
        let to = format!("dir:{}", self.directory.join("pulled").display());
        let copy = ["--insecure-policy", "copy", "--src-cert-dir"];
        self.run(&[&copy[..], &[&self.certificates, &from, &to]].concat())
    }
}

/// podman, with a storage of its own.
struct Podman {
    program: PathBuf,
    directory: PathBuf,
    certificates: String,
}

impl Podman {
    fn find(scratch: &Scratch, trusted: &Trusted) -> Option<Self> {
        let program = tool("podman")?;
        let directory = scratch.make("podman-login").unwrap();
        // It wants the file to be there also where nobody has logged in.
        fs::write(directory.join("auth.json"), "{}").unwrap();
        Some(Self {
            program,
            directory,
            certificates: trusted.directory(),
        })
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
        let login = ["login", "--cert-dir", &self.certificates];
        self.run(&[&login[..], &["-u", name, "-p", password, host]].concat())
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
        self.run(&["push", "--cert-dir", &self.certificates, name])
    }

    fn pull(&self, name: &str) -> Result<String> {
        self.run(&["rmi", "--all", "--force"])?;
        self.run(&["pull", "--cert-dir", &self.certificates, name])
    }
}

/// docker, whose daemon is the one that asks the registry.
struct DockerLogin {
    daemon: Docker,
    archive: PathBuf,
}

impl DockerLogin {
    fn find(scratch: &Scratch, trusted: &Trusted) -> Option<Self> {
        let daemon = Docker::start_with(scratch, &[("SSL_CERT_FILE", &trusted.0)]);
        Some(Self {
            daemon: daemon.unwrap()?,
            archive: scratch.join("docker.tar"),
        })
    }
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
