//! Who may do what: every path, with every method, for everybody who may ask.
//!
//! The cells come from the router. A route without a sample here does not compile, nor does an action
//! without a rule.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::oneshot;
use wharfinger_auth::{Authenticator, Htpasswd, Known, Open, Silly};
use wharfinger_driver::{FaultPlan, Faulty, Memory};
use wharfinger_oci::{Algorithm, Digest, Reference, Route};
use wharfinger_runtime::{Runtime, Secret};
use wharfinger_store::{Store, StoreOptions};
use wharfinger_testkit::{Blob, Client, Image, Request, Response, Scratch};

use super::*;
use crate::config::Config;
use crate::server::{Parts, Server};

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE",
];

/// How many kinds of routes [`kind`] tells apart.
const KINDS: usize = 11;

/// Tells the kinds of routes apart; each needs a sample.
fn kind(route: &Route) -> usize {
    match route {
        Route::Base => 0,
        Route::Catalog => 1,
        Route::Tags { .. } => 2,
        Route::Manifest { reference, .. } => match reference {
            Reference::Tag(_) => 3,
            Reference::Digest(_) => 4,
        },
        Route::Blob { .. } => 5,
        Route::Uploads { .. } => 6,
        Route::Upload { .. } => 7,
        Route::Referrers { .. } => 8,
        Route::Extensions { name: None } => 9,
        Route::Extensions { name: Some(_) } => 10,
    }
}

fn samples() -> Vec<Route> {
    let name = || "team/app".parse().unwrap();
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let manifest = |reference| Route::Manifest {
        name: name(),
        reference,
    };
    vec![
        Route::Base,
        Route::Catalog,
        Route::Tags { name: name() },
        manifest("v1".parse().unwrap()),
        manifest(digest.into()),
        Route::Blob {
            name: name(),
            digest,
        },
        Route::Uploads { name: name() },
        Route::Upload {
            name: name(),
            id: "1-2".parse().unwrap(),
        },
        Route::Referrers {
            name: name(),
            digest,
        },
        Route::Extensions { name: None },
        Route::Extensions { name: Some(name()) },
    ]
}

/// The rule of each action, written down a second time: what is needed in the repository or beyond.
fn rule(action: &Action) -> &'static [&'static str] {
    match action {
        Action::Front | Action::Ping(_) | Action::ListExtensions(_) => &[],
        Action::ListRepositories(_) => &["registry:catalog:*"],
        Action::ListTags(_)
        | Action::PullManifest(_)
        | Action::PullBlob(_)
        | Action::ListReferrers(_)
        | Action::ListRepositoryExtensions(_)
        | Action::ReadUpload(_) => &["repository:team/app:pull"],
        Action::PushManifest(_)
        | Action::StartUpload(_)
        | Action::WriteUpload(_)
        | Action::FinishUpload(_)
        | Action::CancelUpload(_) => &["repository:team/app:pull", "repository:team/app:push"],
        Action::DeleteManifest(_) | Action::DeleteTag(_) | Action::DeleteBlob(_) => {
            &["repository:team/app:delete"]
        }
    }
}

fn asked(method: &str, path: &str) -> Option<Action> {
    let method = http::Method::from_bytes(method.as_bytes()).unwrap();
    route(&method, path, &Query::new()).ok()
}

/// What the rule says of a cell; nothing is known to be needed where there is no action.
fn needed(method: &str, path: &str) -> &'static [&'static str] {
    asked(method, path).as_ref().map_or(&[], rule)
}

/// A registry with one image, and one user if `authenticator` says so.
struct Registry {
    client: Client,
    calls: Faulty,
    _stop: oneshot::Sender<()>,
    _tokio: tokio::runtime::Runtime,
}

