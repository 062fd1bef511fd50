//! The content service: containerd's own suite for content stores, and containerds that have us as theirs.

mod node;
mod suite;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use wharfinger_testkit::{Image, Process, RegistryConfig, Scratch, tell, wait_until};

use self::node::Node;
use crate::setup::{machine, wharfinger};

/// A layer of some checkpoints, and one of none.
const LAYERS: [usize; 2] = [40 << 20, 70_000];

/// Nothing takes longer to come up on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// `wharfinger content serve` as a process of its own.
struct ContentServer {
    socket: PathBuf,
    process: Process,
    command: Vec<String>,
    log: PathBuf,
}

impl ContentServer {
    /// Starts it on the socket `NAME.sock`, over `root`.
    fn start(scratch: &Scratch, root: &Path, name: &str, mode: &str) -> Result<Self> {
        let socket = scratch.join(format!("{name}.sock"));
        let log = scratch.join(format!("{name}.log"));
        let text = |path: &Path| path.display().to_string();
        let words = ["content", "serve", "--mode", mode, "--socket"];
        let mut command: Vec<String> = words.map(str::to_owned).into();
        command.extend([text(&socket), "--root".to_owned(), text(root)]);
        let process = Self::spawn(&command, &log)?;
        let this = Self {
            socket,
            process,
            command,
            log,
        };
        this.wait()?;
        Ok(this)
    }

    fn spawn(command: &[String], log: &Path) -> Result<Process> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        Process::spawn(program.args(command), log)
    }

    fn wait(&self) -> Result<()> {
        let connects = || std::os::unix::net::UnixStream::connect(&self.socket).is_ok();
        ensure!(wait_until(STARTS, connects), "no content store came up");
        Ok(())
    }

    /// Kills it, and starts it anew.
    fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = Self::spawn(&self.command, &self.log)?;
        self.wait()
    }
}

/// How many bodies of blobs a registry has sent, by its access log.
fn blobs_sent(log: &Path) -> Result<usize> {
    let log = std::fs::read_to_string(log)?;
    let sent = log
        .lines()
        .filter(|line| line.contains("method=GET") && line.contains("/blobs/"));
    Ok(sent.count())
}

#[test]
fn nodes_take_from_the_registry_beside_them_and_collect_only_their_own() {
    let _machine = machine();
    let scratch = Scratch::new("nodes").unwrap();
    let root = scratch.join("data");
    let server = wharfinger(&RegistryConfig::new(&root), &scratch).unwrap();
    let image = Image::build(4000, &LAYERS);
    let mut registry = server.registry();
    registry.push_image("nodes/app", "v1", &image).unwrap();
    let name = format!("{}/nodes/app:v1", server.host());

    let stores =
        ["one", "two"].map(|name| ContentServer::start(&scratch, &root, name, "plugin").unwrap());
    let mut nodes = Vec::new();
    for (store, name) in stores.iter().zip(["one", "two"]) {
        let Some(node) = Node::start(&scratch, name, &store.socket).unwrap() else {
            return;
        };
        nodes.push(node);
    }
    for node in &nodes {
        node.pull(&name).unwrap();
        for blob in image.blobs() {
            node.check(&blob.digest, &blob.bytes).unwrap();
        }
        assert_eq!(node.list().unwrap().len(), 1 + image.blobs().count());
    }
    assert_eq!(blobs_sent(server.log()).unwrap(), 0, "bytes were moved");

    // Only what one has itself goes when it collects.
    nodes[0].ctr(&["images", "rm", "--sync", &name]).unwrap();
    nodes[0].ctr(&["content", "prune", "references"]).unwrap();
    assert!(wait_until(STARTS, || nodes[0].list().unwrap().is_empty()));
    assert_eq!(nodes[1].list().unwrap().len(), 1 + image.blobs().count());
    for blob in image.blobs() {
        nodes[1].check(&blob.digest, &blob.bytes).unwrap();
    }
    registry.check_image("nodes/app", "v1", &image).unwrap();
    tell("content: two containerds took an image without a byte, and one forgot it alone");
}

