//! Where the clients call: one registry with a directory of its own, and the log of what was asked of it.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;
use wharfinger_testkit::{Image, Registry, RegistryConfig, Scratch, Server, eventually};

use super::Stored;
use crate::setup::wharfinger_with;

pub(super) struct Dock {
    // The server before the directory: fields are dropped in this order.
    server: Server,
    pub(super) registry: Registry,
    pub(super) scratch: Scratch,
}

impl Dock {
    pub(super) fn open(purpose: &str) -> Result<Self> {
        let scratch = Scratch::new(purpose)?;
        let config = RegistryConfig::new(&scratch.join("data"));
        let structured = [("WHARFINGER_ACCESSLOG", "structured".to_owned())];
        let server = wharfinger_with(&config, &scratch, &structured)?;
        let registry = server.registry();
        Ok(Self {
            server,
            registry,
            scratch,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> String {
        self.server.host()
    }

    /// The full name of what lies at `path`, such as `some/repository:tag`.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.host())
    }

    /// Has an image, not pushed by any client.
    pub(super) fn has_image(&mut self, repository: &str, tag: &str, seed: u64) -> Result<Image> {
        let image = Image::build(seed, &[2 << 10, 300_000]);
        self.registry.push_image(repository, tag, &image)?;
        Ok(image)
    }

    /// What lies at `repository:tag`, an image or an artifact, every byte of it held against its digest.
    pub(super) fn stored(&mut self, repository: &str, tag: &str) -> Result<Stored> {
        Stored::read(&mut self.registry, repository, tag)
    }

    /// How many answers with `status` were given to `method` below `path`.
    pub(super) fn answers(&self, method: &str, path: &str, status: u16) -> Result<usize> {
        let log = fs::read_to_string(self.server.log())?;
        let marks = [
            format!(" method={method} "),
            format!(" path={path}"),
            format!(" status={status} "),
        ];
        let asked = |line: &&str| marks.iter().all(|mark| format!("{line} ").contains(mark));
        Ok(log.lines().filter(asked).count())
    }

    /// Waits until the log tells of an answer: it is written after the client has it.
    pub(super) fn expect_answer(&self, method: &str, path: &str, status: u16) {
        eventually!(
            self.answers(method, path, status)
                .is_ok_and(|count| count > 0)
        );
    }

    /// Every tag that `repository` has.
    pub(super) fn tags(&mut self, repository: &str) -> Result<Vec<String>> {
        self.registry.tags(repository)
    }
}
