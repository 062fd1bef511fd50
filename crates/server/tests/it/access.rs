//! Who is let in, as events, logs and other repositories see it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use wharfinger_auth::{
    Access, Authenticator, Credentials, Denial, Gate, Known, Policy, Principal, Refusal, Silly,
    UserName, Verb,
};
use wharfinger_driver::Memory;
use wharfinger_oci::Challenge;
use wharfinger_server::{Event, EventSink};
use wharfinger_testkit::{Blob, Request, Response, eventually};

use crate::fixture::{Fixture, assert_refused, target};
use crate::logs::Log;

/// Takes the name in the place of credentials for who it is.
#[derive(Debug)]
struct ByName;

#[async_trait::async_trait]
impl Authenticator for ByName {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        match credentials {
            Credentials::Basic(login) => {
                let name = str::from_utf8(login.name()).unwrap();
                Ok(Principal::User(UserName::new(name)))
            }
            Credentials::None | Credentials::Other => Err(Refusal::Unknown),
        }
    }

    fn challenge(&self, _accesses: &[Access]) -> Challenge {
        Challenge::basic("names")
    }
}

/// Everybody pulls from `pub/…`, and everybody who is known does everything below the own name.
#[derive(Debug)]
struct OwnNames;

impl Policy for OwnNames {
    fn decide(&self, principal: &Principal, accesses: &[Access]) -> Result<(), Denial> {
        let owns = |access: &Access| match access {
            Access::Repository { name, verb } => {
                let (top, _) = name.as_str().split_once('/').unwrap_or_default();
                Some(top) == principal.name() || (top == "pub" && *verb == Verb::Pull)
            }
            _ => false,
        };
        match principal {
            _ if accesses.iter().all(owns) => Ok(()),
            Principal::Anonymous => Err(Denial::Unauthenticated),
            _ => Err(Denial::Forbidden),
        }
    }
}

fn fixture() -> Fixture {
    let gate = Gate::new(Arc::new(OwnNames)).with_authenticator(Arc::new(ByName));
    Fixture::with_gate(gate)
}

/// `NAME:` in base64, for the names that the tests use.
fn as_user(request: Request, name: &str) -> Request {
    let encoded = match name {
        "alice" => "YWxpY2U6",
        "bob" => "Ym9iOg==",
        other => panic!("{other}"),
    };
    request.header("Authorization", format!("Basic {encoded}"))
}

fn send(fixture: &Fixture, name: &str, method: &str, path: &str) -> Response {
    fixture.send(&as_user(Request::new(method, path), name))
}

fn push(fixture: &Fixture, name: &str, repository: &str, blob: &Blob) {
    let path = format!("/v2/{repository}/blobs/uploads/?digest={}", blob.digest);
    let request = Request::new("POST", path).body(blob.bytes.clone());
    fixture.send(&as_user(request, name)).expect(201).unwrap();
}

#[test]
fn who_is_known_and_may_not_is_denied_and_not_asked_again() {
    let fixture = fixture();
    push(&fixture, "alice", "alice/app", &Blob::random(1, 100));
    let refused = send(&fixture, "bob", "GET", "/v2/alice/app/tags/list");
    assert_refused(&refused, 403, "DENIED");
    assert_eq!(refused.header("www-authenticate"), None);
    assert!(refused.text().contains("alice/app"), "{}", refused.text());
    // The same for what is not there.
    let absent = send(&fixture, "bob", "GET", "/v2/alice/xyz/tags/list");
    assert_eq!(absent.text().replace("xyz", "app"), refused.text());
    assert_refused(&fixture.get("/v2/alice/app/tags/list"), 401, "UNAUTHORIZED");
    // Where nobody needs to be known, nobody is asked; but wrong credentials are not nobody's.
    assert_refused(&fixture.get("/v2/pub/app/tags/list"), 404, "NAME_UNKNOWN");
    let wrong = Request::new("GET", "/v2/pub/app/tags/list").header("Authorization", "Bearer x");
    assert_refused(&fixture.send(&wrong), 401, "UNAUTHORIZED");
}

#[test]
fn a_mount_from_where_one_may_not_pull_is_as_if_nothing_were_there() {
    let fixture = fixture();
    let (secret, open) = (Blob::random(1, 100), Blob::random(2, 100));
    push(&fixture, "alice", "alice/app", &secret);
    push(&fixture, "bob", "bob/source", &open);
    let mount = |blob: &Blob, from: &str| {
        let path = format!(
            "/v2/bob/app/blobs/uploads/?mount={}&from={from}",
            blob.digest
        );
        send(&fixture, "bob", "POST", &path)
    };
    let started = mount(&secret, "alice/app").expect(202).unwrap();
    assert!(target(&started).contains("_state="));
    let nowhere = mount(&Blob::random(3, 100), "alice/app")
        .expect(202)
        .unwrap();
    let names = |response: &Response| {
        let names = response.head.headers.iter().map(|(name, _)| name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&started), names(&nowhere));
    let path = format!("/v2/bob/app/blobs/{}", secret.digest);
    assert_refused(&send(&fixture, "bob", "GET", &path), 404, "BLOB_UNKNOWN");
    mount(&open, "bob/source").expect(201).unwrap();
    // Nor does a mount open a repository that one may not push to.
    let path = format!(
        "/v2/alice/app/blobs/uploads/?mount={}&from=bob/source",
        open.digest
    );
    assert_refused(&send(&fixture, "bob", "POST", &path), 403, "DENIED");
}

/// Keeps who is said to have done what, and all that an event shows of itself.
#[derive(Debug, Default)]
struct Actors(Mutex<Vec<(String, String)>>);

impl EventSink for Actors {
    fn accept(&self, event: &Event<'_>) {
        let said = (event.actor.to_string(), format!("{event:?}"));
        self.0.lock().unwrap().push(said);
    }
}

#[test]
fn events_name_who_did_it_and_show_no_credentials() {
    let actors = Arc::new(Actors::default());
    let gate = Gate::new(Arc::new(Known)).with_authenticator(Arc::new(Silly::new("r", "s")));
    let sinks = vec![Arc::clone(&actors) as Arc<dyn EventSink>];
    let fixture = Fixture::guarded(Arc::new(Memory::new()), sinks, gate, |_| {});
    let blob = Blob::random(1, 100);
    let path = format!("/v2/a/b/blobs/uploads/?digest={}", blob.digest);
    let request = Request::new("POST", path)
        .header("Authorization", "Bearer c4nary")
        .header("Cookie", "c4nary")
        .body(blob.bytes.clone());
    fixture.send(&request).expect(201).unwrap();
    let said = actors.0.lock().unwrap();
    let [(actor, shown)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(actor, "silly");
    assert!(!shown.contains("c4nary"), "{shown}");
}

#[test]
fn every_line_of_a_request_names_who_it_is_from_once_that_is_proved() {
    let log = Log::start();
    let fixture = fixture();
    send(&fixture, "alice", "GET", "/v2/logged/who-alice/tags/list");
    send(&fixture, "alice", "GET", "/v2/alice/logged-who/tags/list");
    fixture.get("/v2/logged/who-nobody/tags/list");
    for (repository, user) in [
        ("logged/who-alice", Some("alice")),
        ("alice/logged-who", Some("alice")),
        ("logged/who-nobody", None),
    ] {
        eventually!(log.access(repository, "GET").len() == 1);
        for line in log.lines(repository) {
            assert_eq!(line["span"]["user"].as_str(), user, "{line}");
        }
    }
}
