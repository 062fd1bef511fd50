//! One connection, byte by byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::message::{Head, Request, Response};

/// No head of an answer is longer.
const HEAD_LIMIT: u64 = 64 * 1024;

/// An open connection over which anything can be sent.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `address`; no read and no write may then take longer than `timeout`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_string(),
        })
    }

    /// Sends `bytes` as they are.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends the head of `request` and nothing of its body.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_head(&mut self, request: &Request) -> io::Result<()> {
        let head = request.head_bytes(&self.host);
        self.send(&head)
    }

    /// Sends `request` whole.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_request(&mut self, request: &Request) -> io::Result<()> {
        let mut bytes = request.head_bytes(&self.host);
        // A small body goes out with its head; a large one is not copied for that.
        if request.body_bytes().len() <= 16 * 1024 {
            bytes.extend_from_slice(request.body_bytes());
            return self.send(&bytes);
        }
        self.send(&bytes)?;
        self.send(request.body_bytes())
    }

    /// Sends one chunk of a body with `Transfer-Encoding: chunked`; an empty one ends the body.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        self.send(bytes)?;
        self.send(b"\r\n")
    }

    /// Says that nothing more is sent, and still reads.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Cuts the connection in both directions.
    pub fn cut(self) {
        // It may be cut already, and then all is as wanted.
        drop(self.stream.get_ref().shutdown(Shutdown::Both));
    }

    /// Reads an answer whole, past any of status 1xx; `bodiless` when the request was HEAD.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or what comes is not HTTP.
    pub fn read_response(&mut self, bodiless: bool) -> io::Result<Response> {
        loop {
            let head = self.read_head()?;
            if (100..200).contains(&head.status) {
                continue;
            }
            let mut body = Vec::new();
            if !bodiless {
                self.read_body(&head, &mut body)?;
            }
            return Ok(Response { head, body });
        }
    }

    /// Reads the head of an answer, also one of status 1xx.
    ///
    /// # Errors
    /// As [`read_response`](Self::read_response).
    pub fn read_head(&mut self) -> io::Result<Head> {
        let mut text = String::new();
        let mut limited = (&mut self.stream).take(HEAD_LIMIT);
        loop {
            let before = text.len();
            if limited.read_line(&mut text)? == 0 {
                return Err(cut_short("head"));
            }
            if &text[before..] == "\r\n" {
                return Head::parse(&text);
            }
        }
    }

    /// Reads the body that belongs to `head` into `sink`, piece by piece, and returns its length.
    ///
    /// # Errors
    /// As [`read_response`](Self::read_response), and those of `sink`.
    pub fn read_body(&mut self, head: &Head, sink: &mut impl Write) -> io::Result<u64> {
        if matches!(head.status, 100..200 | 204 | 304) {
            return Ok(0);
        }
        if head
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks(sink);
        }
        match head.header("content-length").map(str::parse::<u64>) {
            Some(Ok(length)) => {
                self.read_exactly(length, sink)?;
                Ok(length)
            }
            Some(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            None => io::copy(&mut self.stream, sink),
        }
    }

    fn read_chunks(&mut self, sink: &mut impl Write) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("chunk size {line:?}"))
            })?;
            if size == 0 {
                // Trailers, up to the empty line.
                while !self.read_line()?.is_empty() {}
                return Ok(total);
            }
            self.read_exactly(size, sink)?;
            total += size;
            self.read_line()?;
        }
    }

    fn read_exactly(&mut self, length: u64, sink: &mut impl Write) -> io::Result<()> {
        let copied = io::copy(&mut (&mut self.stream).take(length), sink)?;
        if copied == length {
            Ok(())
        } else {
            Err(cut_short("body"))
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if (&mut self.stream).take(HEAD_LIMIT).read_line(&mut line)? == 0 {
            return Err(cut_short("chunk"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn cut_short(part: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the connection ended within the {part}"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;
    use crate::Client;

    /// Answers one connection with `answer`, whatever is asked.
    fn server(answer: &'static [u8]) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            assert!(stream.read(&mut asked).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        Client::new(address)
    }

    fn get(answer: &'static [u8]) -> io::Result<Response> {
        server(answer).send(&Request::new("GET", "/"))
    }

    #[test]
    fn a_body_with_a_length_ends_there() {
        let response = get(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Y:z\r\n\r\nabcdef").unwrap();
        assert_eq!(
            (response.status(), response.body.as_slice()),
            (200, b"abc".as_slice())
        );
        assert_eq!(response.header("x-y"), Some("z"));
    }

    #[test]
    fn chunks_are_joined() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(get(answer).unwrap().body, b"abcde");
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let mut client = server(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n");
        assert!(
            client
                .send(&Request::new("HEAD", "/"))
                .unwrap()
                .body
                .is_empty()
        );
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let answer =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(get(answer).unwrap().status(), 201);
    }

    #[test]
    fn a_body_that_is_cut_is_an_error() {
        let error = get(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        assert_eq!(
            get(b"SSH-2.0\r\n\r\n").unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
