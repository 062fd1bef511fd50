//! Requests and answers.

use std::io;

use anyhow::{Result, bail};

/// A request that is sent whole.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Makes a request without a body; `target` is sent as it is, and so may be anything.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Gives the request a body, and unless a header says otherwise its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the head as it is sent, up to and with the empty line. `host` is the value of the Host header.
    pub fn head_bytes(&self, host: &str) -> Vec<u8> {
        let Self { method, target, .. } = self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let bodiless = self.body.is_empty() && ["GET", "HEAD"].contains(&method.as_str());
        if !bodiless && !self.names("content-length") && !self.names("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Returns the body.
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    fn names(&self, header: &str) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(header))
    }
}

/// The status line and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The headers in the order they came, names as they were written.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the first header called `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the server closes the connection after this answer.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Parses the lines of a head, without the empty one.
    pub(super) fn parse(text: &str) -> io::Result<Self> {
        let broken =
            |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {text:?}"));
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .and_then(|line| line.get(2..5))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| broken("no status line"))?;
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or_else(|| broken("no header"))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { status, headers })
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status line and headers.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Returns the first header called `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Returns the body as text, with signs in place of what is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the answer if its status is `status`.
    ///
    /// # Errors
    /// When it is another; the error tells the body.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status() != status {
            bail!(
                "status {} in place of {status}: {}",
                self.status(),
                self.text()
            );
        }
        Ok(self)
    }
}
