//! Many who guess passwords at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use wharfinger_testkit::{Blob, Client, Request, Stopwatch, tell};

use super::{Guarded, signed};
use crate::setup::machine;

/// What most files have: some 70 ms for each guess.
const USUAL: u32 = 10;

/// More than may wait from one address.
const GUESSERS: usize = 60;

const PULLS: usize = 300;

/// Pulls the blob again and again, and returns how long each pull took, sorted.
fn pull(client: &mut Client, request: &Request, blob: &Blob) -> Vec<Duration> {
    let mut times: Vec<_> = (0..PULLS)
        .map(|_| {
            let watch = Stopwatch::start();
            let response = client.send(request).unwrap().expect(200).unwrap();
            assert_eq!(response.body, blob.bytes);
            watch.elapsed()
        })
        .collect();
    times.sort();
    times
}

#[test]
fn guessing_passwords_keeps_nobody_from_pulling() {
    let _machine = machine();
    let guarded = Guarded::start(&[("alice", "a")], USUAL);
    let blob = Blob::random(1, 4096);
    let push = Request::new(
        "POST",
        format!("/v2/a/blobs/uploads/?digest={}", blob.digest),
    );
    let push = signed(push, "alice", "a").body(blob.bytes.clone());
    assert_eq!(guarded.status(&push), 201);
    let get = Request::new("GET", format!("/v2/a/blobs/{}", blob.digest));
    let get = signed(get, "alice", "a");
    let mut client = guarded.server.client();
    let before = pull(&mut client, &get, &blob);

    let (ended, refused, busy) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let during = thread::scope(|scope| {
        for guesser in 0..GUESSERS {
            let (ended, refused, busy) = (&ended, &refused, &busy);
            let mut client = guarded.server.client();
            scope.spawn(move || {
                for guess in 0_usize.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let request = Request::new("GET", "/v2/");
                    let request = signed(request, "alice", &format!("{guesser} {guess}"));
                    let response = client.send(&request).unwrap();
                    match response.status() {
                        401 => refused.fetch_add(1, Ordering::Relaxed),
                        429 => {
                            assert_eq!(response.header("retry-after"), Some("2"));
                            assert!(response.text().contains("TOOMANYREQUESTS"));
                            // Whoever is told to wait does, a little.
                            thread::sleep(Duration::from_millis(20));
                            busy.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}: {}", response.text()),
                    };
                }
            });
        }
        let ready = || busy.load(Ordering::Relaxed) > 0 && refused.load(Ordering::Relaxed) > 0;
        let begun = wharfinger_testkit::wait_until(Duration::from_secs(20), ready);
        let during = pull(&mut client, &get, &blob);
        ended.store(true, Ordering::Relaxed);
        assert!(begun, "{refused:?} refused, {busy:?} told to wait");
        during
    });
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    let [calm, p50, p99] = [at(&before, 50), at(&during, 50), at(&during, 99)];
    tell(&format!(
        "guessing: {refused:?} refused, {busy:?} told to wait; pulls: median {calm:?} before, {p50:?} \
         during, 99 % within {p99:?}"
    ));
    // None waited for a hash, of which sixteen wait at a time.
    assert!(p50 < Duration::from_millis(30), "{p50:?}");
}
