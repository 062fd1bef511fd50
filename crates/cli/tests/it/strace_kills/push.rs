//! The push: an upload in two parts and a manifest; what was acknowledged of it, and what must be there then.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use wharfinger_testkit::{Blob, Image, Registry, Request};

const TAG: &str = "pushed";

/// A push of an image that has nothing but its configuration: the smallest that passes every step.
pub(super) struct Push {
    repository: String,
    image: Image,
    /// Where the upload goes on after the acknowledged PATCH.
    patched: Option<String>,
    blob: bool,
    manifest: bool,
}

impl Push {
    /// Makes the push `number`; no two share a repository or a byte.
    pub(super) fn new(number: usize) -> Self {
        Self {
            repository: format!("strace/push-{number}"),
            image: Image::build(number as u64, &[]),
            patched: None,
            blob: false,
            manifest: false,
        }
    }

    /// Pushes, until the end or until the connection breaks.
    pub(super) fn run(&mut self, address: SocketAddr) -> Result<()> {
        let mut registry = Registry::new(address);
        let blob = self.image.config.clone();
        let (first, rest) = halves(&blob);
        let location = registry.start_upload(&self.repository)?;
        let location = self.patched.insert(registry.append(&location, first)?);
        registry.finish_upload(location, &blob.digest, rest)?;
        self.blob = true;
        registry.push_manifest(&self.repository, TAG, &self.image.manifest)?;
        self.manifest = true;
        Ok(())
    }

    /// Looks at everything that the push may have left, goes on with it, and then repeats it; returns what
    /// is not as it should be.
    pub(super) fn check(&mut self, address: SocketAddr) -> Vec<String> {
        let mut registry = Registry::new(address);
        let checks = [
            self.check_blob(&mut registry),
            self.check_manifest(&mut registry),
            self.check_upload(&mut registry),
            self.check_repeated(&mut registry),
        ];
        checks
            .into_iter()
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect()
    }

    /// Acknowledged, and there whole; or not acknowledged, and there whole or not at all.
    fn check_blob(&self, registry: &mut Registry) -> Result<()> {
        let digest = &self.image.config.digest;
        let target = format!("/v2/{}/blobs/{digest}", self.repository);
        let statuses = [
            registry.status("HEAD", &target)?,
            registry.status("GET", &target)?,
        ];
        match statuses {
            [404, 404] if !self.blob => Ok(()),
            [200, 200] => registry.blob(&self.repository, digest).map(drop),
            _ => bail!("the blob answers {statuses:?}, acknowledged: {}", self.blob),
        }
    }

    fn check_manifest(&self, registry: &mut Registry) -> Result<()> {
        for reference in [TAG, &self.image.manifest.digest] {
            let target = format!("/v2/{}/manifests/{reference}", self.repository);
            match registry.status("GET", &target)? {
                404 if !self.manifest => {}
                200 => registry.check_image(&self.repository, reference, &self.image)?,
                status => {
                    bail!(
                        "manifest {reference}: {status}, acknowledged: {}",
                        self.manifest
                    );
                }
            }
        }
        Ok(())
    }

    /// The bytes of an acknowledged PATCH are there: the finish may be sent again, as it was, or if part of
    /// it has arrived from there on, and ends in 201.
    fn check_upload(&self, registry: &mut Registry) -> Result<()> {
        let Some(location) = self.patched.as_deref() else {
            return Ok(());
        };
        let blob = &self.image.config;
        let (_, rest) = halves(blob);
        let target = format!("{location}&digest={}", blob.digest);
        let again = registry.send(&Request::new("PUT", target).body(rest))?;
        match again.status() {
            201 => return Ok(()),
            416 => {}
            status => bail!("the finish sent again: {status} {}", again.text()),
        }
        let status = registry.send(&Request::new("GET", location))?.expect(204)?;
        let range = status.header("range").context("a status without range")?;
        let last: usize = range
            .trim_start_matches("0-")
            .parse()
            .context(range.to_owned())?;
        let rest = blob
            .bytes
            .get(last + 1..)
            .context("more bytes than were sent")?;
        if rest.len() > blob.bytes.len().div_ceil(2) {
            let stored = format!("/v2/{}/blobs/{}", self.repository, blob.digest);
            let stored = registry.status("HEAD", &stored)?;
            bail!("the finish sent again: 416, the upload has {range}, the blob answers {stored}");
        }
        let location = status
            .header("location")
            .context("a status without location")?;
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        registry
            .finish_upload(path, &blob.digest, rest)
            .context("the finish from there on")?;
        Ok(())
    }

    fn check_repeated(&mut self, registry: &mut Registry) -> Result<()> {
        registry
            .push_image(&self.repository, TAG, &self.image)
            .context("repeated")?;
        registry
            .check_image(&self.repository, TAG, &self.image)
            .context("repeated")?;
        let tags = registry.tags(&self.repository)?;
        ensure!(tags == [TAG], "tags {tags:?}");
        Ok(())
    }
}

fn halves(blob: &Blob) -> (&[u8], &[u8]) {
    blob.bytes.split_at(blob.bytes.len() / 2)
}