impl Registry {
    fn start(
        authenticator: impl FnOnce(&Runtime) -> Option<Arc<dyn Authenticator>>,
        delete_enabled: bool,
    ) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let runtime = Runtime::new(2);
        let calls = Faulty::new(Arc::new(Memory::new()), FaultPlan::new());
        let secret = Secret::new(b"a secret".to_vec());
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), secret.clone());
        config.delete_enabled = delete_enabled;
        let options = StoreOptions::new(secret);
        let store = Store::new(Arc::new(calls.clone()), None, runtime.clone(), options);
        let gate = match authenticator(&runtime) {
            Some(authenticator) => Gate::new(Arc::new(Known)).with_authenticator(authenticator),
            None => Gate::new(Arc::new(Open)),
        };
        let codes = crate::codes();
        let parts = Parts {
            store,
            gate,
            runtime: runtime.clone(),
            metrics: Arc::new(crate::HttpMetrics::new(&codes)),
            health: Arc::new(crate::Health::new()),
            codes,
            events: Vec::new(),
        };
        let server = tokio.block_on(Server::bind(config, parts)).unwrap();
        let client = Client::new(server.local_addrs()[0]);
        let (stop, stopped) = oneshot::channel::<()>();
        let entered = tokio.enter();
        let running = server.run(async move { drop(stopped.await) });
        drop(runtime.tasks.spawn(running));
        drop(entered);
        Self {
            client,
            calls,
            _stop: stop,
            _tokio: tokio,
        }
    }

    /// Lets in alice with the password `right`.
    fn with_alice(delete_enabled: bool) -> Self {
        let scratch = Scratch::new("matrix").unwrap();
        let file = scratch.join("htpasswd");
        let hash = bcrypt::hash("right", 4).unwrap();
        std::fs::write(&file, format!("alice:{hash}\n")).unwrap();
        let open = |runtime: &Runtime| {
            let htpasswd = Htpasswd::open("wharf", file, 1, runtime).unwrap();
            Some(Arc::new(htpasswd) as Arc<dyn Authenticator>)
        };
        Self::start(open, delete_enabled)
    }

    fn send(&mut self, request: &Request, who: &Who) -> Response {
        let request = who.headers().fold(request.clone(), |request, value| {
            request.header("Authorization", value)
        });
        self.client.send(&request).unwrap()
    }

    fn push(&mut self, image: &Image, who: &Who) {
        for blob in image.blobs() {
            let path = format!("/v2/team/app/blobs/uploads/?digest={}", blob.digest);
            let request = Request::new("POST", path).body(blob.bytes.clone());
            self.send(&request, who).expect(201).unwrap();
        }
        let manifest: &Blob = &image.manifest;
        let request = Request::new("PUT", "/v2/team/app/manifests/v1")
            .header("Content-Type", manifest.media_type.as_str())
            .body(manifest.bytes.clone());
        self.send(&request, who).expect(201).unwrap();
    }
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    Empty,
    Alice,
    WrongPassword,
    EmptyPassword,
    UnknownUser,
    Token,
    Twice,
}

const NOBODIES: [Who; 7] = [
    Who::Anonymous,
    Who::Empty,
    Who::WrongPassword,
    Who::EmptyPassword,
    Who::UnknownUser,
    Who::Token,
    Who::Twice,
];

impl Who {
    fn headers(self) -> impl Iterator<Item = String> {
        let basic = |login: &str| format!("Basic {}", STANDARD.encode(login));
        match self {
            Self::Anonymous => Vec::new(),
            Self::Empty => vec![String::new()],
            Self::Alice => vec![basic("alice:right")],
            Self::WrongPassword => vec![basic("alice:wrong")],
            Self::EmptyPassword => vec![basic("alice:")],
            Self::UnknownUser => vec![basic("mallory:right")],
            Self::Token => vec!["Bearer alice:right".to_owned()],
            Self::Twice => vec![basic("alice:right"), basic("alice:right")],
        }
        .into_iter()
    }
}

