//! Clients that take their time, as the defaults have it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use wharfinger_testkit::{Blob, Client, Request, Stopwatch, tell};

use crate::setup::machine;
use crate::spec::Subject;

const HEADS: usize = 300;
const BODIES: usize = 60;

/// What a head has, and a moment for a busy machine.
const HEAD: Duration = Duration::from_secs(10 + 5);

/// What a body that comes by drops has, and the same.
const BODY: Duration = Duration::from_secs(30 + 10);

/// A connection that sends a byte now and then.
struct Drip {
    stream: TcpStream,
    closed: bool,
}

impl Drip {
    fn begin(subject: &Subject, head: &str) -> Self {
        let mut stream = TcpStream::connect(subject.client.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        Self {
            stream,
            closed: false,
        }
    }

    /// Sends a byte, and sees whether that is still wanted.
    fn drip(&mut self) {
        if self.closed {
            return;
        }
        let written = self.stream.write(b"x");
        let mut answer = [0; 4096];
        self.closed = match self.stream.read(&mut answer) {
            Ok(0) => true,
            // An answer; the connection is closed after it.
            Ok(_) => false,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        } || written.is_err();
    }
}

/// How long most pulls take: nine of ten.
fn pulls(client: &mut Client, request: &Request, count: usize) -> Duration {
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let watch = Stopwatch::start();
            client.send(request).unwrap().expect(200).unwrap();
            watch.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 9 / 10]
}

/// Lets all drip once a second until they are closed, which they must be within `most`.
fn drip_until_closed(drips: &mut [Drip], most: Duration) -> Duration {
    let watch = Stopwatch::start();
    while drips.iter().any(|drip| !drip.closed) {
        assert!(
            watch.elapsed() < most,
            "{} are open after {most:?}",
            drips.iter().filter(|drip| !drip.closed).count()
        );
        drips.iter_mut().for_each(Drip::drip);
        thread::sleep(Duration::from_secs(1));
    }
    watch.elapsed()
}

#[test]
fn heads_and_bodies_that_come_by_drops_are_cut_and_others_are_served_meanwhile() {
    let _machine = machine();
    let mut subject = Subject::alone("hostile/slow", &[]);
    let blob = Blob::random(81, 100_000);
    subject.push_blob(&blob);
    let get = Request::new("GET", subject.target(&format!("blobs/{}", blob.digest)));
    let mut client = Client::new(subject.client.address());
    let calm = pulls(&mut client, &get, 200);
    let before = subject.resident_kib();
    let headers = "Host: x\r\nContent-Length: 1000000\r\n\r\n";
    // One writer an upload: each has its own.
    let mut bodies: Vec<_> = (0..BODIES)
        .map(|_| {
            let start = subject.start();
            Drip::begin(&subject, &format!("PATCH {start} HTTP/1.1\r\n{headers}"))
        })
        .collect();
    let mut heads: Vec<_> = (0..HEADS)
        .map(|_| Drip::begin(&subject, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: "))
        .collect();
    let busy = pulls(&mut client, &get, 200);
    let heads_took = drip_until_closed(&mut heads, HEAD);
    let bodies_took = drip_until_closed(&mut bodies, BODY);
    let more = subject.resident_kib().saturating_sub(before);
    tell(&format!(
        "slow: heads cut after {heads_took:?}, bodies after {bodies_took:?} more; pulls {calm:?} before, \
         {busy:?} meanwhile; {more} KiB more"
    ));
    assert!(
        busy < calm.max(Duration::from_millis(10)) * 3,
        "{busy:?} after {calm:?}"
    );
    assert!(more < 64 << 10, "{more} KiB more");
}
