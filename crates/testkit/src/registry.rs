//! A registry as its clients see it: the requests of a push, a pull, a list and a delete.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Client, Request, Response};
use crate::images::{Blob, Image, media_types, sha256};

/// Speaks the registry API to one address, and checks each answer.
///
/// Every method fails when the answer is not the one the specification promises, and tells what it was.
#[derive(Debug)]
pub struct Registry {
    client: Client,
}

impl Registry {
    /// Speaks to the registry at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::new(address),
        }
    }

    /// Speaks through `client`.
    pub fn with_client(client: Client) -> Self {
        Self { client }
    }

    /// Sends any request and returns any answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        Ok(self.client.send(request)?)
    }

    /// Starts an upload and returns where it goes on.
    ///
    /// # Errors
    /// Unless the answer is 202 with a location.
    pub fn start_upload(&mut self, repository: &str) -> Result<String> {
        let request = Request::new("POST", format!("/v2/{repository}/blobs/uploads/"));
        location(
            &self
                .send(&request)?
                .expect(202)
                .context("start of an upload")?,
        )
    }

    /// Appends `bytes` to the upload at `location` and returns where it goes on.
    ///
    /// # Errors
    /// Unless the answer is 202 with a location.
    pub fn append(&mut self, location_before: &str, bytes: &[u8]) -> Result<String> {
        let request = Request::new("PATCH", location_before)
            .header("Content-Type", "application/octet-stream")
            .body(bytes);
        location(
            &self
                .send(&request)?
                .expect(202)
                .context("PATCH of an upload")?,
        )
    }

    /// Finishes the upload at `location` with `bytes`, the last part, as the blob `digest`.
    ///
    /// # Errors
    /// Unless the answer is 201.
    pub fn finish_upload(
        &mut self,
        location: &str,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Response> {
        let request = Request::new("PUT", finish_target(location, digest))
            .header("Content-Type", "application/octet-stream")
            .body(bytes);
        self.send(&request)?
            .expect(201)
            .with_context(|| format!("finish of blob {digest}"))
    }

    /// Pushes a blob with POST and PUT.
    ///
    /// # Errors
    /// Unless the answers are 202 and 201.
    pub fn push_blob(&mut self, repository: &str, blob: &Blob) -> Result<()> {
        let location = self.start_upload(repository)?;
        self.finish_upload(&location, &blob.digest, &blob.bytes)?;
        Ok(())
    }

    /// Pushes a manifest under `reference`, a tag or its digest.
    ///
    /// # Errors
    /// Unless the answer is 201.
    pub fn push_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        manifest: &Blob,
    ) -> Result<()> {
        let request = Request::new("PUT", format!("/v2/{repository}/manifests/{reference}"))
            .header("Content-Type", manifest.media_type.as_str())
            .body(manifest.bytes.as_slice());
        self.send(&request)?
            .expect(201)
            .with_context(|| format!("push of manifest {reference}"))?;
        Ok(())
    }

    /// Pushes an image: its blobs, then its manifest under `tag`.
    ///
    /// # Errors
    /// When any of them is not taken.
    pub fn push_image(&mut self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        for blob in image.blobs() {
            self.push_blob(repository, blob)?;
        }
        self.push_manifest(repository, tag, &image.manifest)
    }

    /// Pulls the blob `digest`, and holds its bytes against it.
    ///
    /// # Errors
    /// Unless the answer is 200 with those bytes.
    pub fn blob(&mut self, repository: &str, digest: &str) -> Result<Vec<u8>> {
        let request = Request::new("GET", format!("/v2/{repository}/blobs/{digest}"));
        let response = self
            .send(&request)?
            .expect(200)
            .with_context(|| format!("blob {digest}"))?;
        let arrived = sha256(&response.body);
        ensure!(
            arrived == digest,
            "blob {digest} came as {arrived} with {} bytes",
            response.body.len()
        );
        Ok(response.body)
    }

    /// Pulls the manifest at `reference`, and holds its bytes against the digest that the answer names.
    ///
    /// # Errors
    /// Unless the answer is 200 with those bytes.
    pub fn manifest(&mut self, repository: &str, reference: &str) -> Result<Blob> {
        let request = Request::new("GET", format!("/v2/{repository}/manifests/{reference}"))
            .header("Accept", accept());
        let response = self
            .send(&request)?
            .expect(200)
            .with_context(|| format!("manifest {reference}"))?;
        let media_type = response
            .header("content-type")
            .context("a manifest without a type")?;
        let named = response.header("docker-content-digest").map(str::to_owned);
        let manifest = Blob::new(media_type, response.body.clone());
        ensure!(
            named.as_deref() == Some(manifest.digest.as_str()),
            "manifest {reference} came as {} with digest {named:?}",
            manifest.digest
        );
        Ok(manifest)
    }

    /// Checks that `image` is there under `reference`, byte for byte.
    ///
    /// # Errors
    /// When any byte of it is missing or another.
    pub fn check_image(&mut self, repository: &str, reference: &str, image: &Image) -> Result<()> {
        let manifest = self.manifest(repository, reference)?;
        ensure!(
            manifest == image.manifest,
            "{reference} is {}",
            manifest.digest
        );
        for blob in image.blobs() {
            let bytes = self.blob(repository, &blob.digest)?;
            ensure!(bytes == blob.bytes, "blob {} differs", blob.digest);
        }
        Ok(())
    }

    /// Deletes the manifest `digest`.
    ///
    /// # Errors
    /// Unless the answer is 202.
    pub fn delete_manifest(&mut self, repository: &str, digest: &str) -> Result<()> {
        let request = Request::new("DELETE", format!("/v2/{repository}/manifests/{digest}"));
        self.send(&request)?
            .expect(202)
            .with_context(|| format!("delete of manifest {digest}"))?;
        Ok(())
    }

    /// Lists the tags of a repository.
    ///
    /// # Errors
    /// Unless the answer is 200 with a list.
    pub fn tags(&mut self, repository: &str) -> Result<Vec<String>> {
        self.names(&format!("/v2/{repository}/tags/list"), "tags")
    }

    /// Lists the repositories.
    ///
    /// # Errors
    /// Unless the answer is 200 with a list.
    pub fn catalog(&mut self) -> Result<Vec<String>> {
        self.names("/v2/_catalog", "repositories")
    }

    /// Returns the status that `target` answers to `method`, with every kind of manifest accepted.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn status(&mut self, method: &str, target: &str) -> Result<u16> {
        let request = Request::new(method, target).header("Accept", accept());
        Ok(self.send(&request)?.status())
    }

    fn names(&mut self, target: &str, key: &str) -> Result<Vec<String>> {
        let response = self
            .send(&Request::new("GET", target))?
            .expect(200)
            .context(key.to_owned())?;
        let parsed: Value = serde_json::from_slice(&response.body)?;
        // Go prints a list that was never filled as null.
        let list = parsed[key].as_array().cloned().unwrap_or_default();
        Ok(list
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect())
    }
}

/// Every kind of manifest: Distribution answers 404 to whoever does not name the kind that it has.
fn accept() -> String {
    [
        media_types::MANIFEST,
        media_types::INDEX,
        media_types::DOCKER_MANIFEST,
        media_types::DOCKER_LIST,
    ]
    .join(", ")
}

/// Returns the path and query of the Location header, which may be absolute.
fn location(response: &Response) -> Result<String> {
    let location = response
        .header("location")
        .context("an answer without a location")?;
    Ok(match location.split_once("://") {
        Some((_, rest)) => rest[rest.find('/').context("a location without a path")?..].to_owned(),
        None => location.to_owned(),
    })
}

/// Adds the digest to the query of an upload's location.
fn finish_target(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}