#[track_caller]
fn assert_challenged(response: &Response, needed: &[&str], cell: &str) {
    assert_eq!(response.status(), 401, "{cell}");
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge, Some(r#"Basic realm="wharf""#), "{cell}");
    if response.body.is_empty() {
        return assert!(cell.starts_with("HEAD "), "{cell}");
    }
    let json: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(json["errors"][0]["code"], "UNAUTHORIZED", "{cell}");
    let words = |record: &Value| {
        let word = |key: &str| record[key].as_str().unwrap().to_owned();
        [word("Type"), word("Name"), word("Action")].join(":")
    };
    let detail = json["errors"][0]["detail"].as_array();
    let told: Vec<_> = detail.map_or_else(Vec::new, |it| it.iter().map(words).collect());
    assert_eq!(told, needed, "{cell}");
}

#[test]
fn every_kind_of_route_has_a_sample_and_every_action_its_rule() {
    let mut kinds: Vec<_> = samples().iter().map(kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, (0..KINDS).collect::<Vec<_>>());
    let mut actions = 0;
    for path in samples().iter().map(ToString::to_string) {
        for method in METHODS {
            let Some(action) = asked(method, &path) else {
                continue;
            };
            let accesses = action.guarded().unwrap().accesses();
            let needed: Vec<_> = accesses.iter().map(ToString::to_string).collect();
            assert_eq!(needed, rule(&action), "{method} {path}");
            actions += 1;
        }
    }
    assert!(actions > 20, "{actions}");
}

#[test]
fn nobody_but_a_user_reaches_anything_and_a_user_everything() {
    let (mut registry, mut open) = (Registry::with_alice(true), Registry::start(|_| None, true));
    let image = Image::build(1, &[2048]);
    registry.push(&image, &Who::Alice);
    open.push(&image, &Who::Anonymous);
    let before = registry.calls.calls().len();
    let paths: Vec<_> = samples().iter().map(ToString::to_string).collect();
    for path in &paths {
        for method in METHODS {
            for who in NOBODIES {
                let response = registry.send(&Request::new(method, path.as_str()), &who);
                assert_challenged(
                    &response,
                    needed(method, path),
                    &format!("{method} {path} {who:?}"),
                );
            }
        }
    }
    // Nothing of it came to where content lies.
    assert_eq!(registry.calls.calls().len(), before);
    for path in &paths {
        for method in METHODS {
            let request = Request::new(method, path.as_str());
            let known = registry.send(&request, &Who::Alice).status();
            let expected = open.send(&request, &Who::Anonymous).status();
            assert_eq!(known, expected, "{method} {path}");
            assert!(![401, 403].contains(&known), "{method} {path}");
        }
    }
}

#[test]
fn the_front_page_is_for_everybody_and_tells_nothing() {
    let mut registry = Registry::with_alice(true);
    for who in NOBODIES.into_iter().chain([Who::Alice]) {
        for method in ["GET", "HEAD"] {
            let response = registry.send(&Request::new(method, "/"), &who);
            assert_eq!(
                (response.status(), response.body.len()),
                (200, 0),
                "{who:?}"
            );
        }
        let post = registry.send(&Request::new("POST", "/"), &who).status();
        assert_eq!(post, if who == Who::Alice { 405 } else { 401 });
    }
}

/// Another way to write a path must not be another way in.
#[test]
fn no_alias_of_a_route_is_open() {
    let mut registry = Registry::with_alice(true);
    registry.push(&Image::build(1, &[2048]), &Who::Alice);
    let before = registry.calls.calls().len();
    let mut targets = vec![
        "*".to_owned(),
        "//".to_owned(),
        "/.".to_owned(),
        "/nothing".to_owned(),
    ];
    for path in samples().iter().map(ToString::to_string) {
        let inner = path.trim_start_matches('/');
        targets.extend([
            format!("{path}/"),
            format!("//{inner}"),
            format!("/{}", inner.replace('/', "//")),
            format!("/./{inner}"),
            format!("/x/../{inner}"),
            path.replace("/v2/", "/v2/./"),
            format!("/{}", inner.replace('/', "%2f")),
            path.replace("/v2", "/%762"),
            path.to_uppercase(),
            path.replace("/v2", "/V2"),
            format!("{path};x"),
            format!("{path}%00"),
            format!("{path}?x=%zz"),
            format!("{path}?{}", "a".repeat(9000)),
            format!("http://127.0.0.1{path}"),
            format!("http://alice:right@127.0.0.1{path}"),
            format!("https://elsewhere{path}"),
        ]);
    }
    for target in &targets {
        for method in ["GET", "DELETE"] {
            let response = registry.send(&Request::new(method, target.as_str()), &Who::Anonymous);
            let shown: String = target.chars().take(80).collect();
            assert_eq!(response.status(), 401, "{method} {shown}");
        }
    }
    for path in samples().iter().map(ToString::to_string) {
        let mut connection = registry.client.connect().unwrap();
        connection
            .send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(
            connection.read_response(false).unwrap().status(),
            401,
            "{path}"
        );
    }
    assert_eq!(registry.calls.calls().len(), before);
}

#[test]
fn while_deleting_is_off_a_user_deletes_nothing() {
    let mut registry = Registry::with_alice(false);
    let image = Image::build(1, &[2048]);
    registry.push(&image, &Who::Alice);
    let manifest = "/v2/team/app/manifests/v1";
    let by_digest = format!("/v2/team/app/manifests/{}", image.manifest.digest);
    let blob = format!("/v2/team/app/blobs/{}", image.config.digest);
    for path in [manifest, &by_digest, &blob] {
        let refused = registry.send(&Request::new("DELETE", path), &Who::Alice);
        assert_eq!(refused.status(), 405, "{path}");
        assert!(refused.text().contains("UNSUPPORTED"), "{path}");
        let nobody = registry.send(&Request::new("DELETE", path), &Who::Anonymous);
        assert_eq!(nobody.status(), 401, "{path}");
        let there = registry.send(&Request::new("GET", path), &Who::Alice);
        assert_eq!(there.status(), 200, "{path}");
    }
}

#[test]
fn a_token_is_asked_for_with_every_scope_that_is_needed() {
    let silly = |_: &Runtime| {
        let silly = Silly::new("https://auth/token", "registry");
        Some(Arc::new(silly) as Arc<dyn Authenticator>)
    };
    let mut registry = Registry::start(silly, true);
    let prefix = r#"Bearer realm="https://auth/token",service="registry""#;
    for path in samples().iter().map(ToString::to_string) {
        for method in METHODS {
            let request = Request::new(method, path.as_str());
            for who in [Who::Anonymous, Who::Empty] {
                let response = registry.send(&request, &who);
                assert_eq!(response.status(), 401, "{method} {path}");
                let needed = needed(method, &path);
                let expected = if needed.is_empty() {
                    prefix.to_owned()
                } else {
                    format!(r#"{prefix},scope="{}""#, needed.join(" "))
                };
                let challenge = response.header("www-authenticate");
                assert_eq!(challenge, Some(expected.as_str()), "{method} {path}");
            }
            // Whatever it is, it is enough.
            let status = registry.send(&request, &Who::Token).status();
            assert!(![401, 403].contains(&status), "{method} {path}");
        }
    }
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let mount = format!("/v2/team/app/blobs/uploads/?mount={digest}&from=other/app");
    let response = registry.send(&Request::new("POST", mount), &Who::Anonymous);
    let scopes = "repository:team/app:pull repository:team/app:push repository:other/app:pull";
    let expected = format!(r#"{prefix},scope="{scopes}""#);
    assert_eq!(response.header("www-authenticate"), Some(expected.as_str()));
}
