//! What somebody learns who may not come in: nothing, whichever way the question is put.

use std::fmt::Write as _;
use std::time::Duration;

use wharfinger_testkit::frames::Frames;
use wharfinger_testkit::{Connection, Image, Request, Response, Stopwatch, sha256, tell};

use super::{CHEAP, Guarded, signed};

/// Every route, with a repository, a digest, a tag and an upload in their places.
const ROUTES: [(&str, &[&str]); 12] = [
    ("/v2/", &["GET", "HEAD"]),
    ("/v2/_catalog", &["GET", "HEAD"]),
    ("/v2/_oci/ext/discover", &["GET"]),
    ("/v2/NAME/_oci/ext/discover", &["GET"]),
    ("/v2/NAME/tags/list", &["GET", "HEAD"]),
    ("/v2/NAME/manifests/TAG", &["GET", "HEAD", "PUT", "DELETE"]),
    (
        "/v2/NAME/manifests/DIGEST",
        &["GET", "HEAD", "PUT", "DELETE"],
    ),
    ("/v2/NAME/blobs/DIGEST", &["GET", "HEAD", "DELETE"]),
    ("/v2/NAME/blobs/uploads/", &["POST"]),
    ("/v2/NAME/blobs/uploads/?mount=DIGEST&from=NAME", &["POST"]),
    (
        "/v2/NAME/blobs/uploads/ID",
        &["GET", "HEAD", "PATCH", "PUT", "DELETE"],
    ),
    ("/v2/NAME/referrers/DIGEST", &["GET", "HEAD"]),
];

/// A registry that has an image, and an upload that was begun.
struct Filled {
    guarded: Guarded,
    image: Image,
    upload: String,
}

impl Filled {
    fn start() -> Self {
        let guarded = Guarded::start(&[("alice", "a")], CHEAP);
        let image = Image::build(1, &[2048]);
        let mut client = guarded.server.client();
        for blob in image.blobs() {
            let push = format!("/v2/priv/b/blobs/uploads/?digest={}", blob.digest);
            let push = signed(Request::new("POST", push), "alice", "a");
            let pushed = client.send(&push.body(&*blob.bytes)).unwrap();
            pushed.expect(201).unwrap();
        }
        let put = Request::new("PUT", "/v2/priv/b/manifests/v1")
            .header("Content-Type", image.manifest.media_type.as_str());
        let put = signed(put, "alice", "a").body(&*image.manifest.bytes);
        client.send(&put).unwrap().expect(201).unwrap();
        let start = signed(
            Request::new("POST", "/v2/priv/b/blobs/uploads/"),
            "alice",
            "a",
        );
        let started = client.send(&start).unwrap().expect(202).unwrap();
        let upload = started.header("docker-upload-uuid").unwrap().to_owned();
        Self {
            guarded,
            image,
            upload,
        }
    }

    /// A route of what is there, and the same one of what is not.
    fn pair(&self, route: &str) -> [String; 2] {
        let digest = match route.contains("manifests") || route.contains("referrers") {
            true => &self.image.manifest.digest,
            false => &self.image.config.digest,
        };
        let fill = |name: &str, tag: &str, digest: &str, id: &str| {
            route
                .replace("NAME", name)
                .replace("TAG", tag)
                .replace("DIGEST", digest)
                .replace("ID", id)
        };
        let none = "01890000-0000-7000-8000-000000000000";
        [
            fill("priv/b", "v1", digest, &self.upload),
            fill("priv/x", "v9", &sha256(b"nothing has this"), none),
        ]
    }
}

/// An answer without what differs between any two, and without the words of the question.
fn shown(answer: &Response, asked: &str) -> String {
    let mut text = format!("{}\n", answer.status());
    for (name, value) in &answer.head.headers {
        if !["x-request-id", "date"].contains(&name.to_ascii_lowercase().as_str()) {
            writeln!(text, "{name}: {value}").unwrap();
        }
    }
    let name = if asked.contains("priv/x") {
        "priv/x"
    } else {
        "priv/b"
    };
    let id = answer.header("x-request-id").unwrap_or("none");
    text + &answer.text().replace(name, "NAME").replace(id, "REQUEST")
}

#[test]
fn who_is_not_let_in_gets_the_same_answer_whether_something_is_there_or_not() {
    let filled = Filled::start();
    let mut client = filled.guarded.server.client();
    for (route, methods) in ROUTES {
        for method in methods {
            let pair = filled.pair(route);
            for who in [None, Some(("mallory", "a")), Some(("alice", "wrong"))] {
                let [there, not] = pair.clone().map(|path| {
                    let request = Request::new(method, path.as_str());
                    let request = match who {
                        Some((name, password)) => signed(request, name, password),
                        None => request,
                    };
                    let answer = client.send(&request).unwrap();
                    assert_eq!(answer.status(), 401, "{method} {path} {who:?}");
                    shown(&answer, &path)
                });
                assert_eq!(there, not, "{method} {route} {who:?}");
            }
        }
    }
}

