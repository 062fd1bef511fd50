//! Our checkpoint of an ingest, beside its data in the file `wharfinger`.
//!
//! ```text
//! line 1   hex of HMAC-SHA256(secret, "wharfinger ingest\n" PATH "\n" line 2)
//! line 2   JSON:
//!   host     the machine that wrote it
//!   boot     the boot of that machine
//!   latest   {offset, hash, driver}: what had arrived; outlives the process
//!   synced   {offset, hash, driver}: what was synced; outlives a power cut
//!   readings [{at, digest}]: what reading all bytes back has come to
//!   refused  the digest that the last finish asked for, and that the bytes do not have
//! ```
//!
//! `hash` is the hasher's state in Go's form and `driver` the driver's own state, both base64.
//! PATH is the ingest's directory, so a marker cannot be carried to another ingest. A marker with
//! a wrong MAC counts as none: whoever can write to the directory can lose us some time, and
//! cannot have bytes accepted that were never hashed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wharfinger_driver::DriverPath;
use wharfinger_oci::{Algorithm, Digest, HashState, Hasher};
use wharfinger_runtime::{Host, Secret};

/// 4 MiB: the state of a driver grows with the parts of an upload, of which S3 allows 10,000.
pub(super) const MOST_MARKER_BYTES: u64 = 4 * 1024 * 1024;

/// A point from which an ingest can go on.
#[derive(Debug, Clone)]
pub(crate) struct SavePoint {
    pub(crate) hasher: Hasher,
    pub(crate) driver: Option<Bytes>,
}

impl SavePoint {
    /// How many bytes it covers.
    pub(crate) fn offset(&self) -> u64 {
        self.hasher.bytes_hashed()
    }
}

/// What reading all bytes back has come to: once an algorithm in the life of an ingest, so that
/// nobody can have them read again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Readings(Vec<Reading>);

/// The digest of all bytes, when there were so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) at: u64,
    pub(crate) digest: Digest,
}

impl Readings {
    /// Returns the one under `algorithm`.
    pub(crate) fn under(&self, algorithm: Algorithm) -> Option<&Reading> {
        let mut all = self.0.iter();
        all.find(|reading| reading.digest.algorithm() == algorithm)
    }

    /// Adds the first one under its algorithm.
    pub(crate) fn add(&mut self, reading: Reading) {
        self.0.push(reading);
    }
}

