//! The bytes of a segment.
//!
//! ```text
//! segment  = "WHARFJ01" entry(header) entry*
//! entry    = u32 length of body, u32 CRC-32 of body, body
//! header   = u16 length, machine, u16 length, boot     the boot decides; the machine is for people
//! body     = 1, u64 number, u64 seconds since 1970, u32 nanoseconds, operation*
//!          | 2, u64 number                      the record of this number is taken back
//! operation = 1, u8 flags, u16 length, path, u32 length, bytes     put; flag 1: verified
//!           | 2, u16 length, path                                  delete, with all below
//! ```
//!
//! All numbers are little-endian. A segment ends at the first entry that is cut or whose checksum
//! is wrong: what comes there was never promised.

use std::time::{Duration, SystemTime};

use wharfinger_runtime::Host;

const MAGIC: &[u8; 8] = b"WHARFJ01";
/// 16 MiB: no entry is longer; a length beyond it is damage, not data.
pub(super) const LONGEST_ENTRY: usize = 16 * 1024 * 1024;

/// One step of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::filesystem) enum Operation<'a> {
    /// Put a value.
    Put {
        path: &'a str,
        bytes: &'a [u8],
        verified: bool,
    },
    /// Delete what lies there.
    Delete { path: &'a str },
}

impl<'a> Operation<'a> {
    /// The path that it is about.
    pub(super) fn path(&self) -> &'a str {
        match self {
            Self::Put { path, .. } | Self::Delete { path } => path,
        }
    }
}

/// What one entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A promise.
    Promise {
        number: u64,
        written: SystemTime,
        operations: Vec<Operation<'a>>,
    },
    /// The promise of this number is taken back.
    TakenBack { number: u64 },
}

/// The beginning of a segment.
pub(super) fn header(host: &Host) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, host.machine());
    put_text(&mut body, host.boot());
    let mut bytes = MAGIC.to_vec();
    put_entry(&mut bytes, &body);
    bytes
}

impl Entry<'_> {
    /// Appends the entry's bytes.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Self::Promise {
                number,
                written,
                operations,
            } => {
                let since = written
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                body.push(1);
                body.extend_from_slice(&number.to_le_bytes());
                body.extend_from_slice(&since.as_secs().to_le_bytes());
                body.extend_from_slice(&since.subsec_nanos().to_le_bytes());
                for operation in operations {
                    put_operation(&mut body, operation);
                }
            }
            Self::TakenBack { number } => {
                body.push(2);
                body.extend_from_slice(&number.to_le_bytes());
            }
        }
        put_entry(bytes, &body);
    }
}

/// How long the entry of a promise becomes.
pub(super) fn promise_bytes(operations: &[Operation<'_>]) -> usize {
    let each = operations.iter().map(|operation| match operation {
        Operation::Put { path, bytes, .. } => 1 + 1 + 2 + path.len() + 4 + bytes.len(),
        Operation::Delete { path } => 1 + 2 + path.len(),
    });
    1 + 8 + 8 + 4 + each.sum::<usize>()
}

fn put_operation(body: &mut Vec<u8>, operation: &Operation<'_>) {
    match operation {
        Operation::Put {
            path,
            bytes,
            verified,
        } => {
            body.extend_from_slice(&[1, u8::from(*verified)]);
            put_text(body, path);
            body.extend_from_slice(&u32_of(bytes.len()).to_le_bytes());
            body.extend_from_slice(bytes);
        }
        Operation::Delete { path } => {
            body.push(2);
            put_text(body, path);
        }
    }
}

fn put_entry(bytes: &mut Vec<u8>, body: &[u8]) {
    bytes.extend_from_slice(&u32_of(body.len()).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    bytes.extend_from_slice(body);
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("a path has at most 4,095 bytes");
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("what is journalled is small")
}

/// A segment that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) machine: &'a str,
    pub(super) boot: &'a str,
    pub(super) entries: Vec<Entry<'a>>,
    /// How many bytes follow that are no entry.
    pub(super) rest: usize,
}

/// Reads a segment as far as it goes; `None` when not even its header is whole.
pub(super) fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut rest = Cursor(bytes.strip_prefix(MAGIC)?);
    let mut header = Cursor(rest.entry()?);
    let (machine, boot) = (header.text()?, header.text()?);
    let mut entries = Vec::new();
    let mut left = rest.0.len();
    while let Some(entry) = rest.entry().and_then(parse_entry) {
        entries.push(entry);
        left = rest.0.len();
    }
    Some(Parsed {
        machine,
        boot,
        entries,
        rest: left,
    })
}

