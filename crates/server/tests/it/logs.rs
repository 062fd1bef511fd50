//! What the log says of requests.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use wharfinger_driver::{Fault, FaultPlan, Faulty, Memory, Method};
use wharfinger_testkit::{Blob, Request, eventually};

use crate::fixture::{Fixture, target};

/// Everything that all tests of this process log, as lines of JSON.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn start() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .json()
                .with_max_level(LevelFilter::DEBUG)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    /// Returns the lines about a repository that nobody else uses.
    pub(crate) fn lines(&self, repository: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|line| line.contains(repository));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Returns the lines of the access log about requests of a method.
    pub(crate) fn access(&self, repository: &str, method: &str) -> Vec<Value> {
        let lines = self.lines(repository).into_iter();
        let lines = lines.filter(|line| line["target"] == "wharfinger::access");
        lines
            .filter(|line| line["span"]["method"] == method)
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_request_has_one_access_line() {
    let log = Log::start();
    let fixture = Fixture::memory();
    let blob = Blob::random(80, 100_000);
    fixture.push("logged/access", &blob);
    let path = format!("/v2/logged/access/blobs/{}", blob.digest);
    let request = Request::new("GET", path.as_str()).header("User-Agent", "test\"er");
    fixture.send(&request).expect(200).unwrap();
    eventually!(!log.access("logged/access", "GET").is_empty());
    let lines = log.access("logged/access", "GET");
    assert_eq!(lines.len(), 1);
    let (fields, span) = (&lines[0]["fields"], &lines[0]["span"]);
    assert_eq!(
        (&fields["status"], &fields["bytes"]),
        (&200.into(), &100_000.into())
    );
    assert_eq!(fields["user_agent"], "test\"er");
    assert_eq!(fields["cut"], Value::Null);
    assert!(fields["duration_us"].is_u64());
    assert_eq!(
        (&span["name"], &span["path"]),
        (&"request".into(), &path.into())
    );
    assert_eq!(span["id"].as_str().unwrap().len(), 36);
    assert!(span["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_request_that_is_cut_has_its_line_too() {
    let log = Log::start();
    let fixture = Fixture::memory();
    let blob = Blob::random(82, 32 * 1024 * 1024);
    let path = "/v2/logged/cut/blobs/uploads/";
    let started = fixture.send(&Request::new("POST", path));
    let location = target(&started.expect(202).unwrap());
    let patch = Request::new("PATCH", location.as_str());
    let length = blob.bytes.len().to_string();
    let patch = patch.header("Content-Length", length);
    fixture.begin(&patch, &blob.bytes).cut();
    eventually!(!log.access("logged/cut", "PATCH").is_empty());
    let lines = log.access("logged/cut", "PATCH");
    assert_eq!(lines.len(), 1);
    let fields = &lines[0]["fields"];
    assert_eq!(
        (&fields["status"], &fields["cut"]),
        (&499.into(), &true.into())
    );
    assert_eq!(fields["message"], "not answered");

    // The same before there is an answer.
    let plan = FaultPlan::new().always(Method::Get, Fault::Hang);
    let hanging = Faulty::new(Arc::new(Memory::new()), plan);
    let hanging = Fixture::over(Arc::new(hanging));
    let path = format!("/v2/logged/cut/blobs/{}", blob.digest);
    let mut connection = hanging.client().connect().unwrap();
    connection
        .send_head(&Request::new("GET", path.as_str()))
        .unwrap();
    connection.cut();
    eventually!(!log.access("logged/cut", "GET").is_empty());
    let fields = &log.access("logged/cut", "GET")[0]["fields"];
    assert_eq!(
        (&fields["status"], &fields["cut"]),
        (&499.into(), &true.into())
    );

    // The same within an answer, and not where an answer has no body to be sent.
    fixture.push("logged/cut", &blob);
    let mut connection = fixture.client().connect().unwrap();
    connection.send_head(&Request::new("GET", path)).unwrap();
    connection.read_head().unwrap();
    connection.cut();
    eventually!(log.access("logged/cut", "GET").len() == 2);
    let fields = &log.access("logged/cut", "GET")[1]["fields"];
    assert_eq!(
        (&fields["status"], &fields["cut"]),
        (&200.into(), &true.into())
    );
    let missing = format!("/v2/logged/cut/blobs/{}", Blob::random(83, 1).digest);
    assert_eq!(fixture.head(&missing).status(), 404);
    eventually!(!log.access("logged/cut", "HEAD").is_empty());
    let fields = &log.access("logged/cut", "HEAD")[0]["fields"];
    assert_eq!(
        (&fields["status"], &fields["cut"]),
        (&404.into(), &Value::Null)
    );
}

#[test]
fn the_log_repeats_no_more_than_a_part_of_what_a_client_sends() {
    let log = Log::start();
    let fixture = Fixture::memory();
    let path = format!("/v2/logged/long/{}", "a".repeat(5000));
    let request = Request::new("GET", path.as_str()).header("User-Agent", "x".repeat(5000));
    fixture.send(&request).expect(404).unwrap();
    eventually!(!log.access("logged/long", "GET").is_empty());
    let line = &log.access("logged/long", "GET")[0];
    assert_eq!(line["span"]["path"], path[..1024]);
    assert_eq!(line["fields"]["user_agent"].as_str().unwrap().len(), 1024);
}

#[test]
fn lines_about_an_upload_say_which_and_where_and_the_digest() {
    let log = Log::start();
    let fixture = Fixture::memory();
    let path = "/v2/logged/upload/blobs/uploads/";
    let started = fixture
        .send(&Request::new("POST", path))
        .expect(202)
        .unwrap();
    let id = started.header("docker-upload-uuid").unwrap();
    let location = fixture.patch(&target(&started), b"hello");
    let (hello, other) = (Blob::new("", b"hello".to_vec()), Blob::random(81, 5));
    fixture
        .put(&location, &other.digest, b"")
        .expect(400)
        .unwrap();
    let refused: Vec<_> = log
        .lines("logged/upload")
        .into_iter()
        .filter(|line| line["fields"]["message"] == "refused")
        .collect();
    assert_eq!(refused.len(), 1);
    let span = &refused[0]["span"];
    assert_eq!(
        (&span["name"], &span["repository"]),
        (&"upload".into(), &"logged/upload".into())
    );
    assert_eq!(
        (&span["upload"], &span["digest"]),
        (&id.into(), &other.digest.into())
    );
    assert_eq!(refused[0]["spans"][0]["name"], "request");
    // What the bytes have come to is for the operator's eyes.
    assert!(
        refused[0]["fields"]["cause"]
            .as_str()
            .unwrap()
            .contains(&hello.digest)
    );
}

#[test]
fn lines_about_asking_for_an_upload_say_which() {
    let log = Log::start();
    let fixture = Fixture::memory();
    let path = "/v2/logged/status/blobs/uploads/1-2";
    fixture.get(path).expect(404).unwrap();
    let lines = log.lines("logged/status").into_iter();
    let refused: Vec<_> = lines
        .filter(|line| line["fields"]["message"] == "refused")
        .collect();
    assert_eq!(refused.len(), 1);
    let span = &refused[0]["span"];
    assert_eq!(
        (&span["name"], &span["repository"], &span["upload"]),
        (&"upload".into(), &"logged/status".into(), &"1-2".into())
    );
}
