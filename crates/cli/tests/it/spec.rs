//! The OCI distribution specification, 1.1.1 and its main branch, and Docker's registry API: one test
//! for each thing that a registry must or should do, over HTTP against the running binary.
//!
//! Tests that run at the same time share one server; each has a repository of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blobs;
mod chunks;
mod deleting;
mod errors;
mod lists;
mod manifests;
mod pulling;
mod referrers;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use serde_json::{Value, json};
use wharfinger_testkit::{
    Blob, Client, Image, RegistryConfig, Request, Response, Scratch, Server, media_types,
};

/// A server, as long as a test uses it.
struct Shared {
    address: SocketAddr,
    id: u32,
    _server: Server,
    scratch: Scratch,
}

/// The servers that run, by the variables that they were started with.
static RUNNING: LazyLock<Mutex<HashMap<String, Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// A client of a server, with a repository of its own.
pub(crate) struct Subject {
    shared: Arc<Shared>,
    pub(crate) client: Client,
    repository: &'static str,
}

impl Subject {
    /// A registry that allows deletes.
    pub(crate) fn new(repository: &'static str) -> Self {
        Self::with(repository, &[])
    }

    /// A registry with these variables besides.
    pub(crate) fn with(repository: &'static str, variables: &[(&str, &str)]) -> Self {
        let key = format!("{variables:?}");
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = running
            .get(&key)
            .and_then(Weak::upgrade)
            .unwrap_or_else(|| {
                let shared = Arc::new(start(variables));
                running.insert(key, Arc::downgrade(&shared));
                shared
            });
        let client = Client::new(shared.address);
        Self {
            shared,
            client,
            repository,
        }
    }

    /// A registry that no other test uses.
    pub(crate) fn alone(repository: &'static str, variables: &[(&str, &str)]) -> Self {
        let shared = Arc::new(start(variables));
        let client = Client::new(shared.address);
        Self {
            shared,
            client,
            repository,
        }
    }

    /// How much memory the process has, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.shared.id)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    }

    /// The directory of the data.
    pub(crate) fn root(&self) -> PathBuf {
        self.shared.scratch.join("data/docker/registry/v2")
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.shared.scratch.join("log")).unwrap()
    }

    pub(crate) fn send(&mut self, request: &Request) -> Response {
        self.client.send(request).unwrap()
    }

    /// Asks for something of the repository.
    pub(crate) fn ask(&mut self, method: &str, below: &str) -> Response {
        let target = self.target(below);
        self.send(&Request::new(method, target))
    }

    pub(crate) fn get(&mut self, below: &str) -> Response {
        self.ask("GET", below)
    }

    pub(crate) fn target(&self, below: &str) -> String {
        format!("/v2/{}/{below}", self.repository)
    }

    /// Starts an upload and returns where it goes on.
    pub(crate) fn start(&mut self) -> String {
        let started = self.ask("POST", "blobs/uploads/").expect(202).unwrap();
        location(&started)
    }

    pub(crate) fn push_blob(&mut self, blob: &Blob) {
        let below = format!("blobs/uploads/?digest={}", blob.digest);
        let request = Request::new("POST", self.target(&below)).body(&*blob.bytes);
        self.send(&request).expect(201).unwrap();
    }

    pub(crate) fn put_manifest(&mut self, reference: &str, manifest: &Blob) -> Response {
        let request = Request::new("PUT", self.target(&format!("manifests/{reference}")))
            .header("Content-Type", manifest.media_type.as_str())
            .body(&*manifest.bytes);
        self.send(&request)
    }

    /// Pushes an image under a tag.
    pub(crate) fn push_image(&mut self, tag: &str, image: &Image) {
        for blob in image.blobs() {
            self.push_blob(blob);
        }
        self.put_manifest(tag, &image.manifest).expect(201).unwrap();
    }

    /// Pushes an index of nothing under a tag: the smallest manifest.
    pub(crate) fn push_index(&mut self, reference: &str, fields: Value) -> Blob {
        let index = index(fields);
        let reference = match reference {
            "" => index.digest.clone(),
            tag => tag.to_owned(),
        };
        self.put_manifest(&reference, &index).expect(201).unwrap();
        index
    }
}

fn start(variables: &[(&str, &str)]) -> Shared {
    let scratch = Scratch::new("spec").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let file = scratch.join("config.yml");
    config.write(&file).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let arguments = vec!["serve".into(), file.into()];
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    let log = scratch.join("log");
    let mut server = Server::start(binary, arguments, variables, address, &log).unwrap();
    Shared {
        address,
        id: server.process().unwrap().id(),
        _server: server,
        scratch,
    }
}

/// An index of nothing with further fields.
pub(crate) fn index(fields: Value) -> Blob {
    let mut index = json!({
        "schemaVersion": 2, "mediaType": media_types::INDEX, "manifests": [],
    });
    let Value::Object(fields) = fields else {
        panic!("{fields} are no fields");
    };
    index.as_object_mut().unwrap().extend(fields);
    Blob::new(media_types::INDEX, index.to_string().into_bytes())
}

/// The path and query of an answer's location, which is absolute.
#[track_caller]
fn location(response: &Response) -> String {
    let location = response.header("location").unwrap();
    let (_, rest) = location.split_once("://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

fn path_of(location: &str) -> &str {
    location.split('?').next().unwrap()
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// All values of a header.
fn values<'a>(response: &'a Response, name: &'a str) -> Vec<&'a str> {
    let headers = response.head.headers.iter();
    let values = headers.filter(move |(key, _)| key.eq_ignore_ascii_case(name));
    values.map(|(_, value)| value.as_str()).collect()
}

/// The answer is an OCI error with this status and code.
#[track_caller]
pub(crate) fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{}", response.text());
    assert_eq!(
        json_of(response)["errors"][0]["code"],
        code,
        "{}",
        response.text()
    );
}

fn sha512_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hex = sha2::Sha512::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha512:{hex}")
}
