//! One bcrypt hash.
//!
//! ```text
//! $2y$10$m7dc/PIv5k6wXRvszppvpOtFnlA4SSe3kJOF2MYPrZ60YBUkYu5c6
//!     ── ──────────────────────└──────────────────────────────
//!    cost  salt, 22 characters   digest, 31 characters of bcrypt's own base64
//! ```
//!
//! `2a`, `2b`, `2x` and `2y` name bugs of old implementations; for what is asked here they are one.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;

/// 4 is the least there is. 16 takes five seconds of a core for each login; beyond that a handful of
/// clients would keep everybody else waiting, and 31 would take two days.
pub(super) const COSTS: RangeInclusive<u32> = 4..=16;

/// What every bcrypt hash has.
const LENGTH: usize = 60;

/// As much of a password counts, as in every bcrypt.
const PASSWORD_BYTES: usize = 72;

/// Some programs leave ones in the bits of the last character that stand for nothing.
const CONFIG: GeneralPurposeConfig =
    base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, CONFIG);

/// A hash that a password can be held against. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash {
    cost: u32,
    salt: [u8; 16],
    digest: [u8; 23],
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash of cost {}", self.cost)
    }
}

/// Why something is no hash of bcrypt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HashFault {
    #[error("the password is hashed with {0}, not with bcrypt")]
    Foreign(&'static str),
    #[error("the password is not hashed with bcrypt")]
    NotBcrypt,
    #[error("the bcrypt hash has {0} bytes in place of {LENGTH}")]
    Length(usize),
    #[error("the bcrypt hash has bytes that are not ASCII")]
    NotAscii,
    #[error("the bcrypt cost {0} is not within {least} to {most}", least = COSTS.start(), most = COSTS.end())]
    Cost(u32),
    #[error("the bcrypt hash is malformed")]
    Malformed,
}

/// How the hashes begin that htpasswd files have as well.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"$apr1$", "MD5"),
    (b"$1$", "MD5"),
    (b"{SHA}", "SHA-1"),
    (b"{SSHA}", "SHA-1"),
    (b"$5$", "SHA-256"),
    (b"$6$", "SHA-512"),
    (b"$argon2", "Argon2"),
];

impl Hash {
    /// Reads a hash.
    pub(super) fn parse(text: &[u8]) -> Result<Self, HashFault> {
        if let Some((_, name)) = FOREIGN.iter().find(|(start, _)| text.starts_with(start)) {
            return Err(HashFault::Foreign(name));
        }
        let rest = text.strip_prefix(b"$2").ok_or(HashFault::NotBcrypt)?;
        if !text.is_ascii() {
            return Err(HashFault::NotAscii);
        }
        if text.len() != LENGTH {
            return Err(HashFault::Length(text.len()));
        }
        let [b'a' | b'b' | b'x' | b'y', b'$', tens, ones, b'$', rest @ ..] = rest else {
            return Err(HashFault::Malformed);
        };
        let cost = number(*tens, *ones).ok_or(HashFault::Malformed)?;
        if !COSTS.contains(&cost) {
            return Err(HashFault::Cost(cost));
        }
        let (salt, digest) = rest.split_at(22);
        Ok(Self {
            cost,
            salt: decode(salt)?,
            digest: decode(digest)?,
        })
    }

    /// Makes a hash that no password has, but by chance. Holding one against it takes as long as
    /// against any other of the same cost.
    pub(super) fn unmatched(cost: u32, random: &[u8; 32]) -> Self {
        let mut this = Self {
            cost,
            salt: [0; 16],
            digest: [0; 23],
        };
        this.salt.copy_from_slice(&random[..16]);
        this.digest[..16].copy_from_slice(&random[16..]);
        this
    }

    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// Returns what tells this hash from any other.
    pub(super) fn identity(&self) -> [&[u8]; 2] {
        [&self.salt, &self.digest]
    }

