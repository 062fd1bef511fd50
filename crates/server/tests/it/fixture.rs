//! A running server, and what tests ask of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use wharfinger_auth::{Gate, Open};
use wharfinger_driver::{
    Driver, FaultPlan, Faulty, Filesystem, FilesystemOptions, Memory, MemoryOptions, Method,
};
use wharfinger_runtime::{Runtime, Secret};
use wharfinger_server::{
    Config, Event, EventAction, EventSink, Health, HttpMetrics, Parts, Server,
};
use wharfinger_store::{Store, StoreOptions};
use wharfinger_testkit::{Blob, Client, Connection, Request, Response, Scratch, eventually};

/// Every test's repository, unless it needs two.
pub(crate) const UPLOADS: &str = "/v2/library/thing/blobs/uploads/";

/// 3 MiB: more than is gathered before the first of it is written.
pub(crate) const UNDER_WAY: usize = 3 * 1024 * 1024;

/// A server with its own store.
pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) events: Arc<Recorder>,
    calls: Faulty,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    running: Option<tokio::task::JoinHandle<()>>,
    /// Taken at the end.
    tokio: Option<tokio::runtime::Runtime>,
    _scratch: Option<Scratch>,
}

impl Fixture {
    pub(crate) fn memory() -> Self {
        Self::over(Arc::new(Memory::new()))
    }

    pub(crate) fn s3_like() -> Self {
        let options = MemoryOptions {
            s3_like: true,
            part_bytes: 1000,
        };
        Self::over(Arc::new(Memory::with_options(options)))
    }

    pub(crate) fn filesystem() -> Self {
        let scratch = Scratch::new("server").unwrap();
        let options = FilesystemOptions::new(scratch.path());
        let driver = Filesystem::open(options, Runtime::new(4)).unwrap();
        let mut fixture = Self::over(Arc::new(driver));
        fixture._scratch = Some(scratch);
        fixture
    }

    pub(crate) fn over(driver: Arc<dyn Driver>) -> Self {
        Self::with(driver, Vec::new(), |_| {})
    }

    /// Starts a server that allows deletes, unless `configure` says otherwise.
    pub(crate) fn with(
        driver: Arc<dyn Driver>,
        sinks: Vec<Arc<dyn EventSink>>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::guarded(driver, sinks, Gate::new(Arc::new(Open)), configure)
    }

    /// Starts a server in memory that asks `gate`.
    pub(crate) fn with_gate(gate: Gate) -> Self {
        Self::guarded(Arc::new(Memory::new()), Vec::new(), gate, |_| {})
    }