/// Other ways to write a path.
fn aliases(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches('/');
    vec![
        format!("{path}/"),
        format!("//{inner}"),
        format!("/{}", inner.replace('/', "//")),
        format!("/./{inner}"),
        format!("/x/../{inner}"),
        path.replace("/v2/", "/v2/./"),
        path.replace("/v2", "/%762"),
        format!("/{}", inner.replace('/', "%2f")),
        path.to_uppercase(),
        path.replace("/v2", "/V2"),
        format!("{path};x"),
        format!("{path}%00"),
        format!("http://127.0.0.1{path}"),
        format!("http://alice:a@127.0.0.1{path}"),
        format!("https://elsewhere{path}"),
    ]
}

#[test]
fn no_other_way_to_write_a_path_or_to_ask_for_it_leads_in() {
    let filled = Filled::start();
    let mut client = filled.guarded.server.client();
    for (route, _) in ROUTES {
        let [path, _] = filled.pair(route);
        for alias in aliases(&path) {
            for method in ["GET", "HEAD", "DELETE"] {
                let answer = client.send(&Request::new(method, alias.as_str())).unwrap();
                assert_eq!(answer.status(), 401, "{method} {alias}");
            }
        }
        let address = client.address();
        let mut old = Connection::open(address, Duration::from_secs(20)).unwrap();
        old.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(old.read_response(false).unwrap().status(), 401, "{path}");
    }
}

#[test]
fn http2_leads_nowhere_else() {
    let scratch = wharfinger_testkit::Scratch::new("h2c").unwrap();
    let users = scratch.join("htpasswd");
    std::fs::write(&users, super::lines(&[("alice", "a")], CHEAP)).unwrap();
    let config = wharfinger_testkit::RegistryConfig::new(&scratch.join("data"));
    let server = crate::setup::wharfinger_with(
        &config,
        &scratch,
        &[
            ("HTTP_H2C_ENABLED", "true".to_owned()),
            ("AUTH_HTPASSWD_REALM", "x".to_owned()),
            ("AUTH_HTPASSWD_PATH", users.display().to_string()),
        ],
    )
    .unwrap();
    for (route, methods) in ROUTES {
        let path = route.replace("NAME", "a").replace("DIGEST", &sha256(b"x"));
        for path in [path.clone(), format!("/.{path}"), format!("{path}/")] {
            for method in methods {
                // Heads on one connection shorten each other, which nobody here can read.
                let mut frames = Frames::open(server.address(), &[]);
                frames.ask(1, method, &path, false);
                assert_eq!(frames.status(1), 401, "{method} {path}");
            }
        }
    }
}

/// As Apache's program has it: some 3 ms, long beside everything else that a request costs.
const COST: u32 = 5;

/// Enough for a median that other work on the machine does not move by 5 %.
const SAMPLES: u32 = 300;

/// How far apart the distributions of two samples lie (Kolmogorov and Smirnov).
fn distance(a: &[Duration], b: &[Duration]) -> f64 {
    let below = |sample: &[Duration], at: Duration| {
        let count = sample.partition_point(|it| *it <= at);
        f64::from(u32::try_from(count).unwrap()) / f64::from(SAMPLES)
    };
    let gaps = a
        .iter()
        .chain(b)
        .map(|at| (below(a, *at) - below(b, *at)).abs());
    gaps.fold(0.0, f64::max)
}

#[test]
fn how_long_a_refusal_takes_tells_nobody_who_exists() {
    let _machine = crate::setup::machine();
    let guarded = Guarded::start(&[("alice", "secret")], COST);
    let mut client = guarded.server.client();
    // At p = 0.01, for as many samples on both sides.
    let most = 1.63 * (2.0 / f64::from(SAMPLES)).sqrt();
    let mut told = String::new();
    // A busy machine may disturb one of the rounds.
    for round in 0..5 {
        let mut samples = [const { Vec::new() }; 3];
        for number in 0..SAMPLES {
            for (name, samples) in ["alice", "malice", ""].iter().zip(&mut samples) {
                let request = Request::new("GET", "/v2/");
                let request = signed(request, name, &format!("guess {round} {number}"));
                let watch = Stopwatch::start();
                let answer = client.send(&request).unwrap();
                samples.push(watch.elapsed());
                assert_eq!(answer.status(), 401);
            }
        }
        samples.iter_mut().for_each(|samples| samples.sort());
        let [user, nobody, empty] = &samples;
        let medians = samples.each_ref().map(|it| it[it.len() / 2]);
        let gaps = [distance(user, nobody), distance(user, empty)];
        told = format!(
            "login: medians of user, nobody and no name {medians:?}; distances {gaps:.3?} of {most:.3}"
        );
        let ratio = |other: Duration| other.as_secs_f64() / medians[0].as_secs_f64();
        let close = |other: Duration| (0.95..1.05).contains(&ratio(other));
        if close(medians[1]) && close(medians[2]) && gaps.iter().all(|gap| *gap < most) {
            return tell(&told);
        }
    }
    panic!("{told}");
}
