//! The conversations with a registry that rows are made of: the ways to push, and a pull.

use anyhow::{Context, Result, bail, ensure};

use super::client::{Answer, Connection, Request};
use super::contents::Content;

/// The media type of an image's manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// A way to push a blob.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// POST, then PUT with the whole body.
    Put,
    /// POST, then PATCH with the whole body, then an empty PUT.
    Patch,
    /// POST, then PATCHes of this many bytes, then an empty PUT.
    Chunks(usize),
}

/// Pushes `content` into `repository`.
pub(crate) fn push(
    connection: &mut Connection,
    repository: &str,
    content: &Content,
    way: Way,
) -> Result<()> {
    let mut target = start(connection, repository)?;
    let size = content.size();
    let chunk = match way {
        Way::Put => 0,
        Way::Patch => size,
        Way::Chunks(bytes) => bytes,
    };
    let mut sent = 0;
    while chunk > 0 && sent < size {
        let end = size.min(sent + chunk);
        let range = format!("{sent}-{}", end - 1);
        let ranged = [OCTETS, ("Content-Range", range.as_str())];
        let answer = connection.call(&Request {
            method: "PATCH",
            target: &target,
            headers: if matches!(way, Way::Chunks(_)) {
                &ranged
            } else {
                &ranged[..1]
            },
            body: &content.parts(sent, end),
        })?;
        target = accepted(answer)?;
        sent = end;
    }
    finish(
        connection,
        &target,
        content.digest(),
        &content.parts(sent, size),
    )
}

/// Starts an upload and returns where its bytes go.
pub(crate) fn start(connection: &mut Connection, repository: &str) -> Result<String> {
    let answer = connection.call(&Request {
        method: "POST",
        target: &format!("/v2/{repository}/blobs/uploads/"),
        headers: &[],
        body: &[],
    })?;
    accepted(answer)
}

/// The head of a PATCH whose body is sent by and by.
pub(crate) fn patch(target: &str) -> Request<'_> {
    Request {
        method: "PATCH",
        target,
        headers: &[("Content-Type", "application/octet-stream")],
        body: &[],
    }
}

/// Returns where an upload goes on, from the answer to its POST or PATCH.
pub(crate) fn accepted(answer: Answer) -> Result<String> {
    let location = answer.expect(202)?.location;
    Ok(path_of(&location.context("an upload without a Location")?))
}

/// Ends the upload at `target` with the last bytes of its content.
pub(crate) fn finish(
    connection: &mut Connection,
    target: &str,
    digest: &str,
    body: &[&[u8]],
) -> Result<()> {
    let mark = if target.contains('?') { '&' } else { '?' };
    let answer = connection
        .call(&Request {
            method: "PUT",
            target: &format!("{target}{mark}digest={digest}"),
            headers: &[OCTETS],
            body,
        })?
        .expect(201)?;
    ensure!(
        answer.digest.is_none_or(|answered| answered == digest),
        "the registry answered another digest"
    );
    Ok(())
}

/// Puts a manifest under `reference`.
pub(crate) fn put_manifest(
    connection: &mut Connection,
    repository: &str,
    reference: &str,
    manifest: &[u8],
) -> Result<()> {
    connection
        .call(&Request {
            method: "PUT",
            target: &format!("/v2/{repository}/manifests/{reference}"),
            headers: &[("Content-Type", MANIFEST_TYPE)],
            body: &[manifest],
        })?
        .expect(201)?;
    Ok(())
}

/// How much of what is pulled is held against what was pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    /// Every byte.
    Whole,
    /// The length, and some bytes of each piece that arrives: what the client can afford while
    /// the clock runs.
    Samples,
}

/// Pulls `content` and holds it against what it should be.
pub(crate) fn pull(
    connection: &mut Connection,
    repository: &str,
    content: &Content,
    check: Check,
) -> Result<()> {
    get(connection, repository, content, None, check)
}

/// Pulls the bytes `from..to` of `content` and holds some of each piece against what they should be.
pub(crate) fn pull_range(
    connection: &mut Connection,
    repository: &str,
    content: &Content,
    (from, to): (usize, usize),
) -> Result<()> {
    get(
        connection,
        repository,
        content,
        Some((from, to)),
        Check::Samples,
    )
}

fn get(
    connection: &mut Connection,
    repository: &str,
    content: &Content,
    range: Option<(usize, usize)>,
    check: Check,
) -> Result<()> {
    let (from, to) = range.unwrap_or((0, content.size()));
    let words = format!("bytes={from}-{}", to - 1);
    let ranged = [("Range", words.as_str())];
    let (mut offset, mut same) = (from, true);
    let answer = connection.call_with(
        &Request {
            method: "GET",
            target: &blob_target(repository, content.digest()),
            headers: if range.is_some() { &ranged } else { &[] },
            body: &[],
        },
        &mut |piece| {
            let part = match check {
                Check::Whole => piece,
                Check::Samples => &piece[..piece.len().min(64)],
            };
            same &= content.holds(offset, part);
            offset += piece.len();
        },
    )?;
    answer.expect(if range.is_some() { 206 } else { 200 })?;
    if !same || offset != to {
        bail!(
            "what was pulled is not what was pushed: {}",
            content.digest()
        );
    }
    Ok(())
}

/// Returns the target of a blob.
pub(crate) fn blob_target(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// The path and query of a Location, which may be absolute.
fn path_of(location: &str) -> String {
    // Only an absolute one begins with a scheme; a query may hold anything.
    if location.starts_with('/') {
        return location.to_owned();
    }
    let rest = location
        .split_once("://")
        .map_or(location, |(_, rest)| rest);
    rest.find('/')
        .map_or("/", |slash| &rest[slash..])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn a_location_may_be_absolute() {
        assert_eq!(path_of("http://localhost:5000/v2/a?b=c"), "/v2/a?b=c");
        assert_eq!(path_of("/v2/a?b=http://c"), "/v2/a?b=http://c");
    }
}
