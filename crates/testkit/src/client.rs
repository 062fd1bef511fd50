//! A small blocking HTTP/1.1 client that can also misbehave.
//!
//! [`Client`] sends whole requests over a connection that it keeps. [`Connection`] is the layer below: any bytes
//! can be sent, in any pieces, and the connection cut where a test wants it cut.

mod connection;
mod message;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use self::connection::Connection;
pub use self::message::{Head, Request, Response};

/// No answer of a test takes longer; a server that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests to one address, over one connection that is kept between them.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Client {
    /// Makes a client; the connection is opened by the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            timeout: TIMEOUT,
            connection: None,
        }
    }

    /// Sets how long the client waits for bytes.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails on the way. Nothing is sent twice; the next request opens a new connection.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address, self.timeout)?,
        };
        let sent = connection.send_request(request);
        let answer = connection.read_response(request.method() == "HEAD");
        let response = match (sent, answer) {
            (Ok(()), answer) => answer?,
            // A server may refuse a body before it has read it all: the answer is there, the connection is not.
            (Err(_), Ok(answer)) => return Ok(answer),
            (Err(error), Err(_)) => return Err(error),
        };
        if !response.head.closes() {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Opens a connection of its own, for a test that sends by hand.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.address, self.timeout)
    }

    /// Closes the kept connection, if there is one.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }
}