/// What is known of an ingest between requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marker {
    pub(crate) host: String,
    pub(crate) boot: String,
    pub(crate) latest: Option<SavePoint>,
    pub(crate) synced: Option<SavePoint>,
    pub(crate) readings: Readings,
    pub(crate) refused: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct MarkerJson {
    host: String,
    boot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<SavePointJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synced: Option<SavePointJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    readings: Vec<ReadingJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ReadingJson {
    at: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct SavePointJson {
    offset: u64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
}

impl Marker {
    /// What this process, in this boot of its machine, knows to have arrived.
    pub(crate) fn of(host: &Host) -> Self {
        Self {
            host: host.machine().to_owned(),
            boot: host.boot().to_owned(),
            ..Self::default()
        }
    }

    /// Prints the marker of the ingest in `directory`.
    pub(crate) fn print(&self, secret: &Secret<Vec<u8>>, directory: &DriverPath) -> Bytes {
        let json = MarkerJson {
            host: self.host.clone(),
            boot: self.boot.clone(),
            latest: self.latest.as_ref().map(SavePointJson::of),
            synced: self.synced.as_ref().map(SavePointJson::of),
            readings: self.readings.0.iter().map(ReadingJson::of).collect(),
            refused: self.refused.map(|digest| digest.to_string()),
        };
        let json = serde_json::to_string(&json).expect("text, numbers and options are always JSON");
        let mac = hex(&mac_of(secret, directory, &json).finalize().into_bytes());
        format!("{mac}\n{json}\n").into()
    }

    /// Reads the marker of the ingest in `directory`; `None` when it is not one of ours.
    pub(crate) fn parse(
        secret: &Secret<Vec<u8>>,
        directory: &DriverPath,
        bytes: &[u8],
    ) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let (mac, json) = (lines.next()?, lines.next()?);
        mac_of(secret, directory, json)
            .verify_slice(&unhex(mac)?)
            .ok()?;
        let json: MarkerJson = serde_json::from_str(json).ok()?;
        let readings = json.readings.into_iter().filter_map(ReadingJson::restore);
        Some(Self {
            host: json.host,
            boot: json.boot,
            latest: json.latest.and_then(SavePointJson::restore),
            synced: json.synced.and_then(SavePointJson::restore),
            readings: Readings(readings.collect()),
            refused: json.refused.and_then(|digest| digest.parse().ok()),
        })
    }
}

impl SavePointJson {
    fn of(point: &SavePoint) -> Self {
        Self {
            offset: point.offset(),
            hash: STANDARD.encode(point.hasher.state().as_bytes()),
            driver: point.driver.as_ref().map(|state| STANDARD.encode(state)),
        }
    }

    fn restore(self) -> Option<SavePoint> {
        let state = HashState::from_bytes(&STANDARD.decode(self.hash).ok()?).ok()?;
        let hasher = Hasher::restore(&state).ok()?;
        let driver = match self.driver {
            Some(state) => Some(STANDARD.decode(state).ok()?.into()),
            None => None,
        };
        (hasher.bytes_hashed() == self.offset).then_some(SavePoint { hasher, driver })
    }
}

impl ReadingJson {
    fn of(reading: &Reading) -> Self {
        Self {
            at: reading.at,
            digest: reading.digest.to_string(),
        }
    }

    fn restore(self) -> Option<Reading> {
        let digest = self.digest.parse().ok()?;
        Some(Reading {
            at: self.at,
            digest,
        })
    }
}

fn mac_of(secret: &Secret<Vec<u8>>, directory: &DriverPath, json: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes keys of any length");
    for part in ["wharfinger ingest\n", directory.as_str(), "\n", json] {
        mac.update(part.as_bytes());
    }
    mac
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String does not fail");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Marker {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"some bytes");
        let synced = SavePoint {
            hasher: hasher.clone(),
            driver: Some(Bytes::from_static(b"parts")),
        };
        hasher.update(b" and more");
        Marker {
            host: "machine".into(),
            boot: "boot".into(),
            latest: Some(SavePoint {
                hasher,
                driver: None,
            }),
            synced: Some(synced),
            readings: Readings(vec![reading()]),
            refused: Some(Digest::of(Algorithm::Sha256, b"else")),
        }
    }

    fn reading() -> Reading {
        Reading {
            at: 19,
            digest: Digest::of(Algorithm::Sha512, b"some bytes and more"),
        }
    }

    #[test]
    fn a_marker_comes_back_whole() {
        let (secret, directory) = (
            Secret::new(b"secret".to_vec()),
            "a/_uploads/1".parse().unwrap(),
        );
        let marker =
            Marker::parse(&secret, &directory, &sample().print(&secret, &directory)).unwrap();
        let (latest, synced) = (marker.latest.unwrap(), marker.synced.unwrap());
        assert_eq!(latest.offset(), 19);
        assert_eq!(
            latest.hasher.finish(),
            Digest::of(Algorithm::Sha256, b"some bytes and more")
        );
        assert_eq!(
            (synced.offset(), synced.driver.as_deref()),
            (10, Some(&b"parts"[..]))
        );
        assert_eq!(marker.readings.under(Algorithm::Sha512), Some(&reading()));
        assert_eq!(marker.readings.under(Algorithm::Sha256), None);
        assert_eq!(marker.refused, sample().refused);
    }

    #[test]
    fn a_marker_counts_only_with_its_mac_in_its_place() {
        let (secret, directory) = (
            Secret::new(b"secret".to_vec()),
            "a/_uploads/1".parse().unwrap(),
        );
        let bytes = sample().print(&secret, &directory);
        let elsewhere = "b/_uploads/1".parse().unwrap();
        assert!(Marker::parse(&secret, &elsewhere, &bytes).is_none());
        assert!(Marker::parse(&Secret::new(b"other".to_vec()), &directory, &bytes).is_none());
        let mut changed = bytes.to_vec();
        let at = changed.len() - 10;
        changed[at] ^= 1;
        assert!(Marker::parse(&secret, &directory, &changed).is_none());
        assert!(Marker::parse(&secret, &directory, b"").is_none());
    }
}
