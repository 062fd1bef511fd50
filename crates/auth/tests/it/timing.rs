//! How long a refusal takes tells nobody who exists.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_auth::{Authenticator, Credentials, Htpasswd, Refusal};
use wharfinger_runtime::Runtime;
use wharfinger_testkit::{Scratch, Stopwatch, tell};

/// Enough for a median that other work on the machine does not move by 5 %.
const SAMPLES: u32 = 300;

/// 5, as Apache's program has it, takes some 3 ms: long beside everything else that a login costs, short enough for many.
const COST: u32 = 5;

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

/// Tries passwords for a name that is there, for one that is not and for the empty one, in turn.
async fn medians(htpasswd: &Htpasswd) -> [Duration; 3] {
    let names = ["alice", "malice", ""];
    let mut samples = [const { Vec::new() }; 3];
    for number in 0..SAMPLES {
        for (name, samples) in names.iter().zip(&mut samples) {
            let login = STANDARD.encode(format!("{name}:guess {number}"));
            let credentials = Credentials::parse([format!("Basic {login}").as_bytes()]);
            let watch = Stopwatch::start();
            let refused = htpasswd
                .authenticate(&credentials, [127, 0, 0, 1].into())
                .await;
            samples.push(watch.elapsed());
            assert_eq!(refused, Err(Refusal::Unknown));
        }
    }
    samples.map(median)
}

#[test]
fn refusing_a_user_takes_as_long_as_refusing_nobody() {
    let scratch = Scratch::new("timing").unwrap();
    let path = scratch.join("htpasswd");
    let hash = bcrypt::hash("secret", COST).unwrap();
    fs::write(&path, format!("alice:{hash}\n")).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let htpasswd = Htpasswd::open("wharf", path, 1, &Runtime::new(1)).unwrap();
    // A busy machine may disturb one of the rounds.
    let mut told = String::new();
    for _ in 0..5 {
        let [user, nobody, empty] = tokio.block_on(medians(&htpasswd));
        told = format!("login: user {user:?}, nobody {nobody:?}, empty name {empty:?}");
        let within = |other: Duration| {
            let ratio = other.as_secs_f64() / user.as_secs_f64();
            (0.95..1.05).contains(&ratio)
        };
        if within(nobody) && within(empty) {
            return tell(&told);
        }
    }
    panic!("{told}");
}