#[test]
fn a_containerd_imports_pushes_and_writes_with_us_as_its_store() {
    let _machine = machine();
    let scratch = Scratch::new("node").unwrap();
    let server = wharfinger(&RegistryConfig::new(&scratch.join("registry")), &scratch).unwrap();
    let store = ContentServer::start(&scratch, &scratch.join("data"), "alone", "plugin").unwrap();
    let Some(node) = Node::start(&scratch, "alone", &store.socket).unwrap() else {
        return;
    };
    let image = Image::build(4001, &LAYERS);
    let name = format!("{}/node/app:v1", server.host());
    let archive = scratch.join("image.tar");
    image.write_archive(&archive, &name).unwrap();
    let file = archive.display().to_string();
    node.ctr(&["images", "import", "--no-unpack", &file])
        .unwrap();
    node.ctr(&["images", "push", "--plain-http", &name])
        .unwrap();
    server
        .registry()
        .check_image("node/app", "v1", &image)
        .unwrap();
    let exported = scratch.join("exported.tar").display().to_string();
    node.ctr(&["images", "export", &exported, &name]).unwrap();

    let bytes = image.layers[1].bytes.repeat(50);
    let digest = wharfinger_testkit::sha256(&bytes);
    node.ingest("by-hand", &digest, &bytes).unwrap();
    node.check(&digest, &bytes).unwrap();
    node.ctr(&["content", "label", &digest, "key=value"])
        .unwrap();
    let push = ["content", "push-object", "--plain-http"];
    let object = format!("{}/node/object:v1", server.host());
    let media_type = "application/octet-stream";
    node.ctr(&[&push[..], &[&object, &digest, media_type]].concat())
        .unwrap();
    node.ctr(&["content", "rm", &digest]).unwrap();
    node.ctr(&["images", "rm", "--sync", &name]).unwrap();
    assert!(wait_until(STARTS, || node.list().unwrap().is_empty()));
}

#[test]
fn a_pull_goes_on_where_it_was_when_the_store_was_killed() {
    let _machine = machine();
    let scratch = Scratch::new("killed-node").unwrap();
    let server = wharfinger(&RegistryConfig::new(&scratch.join("registry")), &scratch).unwrap();
    let image = Image::build(4002, &[160 << 20]);
    server
        .registry()
        .push_image("node/app", "v1", &image)
        .unwrap();
    let name = format!("{}/node/app:v1", server.host());
    let data = scratch.join("data");
    let mut store = ContentServer::start(&scratch, &data, "killed", "plugin").unwrap();
    let Some(node) = Node::start(&scratch, "killed", &store.socket).unwrap() else {
        return;
    };
    let mut pull = node.start_pull(&name).unwrap();
    let ingests = data.join("docker/registry/v2/_wharfinger/tenants/killed/ingests");
    let has_checkpoint = || {
        let entries = std::fs::read_dir(&ingests).into_iter().flatten().flatten();
        let markers = entries.map(|entry| entry.path().join("wharfinger"));
        // A manifest has none, but is marked as well when it is committed.
        let mut saved = markers.filter_map(|marker| std::fs::read_to_string(marker).ok());
        saved.any(|marker| marker.contains("\"synced\""))
    };
    assert!(wait_until(STARTS, has_checkpoint), "nothing was saved");
    // containerd's own client gives up its lease when a pull fails, and then what it had is aborted;
    // one that is killed does not.
    pull.kill().unwrap();
    store.kill_and_restart().unwrap();
    // The daemon comes back by itself, after a pause; a pull that fails before would abort what is there.
    assert!(wait_until(STARTS, || node.list().is_ok()));
    node.pull(&name).unwrap();
    node.check(&image.layers[0].digest, &image.layers[0].bytes)
        .unwrap();
    let log = std::fs::read_to_string(server.log()).unwrap();
    let resumed = log
        .lines()
        .filter(|line| line.contains("/blobs/") && line.contains("status=206"));
    assert_eq!(resumed.count(), 1, "the pull began anew");
}

#[test]
fn a_store_passes_on_to_another_and_ends_when_it_is_asked() {
    let _machine = machine();
    let scratch = Scratch::new("chain").unwrap();
    let store = ContentServer::start(&scratch, &scratch.join("data"), "kept", "plugin").unwrap();
    let socket = scratch.join("passed-on.sock");
    let mut between = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    between
        .args(["content", "serve", "--socket"])
        .arg(&socket)
        .arg("--upstream")
        .arg(&store.socket);
    let mut between = Process::spawn(&mut between, &scratch.join("passed-on.log")).unwrap();
    assert!(wait_until(STARTS, || socket.exists()));
    let Some(node) = Node::start(&scratch, "chain", &socket).unwrap() else {
        return;
    };
    let bytes = vec![7; 5 << 20];
    let digest = wharfinger_testkit::sha256(&bytes);
    node.ingest("by-hand", &digest, &bytes).unwrap();
    node.check(&digest, &bytes).unwrap();
    drop(node);
    let status = between.terminate(STARTS).unwrap();
    assert!(status.success(), "{status}");
    assert!(!socket.exists(), "the socket stays");
}
