//! HTTP as operators set it up: TLS, HTTP/2, sockets and URLs, with curl and skopeo as clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sockets;
mod tls;
mod urls;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wharfinger_testkit::{Process, Scratch, Signal, eventually, free_port, run, tool};

/// No request of these tests takes longer.
const REQUEST: Duration = Duration::from_secs(30);

/// The binary under test with a configuration of its own.
pub(crate) struct Wharf {
    process: Process,
    pub(crate) port: u16,
    pub(crate) scratch: Scratch,
}

impl Wharf {
    /// Starts it on a free port, with these lines below `http`.
    fn start(scratch: Scratch, lines: &str) -> Self {
        let port = free_port();
        let addr = format!("addr: 127.0.0.1:{port}\n  {lines}");
        let config = write_config(&scratch, &addr);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        command.arg("serve").arg(config);
        Self::run(command, port, scratch)
    }

    /// Runs a command that becomes the binary, and waits until it listens.
    pub(crate) fn run(mut command: Command, port: u16, scratch: Scratch) -> Self {
        let process = Process::spawn(&mut command, &scratch.join("log")).unwrap();
        let mut wharf = Self {
            process,
            port,
            scratch,
        };
        eventually!({
            let is_up = wharf.log().contains(" listening ");
            is_up || !wharf.process.is_running()
        });
        assert!(wharf.process.is_running(), "{}", wharf.log());
        wharf
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.join("log")).unwrap()
    }

    /// Returns the URL of a path over TLS.
    fn https(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }
}

/// Writes a configuration with these lines below `http`, and returns its file.
fn write_config(scratch: &Scratch, http: &str) -> PathBuf {
    let file = scratch.join("config.yml");
    let root = scratch.join("data");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http:\n  secret: s\n  {http}\n",
        root.display()
    );
    fs::write(&file, text).unwrap();
    file
}

/// An answer to curl.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// `1.1` or `2`.
    version: String,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// curl, where it is installed.
struct Curl(PathBuf);

impl Curl {
    fn find() -> Option<Self> {
        tool("curl").map(Self)
    }

    /// Asks, and returns the answer, or what curl says in place of one.
    fn ask(&self, arguments: &[&str]) -> Result<Answer, String> {
        let scratch = Scratch::new("curl").unwrap();
        let (head, body) = (scratch.join("head"), scratch.join("body"));
        let mut command = Command::new(&self.0);
        command
            .args(["-sS", "-m", "20", "-w", "%{http_code} %{http_version}"])
            .arg("-D")
            .arg(&head)
            .arg("-o")
            .arg(&body)
            .args(arguments);
        // Somebody's own settings are not part of the test.
        command.env("HOME", scratch.path()).env("no_proxy", "*");
        let told = run(&mut command, REQUEST).map_err(|error| format!("{error:#}"))?;
        let (status, version) = told.trim().split_once(' ').unwrap();
        Ok(Answer {
            status: status.parse().unwrap(),
            version: version.to_owned(),
            head: fs::read_to_string(&head).unwrap(),
            // Nothing is written where nothing came.
            body: fs::read_to_string(&body).unwrap_or_default(),
        })
    }

    /// Pushes a blob and pulls it; returns the location that it was given.
    fn round_trip(&self, base: &str, arguments: &[&str]) -> String {
        let bytes = "x".repeat(100_000);
        let digest = wharfinger_testkit::sha256(bytes.as_bytes());
        let scratch = Scratch::new("blob").unwrap();
        let file = scratch.join("blob");
        fs::write(&file, &bytes).unwrap();
        let data = format!("@{}", file.display());
        let ask = |more: &[&str]| {
            let all: Vec<&str> = arguments.iter().chain(more).copied().collect();
            self.ask(&all).unwrap()
        };
        let start = ask(&["-X", "POST", &format!("{base}/v2/a/b/blobs/uploads/")]);
        assert_eq!(start.status, 202, "{start:?}");
        let location = start.header("location").unwrap();
        let location = if location.starts_with('/') {
            format!("{}{location}", origin(base))
        } else {
            location.to_owned()
        };
        let sent = ask(&["-X", "PATCH", "--data-binary", &data, &location]);
        assert_eq!(sent.status, 202, "{sent:?}");
        let location = sent.header("location").unwrap();
        let location = if location.starts_with('/') {
            format!("{}{location}", origin(base))
        } else {
            location.to_owned()
        };
        let put = ask(&["-X", "PUT", &format!("{location}&digest={digest}")]);
        assert_eq!(put.status, 201, "{put:?}");
        let blob = format!("{base}/v2/a/b/blobs/{digest}");
        let pulled = ask(&[&blob]);
        assert_eq!(pulled.body.len(), bytes.len());
        let head = ask(&["-I", &blob]);
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some("100000"))
        );
        put.header("location").unwrap().to_owned()
    }
}

/// Returns scheme and host of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").unwrap() + 3;
    url[host..]
        .find('/')
        .map_or(url, |slash| &url[..host + slash])
}

/// Returns a path as text.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
