//! HTTP/2 by hand: frames as a client would not send them (RFC 9113).
//!
//! Whatever goes wrong here ends the test that it belongs to.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed"
)]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No answer of these tests takes longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A part of a body.
pub const DATA: u8 = 0;
/// A head, or its beginning.
pub const HEADERS: u8 = 1;
/// The end of one stream.
pub const RST_STREAM: u8 = 3;
/// What a side wants.
pub const SETTINGS: u8 = 4;
/// A sign of life.
pub const PING: u8 = 6;
/// The end of the connection.
pub const GOAWAY: u8 = 7;
/// Room for more.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of a head.
pub const CONTINUATION: u8 = 9;

/// The last of a body.
pub const END_STREAM: u8 = 1;
/// An answer to SETTINGS or PING.
pub const ACK: u8 = 1;
/// The last of a head.
pub const END_HEADERS: u8 = 4;

/// How much a stream may be sent at first.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame that came.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// What holds for it.
    pub flags: u8,
    /// Which stream it belongs to; 0 for the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub struct Frames(TcpStream);

impl Frames {
    /// Connects and says the preface, with these settings.
    pub fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        let mut frames = Self(stream);
        frames.0.write_all(PREFACE).unwrap();
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        frames.send(SETTINGS, 0, 0, &payload).unwrap();
        frames
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the other side does not listen, or nothing comes.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other side does not listen, or nothing comes.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Sends a whole head; without a body also the end of the stream.
    pub fn ask(&mut self, stream: u32, method: &str, path: &str, has_body: bool) {
        let end = if has_body { 0 } else { END_STREAM };
        let head = head(method, path);
        self.send(HEADERS, END_HEADERS | end, stream, &head)
            .unwrap();
    }

    /// Returns the next frame.
    ///
    /// # Errors
    /// When the other side does not listen, or nothing comes.
    pub fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload)?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Returns the next frame for which `wanted` holds, and passes over those before it.
    ///
    /// # Errors
    /// When the other side does not listen, or nothing comes.
    pub fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> io::Result<Frame> {
        loop {
            let frame = self.read()?;
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Returns the status of the answer on `stream`.
    pub fn status(&mut self, stream: u32) -> u16 {
        let head = self.find(|frame| frame.kind == HEADERS && frame.stream == stream);
        status(&head.unwrap().payload)
    }

    /// Returns the body of the answer on `stream`, whose head was read.
    pub fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let data = self.find(|frame| frame.kind == DATA && frame.stream == stream);
            let data = data.unwrap();
            body.extend(data.payload);
            if data.flags & END_STREAM != 0 {
                return body;
            }
        }
    }

    /// Reads to the end of the connection, and returns the reason of the last GOAWAY.
    pub fn ended(&mut self) -> Option<u32> {
        let mut reason = None;
        loop {
            match self.read() {
                Ok(frame) if frame.kind == GOAWAY => {
                    let bytes = frame.payload[4..8].try_into().unwrap();
                    reason = Some(u32::from_be_bytes(bytes));
                }
                Ok(frame) if frame.kind == PING && frame.flags & ACK == 0 => {
                    // It may have ended already.
                    drop(self.send(PING, ACK, 0, &frame.payload));
                }
                Ok(_) => {}
                Err(error) => {
                    // It is not this side that gave up.
                    let waited = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    assert!(!waited.contains(&error.kind()), "{error}");
                    return reason;
                }
            }
        }
    }
}

/// Returns a frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Returns the head of a request (RFC 7541): nothing is compressed, and nothing is remembered.
pub fn head(method: &str, path: &str) -> Vec<u8> {
    let mut head = Vec::new();
    // The names stand in the table: 2 the method, 4 the path, 6 the scheme http, 1 the host.
    literal(&mut head, 2, method);
    literal(&mut head, 4, path);
    head.push(0x80 | 6);
    literal(&mut head, 1, "registry");
    head
}

fn literal(head: &mut Vec<u8>, name: u8, value: &str) {
    head.push(name);
    string(head, value);
}

/// Appends a header with a name of its own.
pub fn header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.push(0);
    string(head, name);
    string(head, value);
}

/// A length of 7 bits, and more where they do not suffice.
fn string(head: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        head.push(u8::try_from(length).unwrap());
    } else {
        head.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            head.push(0x80 | u8::try_from(rest % 128).unwrap());
            rest /= 128;
        }
        head.push(u8::try_from(rest).unwrap());
    }
    head.extend(text.as_bytes());
}

/// Reads the status, which comes first.
fn status(head: &[u8]) -> u16 {
    // What stands in the table.
    let known = [200, 204, 206, 304, 400, 404, 500];
    if let Some(index) = head[0].checked_sub(0x88)
        && let Some(status) = known.get(usize::from(index))
    {
        return *status;
    }
    // Else three digits, compressed; there is a sign for each that takes 5 or 6 bits.
    let bytes = [head[2], head[3], *head.get(4).unwrap_or(&0)];
    let bits = bytes.map(|byte| format!("{byte:08b}")).concat();
    let mut rest = bits.as_str();
    let mut status = 0;
    for _ in 0..3 {
        let digit = match u16::from_str_radix(&rest[..5], 2).unwrap() {
            short @ 0..=2 => {
                rest = &rest[5..];
                short
            }
            _ => {
                let long = u16::from_str_radix(&rest[..6], 2).unwrap();
                rest = &rest[6..];
                long - 0b01_1001 + 3
            }
        };
        status = status * 10 + digit;
    }
    status
}
