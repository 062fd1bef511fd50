//! `floor`: what a push costs at least. The bench starts this program as one more peer.
//!
//! It speaks just enough HTTP for the bench's own client. Each upload is three threads that overlap:
//! one reads the socket, one hashes, one writes, with buffers of 1 MiB that go round between them.
//! At the end the file is synced with one fdatasync, renamed to its digest, and its directory
//! synced. There are no names, rights, tokens, resumes, records, bounds or errors with a body:
//! whatever a registry needs beyond this time is the price of being one.

mod pipeline;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use self::pipeline::Upload;

/// A head longer than this is none of ours.
const HEAD_BYTES: usize = 16 * 1024;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// Names the files that are not finished.
    next: AtomicU64,
}

/// Serves until it is ended: `floor ADDRESS DIRECTORY`.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [address, directory] = words else {
        bail!("`floor` takes an address and a directory; `cargo xtask bench` starts it");
    };
    let address: SocketAddr = address.parse().context("an address")?;
    let shared = Arc::new(Shared {
        directory: directory.into(),
        next: AtomicU64::new(0),
    });
    for stream in TcpListener::bind(address)?.incoming() {
        let (stream, shared) = (stream?, Arc::clone(&shared));
        thread::spawn(move || {
            if let Err(error) = serve(stream, &shared) {
                eprintln!("floor: {error:#}");
            }
        });
    }
    Ok(())
}

/// Answers the requests of one connection until it is closed.
fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut upload: Option<Upload> = None;
    let mut held = Vec::with_capacity(HEAD_BYTES);
    while let Some(head) = Head::read(&mut stream, &mut held)? {
        match head.method.as_str() {
            "POST" => {
                let number = shared.next.fetch_add(1, Ordering::Relaxed);
                upload = Some(Upload::start(&shared.directory, number)?);
                answer(&mut stream, "202 Accepted", 0)?;
            }
            "PATCH" => {
                let upload = upload.as_mut().context("a PATCH without a POST")?;
                upload.receive(&mut held, &mut stream, head.length)?;
                upload.wait_until_written()?;
                answer(&mut stream, "202 Accepted", 0)?;
            }
            "PUT" => {
                let mut upload = upload.take().context("a PUT without a POST")?;
                upload.receive(&mut held, &mut stream, head.length)?;
                let digest = upload.finish()?;
                ensure!(head.target.ends_with(&digest), "another digest: {digest}");
                answer(&mut stream, "201 Created", 0)?;
            }
            "GET" => match blob(&shared.directory, &head.target) {
                Ok((mut file, size)) => {
                    answer(&mut stream, "200 OK", size)?;
                    io::copy(&mut file, &mut stream)?;
                }
                Err(_) => answer(&mut stream, "404 Not Found", 0)?,
            },
            other => bail!("{other} is not spoken here"),
        }
    }
    Ok(())
}

/// Opens a blob: it is asked for when the clock has stopped, to be compared.
fn blob(directory: &Path, target: &str) -> Result<(File, u64)> {
    let (_, hex) = target.rsplit_once(':').context("a digest")?;
    let file = File::open(directory.join(hex))?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn answer(stream: &mut TcpStream, status: &str, length: u64) -> Result<()> {
    let head =
        format!("HTTP/1.1 {status}\r\nLocation: /upload\r\nContent-Length: {length}\r\n\r\n");
    Ok(stream.write_all(head.as_bytes())?)
}

/// The head of a request.
#[derive(Debug)]
struct Head {
    method: String,
    target: String,
    length: usize,
}

impl Head {
    /// Reads the next one; what came behind it stays in `held`. `None` when the client is done.
    fn read(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<Option<Self>> {
        let end = loop {
            if let Some(at) = held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            ensure!(held.len() < HEAD_BYTES, "a head without an end");
            let before = held.len();
            held.resize(HEAD_BYTES, 0);
            let read = stream.read(&mut held[before..])?;
            held.truncate(before + read);
            if read == 0 {
                ensure!(before == 0, "a head that is cut");
                return Ok(None);
            }
        };
        let head = Self::parse(std::str::from_utf8(&held[..end])?)?;
        held.drain(..end + 4);
        Ok(Some(head))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut word = || words.next().map(str::to_owned).context("a request line");
        let (method, target) = (word()?, word()?);
        let mut length = 0;
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("a length")?;
            }
        }
        Ok(Self {
            method,
            target,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_a_method_a_target_and_a_length() {
        let head = Head::parse("PUT /upload?digest=x HTTP/1.1\r\nHost: a\r\ncontent-length: 12");
        let head = head.unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.length),
            ("PUT", "/upload?digest=x", 12)
        );
        assert!(Head::parse("PUT").is_err());
    }
}