    /// Starts a server that `gate` guards.
    pub(crate) fn guarded(
        driver: Arc<dyn Driver>,
        mut sinks: Vec<Arc<dyn EventSink>>,
        gate: Gate,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let runtime = Runtime::new(4);
        let calls = Faulty::new(driver, FaultPlan::new());
        let driver: Arc<dyn Driver> = Arc::new(calls.clone());
        let secret = Secret::new(b"a secret of the wharf".to_vec());
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), secret.clone());
        config.delete_enabled = true;
        config.drain_timeout = Duration::from_secs(10);
        configure(&mut config);
        let options = StoreOptions::new(secret);
        let store = Store::new(Arc::clone(&driver), None, runtime.clone(), options);
        let events = Arc::new(Recorder::default());
        sinks.push(Arc::clone(&events) as Arc<dyn EventSink>);
        let codes = wharfinger_server::codes();
        let parts = Parts {
            store,
            gate,
            runtime: runtime.clone(),
            metrics: Arc::new(HttpMetrics::new(&codes)),
            health: Arc::new(Health::new()),
            codes,
            events: sinks,
        };
        let server = tokio.block_on(Server::bind(config, parts)).unwrap();
        let address = server.local_addrs()[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let running = {
            let _entered = tokio.enter();
            runtime
                .tasks
                .spawn(server.run(async move { drop(stopped.await) }))
        };
        Self {
            address,
            driver,
            events,
            calls,
            runtime,
            stop: Some(stop),
            running: Some(running),
            tokio: Some(tokio),
            _scratch: None,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Sends one request over a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Response {
        self.client().send(request).unwrap()
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.send(&Request::new("GET", target))
    }

    pub(crate) fn head(&self, target: &str) -> Response {
        self.send(&Request::new("HEAD", target))
    }

    pub(crate) fn delete(&self, target: &str) -> Response {
        self.send(&Request::new("DELETE", target))
    }

    /// Starts an upload and returns its location.
    pub(crate) fn start(&self) -> String {
        let response = self
            .send(&Request::new("POST", UPLOADS))
            .expect(202)
            .unwrap();
        target(&response)
    }

    /// Sends one PATCH and returns the next location.
    pub(crate) fn patch(&self, location: &str, bytes: &[u8]) -> String {
        let request = Request::new("PATCH", location).body(bytes);
        target(&self.send(&request).expect(202).unwrap())
    }

    pub(crate) fn put(&self, location: &str, digest: &str, bytes: &[u8]) -> Response {
        let request = Request::new("PUT", format!("{location}&digest={digest}")).body(bytes);
        self.send(&request)
    }

    /// Pushes a blob to a repository.
    pub(crate) fn push(&self, repository: &str, blob: &Blob) {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", blob.digest);
        self.send(&Request::new("POST", path).body(blob.bytes.clone()))
            .expect(201)
            .unwrap();
    }

    pub(crate) fn put_manifest(&self, path: &str, manifest: &Blob) -> Response {
        let request = Request::new("PUT", path)
            .header("Content-Type", manifest.media_type.as_str())
            .body(manifest.bytes.clone());
        self.send(&request)
    }

    /// Sends the head of `request`, which announces more than [`UNDER_WAY`] bytes, and that many of
    /// them; returns once the server has begun to write them.
    pub(crate) fn begin(&self, request: &Request, bytes: &[u8]) -> Connection {
        let appends = || {
            let calls = self.calls.calls();
            calls
                .iter()
                .filter(|call| call.method == Method::Append)
                .count()
        };
        let before = appends();
        let mut connection = self.client().connect().unwrap();
        connection.send_head(request).unwrap();
        connection.send(&bytes[..UNDER_WAY]).unwrap();
        eventually!(appends() > before);
        connection
    }

    /// Asks how many bytes an upload has, whatever the token says.
    pub(crate) fn range_of(&self, location: &str) -> Option<String> {
        let path = location.split('?').next().unwrap();
        let response = self.get(path);
        response
            .header("range")
            .map(str::to_owned)
            .filter(|_| response.status() == 204)
    }

    /// Asks the server to end, without waiting.
    pub(crate) fn stop(&mut self) {
        self.stop.take();
    }

    /// Waits until the server has ended, and all it left to do is done.
    pub(crate) fn ended(&mut self) {
        let running = self.running.take().unwrap();
        self.tokio().block_on(running).unwrap();
        self.runtime.tasks.shut_down();
        self.tokio().block_on(self.runtime.tasks.ended());
    }

    fn tokio(&self) -> &tokio::runtime::Runtime {
        self.tokio.as_ref().unwrap()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio().block_on(future)
    }

    /// The paths of everything in the store.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk<'a>(
            driver: &'a dyn Driver,
            directory: String,
            found: &'a mut Vec<String>,
        ) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
            Box::pin(async move {
                let page = driver.list(&directory.parse().unwrap(), None, 1000).await;
                for entry in page.map(|page| page.entries).unwrap_or_default() {
                    let path = format!("{directory}/{}", entry.name);
                    match entry.kind {
                        wharfinger_driver::EntryKind::File => found.push(path),
                        wharfinger_driver::EntryKind::Directory => walk(driver, path, found).await,
                    }
                }
            })
        }
        let mut found = Vec::new();
        self.block_on(walk(
            &*self.driver,
            "docker/registry/v2".to_owned(),
            &mut found,
        ));
        found
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.take();
        // A call that is told to hang does so for ever.
        let tokio = self.tokio.take().unwrap();
        tokio.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Returns the path and query of an answer's location.
pub(crate) fn target(response: &Response) -> String {
    let location = response.header("location").unwrap();
    let (_, after) = location.split_once("://").unwrap();
    after[after.find('/').unwrap()..].to_owned()
}

/// Returns the codes of an answer's errors.
pub(crate) fn codes(response: &Response) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let errors = json["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts that an answer is an error with one code.
#[track_caller]
pub(crate) fn assert_refused(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{}", response.text());
    assert_eq!(codes(response), [code]);
    assert_eq!(
        response.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
}

/// Keeps what it hears of, in words.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// Returns what happened since it was last asked.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl EventSink for Recorder {
    fn accept(&self, event: &Event<'_>) {
        let action = match event.action {
            EventAction::Push => "push",
            EventAction::Pull => "pull",
            EventAction::Mount => "mount",
            EventAction::Delete => "delete",
        };
        let target = match event.target {
            wharfinger_server::Target::Blob {
                from: Some(from), ..
            } => format!("blob from {from}"),
            wharfinger_server::Target::Blob { .. } => "blob".to_owned(),
            wharfinger_server::Target::Manifest { .. } => "manifest".to_owned(),
            wharfinger_server::Target::Tag { .. } => "tag".to_owned(),
            _ => "other".to_owned(),
        };
        let (size, tag) = (event.target.size_bytes(), event.target.tag());
        let size = size.map(|size| format!(" of {size}")).unwrap_or_default();
        let tag = tag.map(|tag| format!(" {tag}")).unwrap_or_default();
        let text = format!("{} {action} {target}{tag}{size}", event.request.method());
        self.0
            .lock()
            .unwrap()
            .push(format!("{text} in {}", event.repository));
    }
}
