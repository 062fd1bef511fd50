//! Digests as texts.

use proptest::prelude::*;
use wharfinger_oci::{Algorithm, Digest, DigestError, Hasher};

pub(crate) fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(Algorithm::ALL.as_slice())
}

pub(crate) fn any_digest() -> impl Strategy<Value = Digest> {
    (any_algorithm(), any::<[u8; 8]>()).prop_map(|(algorithm, seed)| Digest::of(algorithm, &seed))
}

const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn known_digests() {
    assert_eq!(Digest::of(Algorithm::Sha256, b"hello").to_string(), HELLO);
    assert_eq!(
        Digest::empty(Algorithm::Sha256).to_string(),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        Digest::empty(Algorithm::Sha384).to_string(),
        "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da\
         274edebfe76f65fbd51ad2f14898b95b"
    );
    assert_eq!(
        Digest::empty(Algorithm::Sha512).to_string(),
        "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
         47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    );
}

#[test]
fn malformed_digests_are_refused() {
    let hex = &HELLO[7..];
    for text in [
        "".to_owned(),
        ":".to_owned(),
        "sha256".to_owned(),
        "sha256:".to_owned(),
        hex.to_owned(),
        format!("sha256:{}", &hex[1..]),
        format!("{HELLO}0"),
        format!("{HELLO}\n"),
        format!(" {HELLO}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("SHA256:{hex}"),
        format!("sha256:{}g", &hex[1..]),
        format!("sha256::{}", &hex[1..]),
        format!("sha256:../{}", &hex[3..]),
        format!("sha256:{}/", &hex[1..]),
        format!("sha256:{}\0", &hex[1..]),
        format!("../sha256:{hex}"),
        format!("/sha256:{hex}"),
        format!("sha256/../:{hex}"),
        format!("sha256+:{hex}"),
        format!(":{hex}"),
        // 64 bytes, and 64 characters, of digits that are not ASCII.
        format!("sha256:{}", "٣".repeat(32)),
        format!("sha256:{}", "٣".repeat(64)),
        format!("sha256:{}", "é".repeat(32)),
        format!("sha512:{hex}"),
        format!("{}:{hex}", "a".repeat(1000)),
    ] {
        assert_eq!(
            text.parse::<Digest>(),
            Err(DigestError::Malformed),
            "{text:?}"
        );
    }
}

#[test]
fn other_algorithms_are_told_apart_from_nonsense() {
    for name in [
        "md5",
        "sha1",
        "sha224",
        "sha256+b64",
        "blake3",
        "sha-256",
        "sha2560",
    ] {
        let text = format!("{name}:{}", &HELLO[7..]);
        let expected = DigestError::Unsupported {
            algorithm: name.to_owned(),
        };
        assert_eq!(text.parse::<Digest>(), Err(expected));
    }
    let tarsum = format!("tarsum.v1+sha256:{}", &HELLO[7..]);
    assert_eq!(tarsum.parse::<Digest>(), Err(DigestError::Tarsum));
}

#[test]
fn serde_goes_through_the_text() {
    let digest: Digest = HELLO.parse().unwrap();
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("\"{HELLO}\""));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>("\"sha256:../x\"").is_err());
    assert!(serde_json::from_str::<Digest>("7").is_err());
}

proptest! {
    #[test]
    fn parse_of_print_is_the_same(digest in any_digest()) {
        let text = digest.to_string();
        prop_assert!(text.is_ascii());
        let expected = format!("{}:{}", digest.algorithm(), digest.hex());
        prop_assert_eq!(&text, &expected);
        prop_assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
        prop_assert_eq!(text.parse::<Digest>(), Ok(digest));
    }

    #[test]
    fn what_parses_prints_the_same(text in "[a-z0-9+.:/]{0,4}(sha256|sha512)?:?[0-9a-fA-F]{62,66}") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text);
        }
    }

    #[test]
    fn digests_order_as_their_texts(a in any_digest(), b in any_digest()) {
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn any_split_has_the_digest_of_the_whole(
        algorithm in any_algorithm(),
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12),
    ) {
        let mut hasher = Hasher::new(algorithm);
        for piece in &pieces {
            hasher.update(piece);
            // Looking at the digest in between changes nothing.
            hasher.finish();
        }
        let whole = pieces.concat();
        prop_assert_eq!(hasher.bytes_hashed(), whole.len() as u64);
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &whole));
    }
}
