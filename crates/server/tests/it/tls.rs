//! TLS: what can only be seen with times of one's own.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use wharfinger_driver::Memory;
use wharfinger_server::{DEFAULT_TLS_LOOK_INTERVAL, Tls, TlsVersion};
use wharfinger_testkit::{Authority, Scratch, eventually};

use crate::fixture::Fixture;

fn with(scratch: &Scratch, configure: impl FnOnce(&mut wharfinger_server::Config)) -> Fixture {
    let server = Authority::new("one").unwrap().server().unwrap();
    let (certificate, key) = server.write(scratch.path(), "server").unwrap();
    let tls = Tls {
        certificate,
        key,
        clients: None,
        minimum: TlsVersion::V12,
        cipher_suites: None,
        look_interval: DEFAULT_TLS_LOOK_INTERVAL,
    };
    Fixture::with(Arc::new(Memory::new()), Vec::new(), |config| {
        config.tls = Some(tls);
        configure(config);
    })
}

#[test]
fn a_handshake_that_does_not_come_is_cut() {
    let scratch = Scratch::new("tls").unwrap();
    let fixture = with(&scratch, |config| {
        config.limits.handshake_timeout = Duration::from_millis(100);
        config.limits.max_connections = 1;
    });
    // The second has the place of the first.
    for _ in 0..2 {
        let mut stream = TcpStream::connect(fixture.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
    }
}

#[test]
fn a_changed_certificate_is_seen_without_being_told() {
    let scratch = Scratch::new("tls").unwrap();
    let fixture = with(&scratch, |config| {
        let tls = config.tls.as_mut().unwrap();
        tls.look_interval = Duration::from_millis(20);
    });
    let before = certificate_of(&fixture);
    let next = Authority::new("other").unwrap().server().unwrap();
    // First one that does not fit, for a while.
    std::fs::write(scratch.join("server.cert"), &next.certificate).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(certificate_of(&fixture), before);
    std::fs::write(scratch.join("server.key"), &next.key).unwrap();
    eventually!(certificate_of(&fixture) != before);
}

/// Returns the certificate that a client is shown, as bytes of the handshake. In version 1.2 they are not encrypted.
fn certificate_of(fixture: &Fixture) -> Vec<u8> {
    use std::io::Write as _;
    let mut stream = TcpStream::connect(fixture.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(&client_hello()).unwrap();
    // The record of ServerHello, then that of Certificate.
    let mut certificate = Vec::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 22, "no handshake: {head:?}");
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut record).unwrap();
        certificate.extend(record);
        // Several messages may share a record: a kind and a length of three bytes each.
        let mut rest = certificate.as_slice();
        while let [kind, a, b, c, after @ ..] = rest {
            let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
            if after.len() < length {
                break;
            }
            if *kind == 11 {
                return after[..length].to_vec();
            }
            rest = &after[length..];
        }
    }
}

/// Returns the first message of a client that speaks version 1.2 (RFC 5246) with one cipher suite.
fn client_hello() -> Vec<u8> {
    let mut extensions = Vec::new();
    for (number, content) in [
        // One curve, P-256; one signature, ECDSA with it.
        (10_u16, &[0, 2, 0, 23][..]),
        (13, &[0, 2, 4, 3]),
        // Extended master secret, and no renegotiation.
        (23, &[]),
        (0xff01, &[0]),
    ] {
        extensions.extend(number.to_be_bytes());
        extensions.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        extensions.extend(content);
    }
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    // No session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
    message.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}
