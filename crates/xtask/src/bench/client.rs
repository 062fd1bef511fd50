//! A small HTTP/1.1 client that costs little beside the server it measures.
//!
//! One blocking connection that is kept alive, one buffer that is reused, and no more of the
//! protocol than registries speak: `Content-Length`, chunked bodies and none at all.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How much is read at once: large enough for few calls, small enough to stay in the cache.
const BUFFER_BYTES: usize = 256 * 1024;
/// A body up to this size travels in the same write as its head.
const JOINED_BYTES: usize = 64 * 1024;
/// A server that says nothing for this long has failed.
const TIMEOUT: Duration = Duration::from_secs(300);

/// One connection, kept alive over many requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of `buffer` has been read and not yet been used.
    start: usize,
    end: usize,
    out: Vec<u8>,
}

/// What one request says; the body is the parts one after the other.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [&'a [u8]],
}

/// The head of an answer whose body has been read to its end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Content-Length`, also of an answer to HEAD.
    pub(crate) length: Option<u64>,
    pub(crate) location: Option<String>,
    /// `Docker-Content-Digest`.
    pub(crate) digest: Option<String>,
    /// How many bytes the body had.
    pub(crate) received: u64,
    chunked: bool,
}

impl Answer {
    /// Fails unless the status is `status`.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        ensure!(
            self.status == status,
            "answered {} where {status} was expected",
            self.status
        );
        Ok(self)
    }
}

impl Connection {
    /// Connects to `address`.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            out: Vec::with_capacity(JOINED_BYTES + 4096),
        })
    }

    /// Sends `request` and reads the answer, throwing its body away.
    pub(crate) fn call(&mut self, request: &Request<'_>) -> Result<Answer> {
        self.call_with(request, &mut |_| {})
    }

    /// Returns a body whole, of an answer that has status 200.
    pub(crate) fn get(&mut self, target: &str) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let request = Request {
            method: "GET",
            target,
            headers: &[],
            body: &[],
        };
        self.call_with(&request, &mut |piece| body.extend_from_slice(piece))?
            .expect(200)?;
        Ok(body)
    }

    /// Sends `request` and gives each piece of the answer's body to `sink`.
    pub(crate) fn call_with(
        &mut self,
        request: &Request<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Answer> {
        let name = || format!("{} {}", request.method, request.target);
        self.send(request).with_context(name)?;
        self.receive(request.method == "HEAD", sink)
            .with_context(name)
    }

    /// Sends `request` without waiting for its answer.
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<()> {
        let length: usize = request.body.iter().map(|part| part.len()).sum();
        self.send_head(request, length as u64)?;
        for part in request.body {
            self.send_bytes(part)?;
        }
        self.flush()
    }

    /// Sends the head of `request`, announcing `length` bytes that are yet to be sent.
    pub(crate) fn send_head(&mut self, request: &Request<'_>, length: u64) -> Result<()> {
        self.out.clear();
        render(&mut self.out, request, length);
        Ok(())
    }

    /// Sends a piece of a body whose head was sent.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.out.len() + bytes.len() <= JOINED_BYTES {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends what is held back.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends a request that [`render`] has made before.
    pub(crate) fn send_rendered(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// Returns what says that an answer has begun to arrive.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads one answer; `head` says that the request was HEAD, whose answer has no body.
    pub(crate) fn receive(&mut self, head: bool, sink: &mut dyn FnMut(&[u8])) -> Result<Answer> {
        let mut answer = self.receive_head()?;
        if head || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        if answer.chunked {
            loop {
                let size = self.chunk_size()?;
                answer.received += size;
                self.take(size, sink)?;
                // The line end after a chunk; after the last one, the empty trailer.
                ensure!(self.line()?.is_empty(), "a chunk has no end");
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.length.context("the answer has no length")?;
        self.take(length, sink)?;
        answer.received = length;
        Ok(answer)
    }

    fn receive_head(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        let line = self.line()?;
        answer.status = line
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .with_context(|| format!("status line {:?}", String::from_utf8_lossy(line)))?;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(answer);
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                bail!("a header without a colon");
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let text = || std::str::from_utf8(value).map(str::to_owned);
            if name.eq_ignore_ascii_case(b"content-length") {
                answer.length = Some(std::str::from_utf8(value)?.parse()?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                answer.chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if name.eq_ignore_ascii_case(b"location") {
                answer.location = Some(text()?);
            } else if name.eq_ignore_ascii_case(b"docker-content-digest") {
                answer.digest = Some(text()?);
            }
        }
    }

    fn chunk_size(&mut self) -> Result<u64> {
        let line = std::str::from_utf8(self.line()?)?;
        let digits = line.split(';').next().unwrap_or(line).trim();
        u64::from_str_radix(digits, 16).with_context(|| format!("chunk size {line:?}"))
    }

    /// Returns the next line without its end.
    fn line(&mut self) -> Result<&[u8]> {
        let mut searched = self.start;
        loop {
            let found = self.buffer[searched..self.end]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(offset) = found {
                let (from, to) = (self.start, searched + offset);
                self.start = to + 1;
                let line = &self.buffer[from..to];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            let pending = self.end - self.start;
            self.fill()?;
            searched = self.start + pending;
        }
    }

    /// Gives the next `length` bytes to `sink`.
    fn take(&mut self, mut length: u64, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        while length > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let held = self.end - self.start;
            let used = usize::try_from(length).map_or(held, |length| length.min(held));
            sink(&self.buffer[self.start..self.start + used]);
            self.start += used;
            length -= used as u64;
        }
        Ok(())
    }

    /// Reads more, behind what is held.
    fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            ensure!(self.start > 0, "a line longer than {BUFFER_BYTES} bytes");
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        ensure!(read > 0, "the server closed the connection");
        self.end += read;
        Ok(())
    }
}

/// Appends the head of `request`, with a body of `length` bytes, to `out`.
pub(crate) fn render(out: &mut Vec<u8>, request: &Request<'_>, length: u64) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in request.headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !matches!(request.method, "GET" | "HEAD") {
        out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Serves `answers`, split into writes of `split` bytes, to one client.
    fn connection_to(answers: &'static [u8], split: usize) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in answers.chunks(split) {
                stream.write_all(piece).unwrap();
            }
        });
        Connection::open(address).unwrap()
    }

    #[test]
    fn answers_are_read_however_they_are_split() {
        const ANSWERS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 202 Accepted\r\nlocation: /v2/x\r\nContent-Length: 0\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
            HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n!";
        for split in [1, 2, 3, 7, 64, 4096] {
            let mut connection = connection_to(ANSWERS, split);
            let mut body = Vec::new();
            let mut read = |body: &mut Vec<u8>| {
                body.clear();
                connection
                    .receive(false, &mut |piece| body.extend_from_slice(piece))
                    .unwrap()
            };
            let answer = read(&mut body);
            assert_eq!((answer.status, body.as_slice()), (200, b"hello".as_slice()));
            let answer = read(&mut body);
            assert_eq!(
                (answer.status, answer.location.as_deref()),
                (202, Some("/v2/x"))
            );
            let answer = read(&mut body);
            assert_eq!((answer.received, body.as_slice()), (5, b"abcde".as_slice()));
            assert!(read(&mut body).expect(200).is_err());
        }
    }

    #[test]
    fn an_answer_that_is_cut_is_an_error() {
        let mut connection = connection_to(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 64);
        assert!(connection.receive(false, &mut |_| {}).is_err());
    }
}