fn parse_entry(body: &[u8]) -> Option<Entry<'_>> {
    let mut body = Cursor(body);
    match body.u8()? {
        1 => {
            let number = body.u64()?;
            let since = Duration::new(body.u64()?, body.u32()?.min(999_999_999));
            let mut operations = Vec::new();
            while !body.0.is_empty() {
                operations.push(body.operation()?);
            }
            let written = SystemTime::UNIX_EPOCH.checked_add(since)?;
            Some(Entry::Promise {
                number,
                written,
                operations,
            })
        }
        2 => Some(Entry::TakenBack {
            number: body.u64()?,
        }),
        _ => None,
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.array().map(u16::from_le_bytes)?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    fn entry(&mut self) -> Option<&'a [u8]> {
        let (length, checksum) = (usize::try_from(self.u32()?).ok()?, self.u32()?);
        if length > LONGEST_ENTRY {
            return None;
        }
        let body = self.take(length)?;
        (crc32fast::hash(body) == checksum).then_some(body)
    }

    fn operation(&mut self) -> Option<Operation<'a>> {
        match self.u8()? {
            1 => {
                let verified = self.u8()? == 1;
                Some(Operation::Put {
                    path: self.text()?,
                    bytes: self.bytes()?,
                    verified,
                })
            }
            2 => Some(Operation::Delete { path: self.text()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> (Vec<u8>, Vec<Entry<'static>>) {
        let entries = vec![
            Entry::Promise {
                number: 7,
                written: SystemTime::UNIX_EPOCH + Duration::new(1_795_316_348, 5),
                operations: vec![
                    Operation::Put {
                        path: "a/data",
                        bytes: b"\0\xff",
                        verified: true,
                    },
                    Operation::Put {
                        path: "a/link",
                        bytes: b"",
                        verified: false,
                    },
                    Operation::Delete { path: "b" },
                ],
            },
            Entry::TakenBack { number: 7 },
        ];
        let mut bytes = header(&Host::fixed("machine", "boot", SystemTime::UNIX_EPOCH));
        entries.iter().for_each(|entry| entry.append_to(&mut bytes));
        (bytes, entries)
    }

    #[test]
    fn a_segment_comes_back_whole() {
        let (bytes, entries) = sample();
        assert_eq!(
            parse(&bytes).unwrap(),
            Parsed {
                machine: "machine",
                boot: "boot",
                entries,
                rest: 0,
            }
        );
    }

    #[test]
    fn what_is_no_entry_is_counted() {
        let (mut bytes, _) = sample();
        bytes.extend_from_slice(&[7; 100]);
        assert_eq!(parse(&bytes).unwrap().rest, 100);
    }

    #[test]
    fn the_length_of_a_promise_is_known_beforehand() {
        let (_, entries) = sample();
        let mut bytes = Vec::new();
        entries[0].append_to(&mut bytes);
        let Entry::Promise { operations, .. } = &entries[0] else {
            panic!("it is one");
        };
        assert_eq!(promise_bytes(operations), bytes.len() - 8);
    }

    #[test]
    fn a_segment_that_was_cut_gives_what_is_whole_before_the_cut() {
        let (bytes, entries) = sample();
        for end in 0..bytes.len() {
            if let Some(parsed) = parse(&bytes[..end]) {
                assert_eq!(parsed.entries, entries[..parsed.entries.len()]);
                assert!(parsed.entries.len() < 2);
            }
        }
    }

    proptest! {
        #[test]
        fn damage_never_makes_another_entry(at in 0_usize..200, bit in 0_u8..8) {
            let (mut bytes, entries) = sample();
            prop_assume!(at < bytes.len());
            bytes[at] ^= 1 << bit;
            if let Some(parsed) = parse(&bytes) {
                prop_assert!(parsed.entries.len() < 2);
                prop_assert_eq!(&parsed.entries[..], &entries[..parsed.entries.len()]);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            parse(&[&MAGIC[..], &bytes].concat());
        }
    }
}