    /// Tells whether `password` has this hash. It takes milliseconds to seconds.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut bytes = [0; PASSWORD_BYTES];
        let kept = password.len().min(PASSWORD_BYTES);
        bytes[..kept].copy_from_slice(&password[..kept]);
        // With the NUL that ends it, where there is room for one.
        let used = (kept + 1).min(PASSWORD_BYTES);
        let output = bcrypt::bcrypt(self.cost, self.salt, &bytes[..used]);
        // bcrypt throws the last byte away.
        output[..self.digest.len()].ct_eq(&self.digest).into()
    }
}

fn number(tens: u8, ones: u8) -> Option<u32> {
    let digit = |byte: u8| char::from(byte).to_digit(10);
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn decode<const N: usize>(text: &[u8]) -> Result<[u8; N], HashFault> {
    let bytes = BASE64.decode(text).map_err(|_| HashFault::Malformed)?;
    bytes.try_into().map_err(|_| HashFault::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: &str = "$2y$05$OQYuEhjPAk73G9zriuHnkORYKr7jLVAgZKCJTgbtiV7gAPJNtCNki";

    fn fault(text: &str) -> HashFault {
        Hash::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_hash_of_apaches_program_matches_its_password_alone() {
        let hash = Hash::parse(ALICE.as_bytes()).unwrap();
        assert!(hash.matches(b"secret"));
        for other in [&b"Secret"[..], b"secret ", b"secret\0", b""] {
            assert!(!hash.matches(other));
        }
        for version in ["$2a$", "$2b$", "$2x$"] {
            let text = ALICE.replace("$2y$", version);
            assert!(Hash::parse(text.as_bytes()).unwrap().matches(b"secret"));
        }
    }

    #[test]
    fn only_the_first_72_bytes_of_a_password_count() {
        let long = [b'x'; 100];
        let text = bcrypt::hash_with_salt(long, 4, [7; 16])
            .unwrap()
            .to_string();
        let hash = Hash::parse(text.as_bytes()).unwrap();
        assert!(hash.matches(&long) && hash.matches(&long[..72]));
        assert!(!hash.matches(&long[..71]));
    }

    #[test]
    fn whatever_is_no_hash_of_bcrypt_is_named() {
        assert_eq!(fault("$apr1$x$y"), HashFault::Foreign("MD5"));
        assert_eq!(
            fault("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
            HashFault::Foreign("SHA-1")
        );
        assert_eq!(fault("secret"), HashFault::NotBcrypt);
        assert_eq!(fault(""), HashFault::NotBcrypt);
        assert_eq!(fault(&ALICE[..59]), HashFault::Length(59));
        assert_eq!(fault(&format!("{ALICE}i")), HashFault::Length(61));
        assert_eq!(fault(&ALICE.replace("Hnk", "Hü")), HashFault::NotAscii);
        assert_eq!(fault(&ALICE.replace("$05$", "$31$")), HashFault::Cost(31));
        assert_eq!(fault(&ALICE.replace("$05$", "$03$")), HashFault::Cost(3));
        for malformed in [
            ALICE.replace("$05$", "$+5$"),
            ALICE.replace("$2y$", "$2z$"),
            ALICE.replace("OQY", "O!Y"),
        ] {
            assert_eq!(fault(&malformed), HashFault::Malformed, "{malformed}");
        }
    }

    #[test]
    fn a_hash_whose_last_bits_stand_for_nothing_is_one() {
        let odd = ALICE.replace("HnkO", "HnkP");
        assert_ne!(odd, ALICE);
        assert!(Hash::parse(odd.as_bytes()).unwrap().matches(b"secret"));
    }

    #[test]
    fn an_unmatched_hash_has_no_password() {
        assert!(!Hash::unmatched(4, &[0; 32]).matches(b""));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..60) {
            drop(Hash::parse(&bytes));
            let mut mixed = ALICE.as_bytes()[..cut].to_vec();
            mixed.extend_from_slice(&bytes);
            mixed.truncate(60);
            drop(Hash::parse(&mixed));
        }
    }
}
