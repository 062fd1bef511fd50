//! Saved hasher states, held against those that Go saved.

use proptest::prelude::*;
use wharfinger_oci::{Algorithm, Digest, HashState, HashStateError, Hasher};

use crate::digests::any_algorithm;

/// The stream that the golden states are of; see `testdata/hashstate/README.md`.
fn stream(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap())
        .collect()
}

struct Golden {
    algorithm: Algorithm,
    length: usize,
    state: Vec<u8>,
    digest: Digest,
}

fn golden() -> Vec<Golden> {
    let lines = include_str!("../../testdata/hashstate/states.txt").lines();
    let golden: Vec<_> = lines
        .map(|line| {
            let [algorithm, length, state, digest] =
                line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            Golden {
                algorithm: algorithm.parse().unwrap(),
                length: length.parse().unwrap(),
                state: unhex(state),
                digest: format!("{algorithm}:{digest}").parse().unwrap(),
            }
        })
        .collect();
    assert_eq!(golden.len(), 54);
    golden
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

fn hasher_after(algorithm: Algorithm, bytes: &[u8]) -> Hasher {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher
}

#[test]
fn states_are_the_bytes_that_go_writes() {
    for Golden {
        algorithm,
        length,
        state,
        digest,
    } in golden()
    {
        let hasher = hasher_after(algorithm, &stream(length));
        assert_eq!(hasher.state().as_bytes(), state, "{algorithm} at {length}");
        assert_eq!(hasher.finish(), digest);
    }
}

#[test]
fn states_that_go_wrote_are_resumed() {
    let whole = stream(70_001);
    for Golden {
        algorithm,
        length,
        state,
        digest,
    } in golden()
    {
        let state = HashState::from_bytes(&state).unwrap();
        assert_eq!(
            (state.algorithm(), state.bytes_hashed()),
            (algorithm, length as u64)
        );
        let mut hasher = Hasher::restore(&state).unwrap();
        assert_eq!(hasher.bytes_hashed(), length as u64);
        assert_eq!(hasher.finish(), digest);
        hasher.update(&whole[length..]);
        assert_eq!(hasher.finish(), Digest::of(algorithm, &whole));
    }
}

#[test]
fn stale_bytes_behind_the_block_are_ignored_and_not_written_again() {
    for Golden {
        algorithm,
        length,
        state,
        digest,
    } in golden()
    {
        let (block, start) = if algorithm == Algorithm::Sha256 {
            (64, 36)
        } else {
            (128, 68)
        };
        let mut stale = state.clone();
        stale[start + length % block..start + block].fill(0xa5);
        let read = HashState::from_bytes(&stale).unwrap();
        assert_eq!(read.as_bytes(), state);
        assert_eq!(Hasher::restore(&read).unwrap().finish(), digest);
    }
}

#[test]
fn what_is_no_state_is_refused() {
    let state = Hasher::new(Algorithm::Sha256).state().as_bytes().to_vec();
    assert_eq!(
        HashState::from_bytes(b""),
        Err(HashStateError::UnknownMagic)
    );
    assert_eq!(
        HashState::from_bytes(&state[1..]),
        Err(HashStateError::UnknownMagic)
    );
    // The magic of sha224, which shares its size with sha256.
    let mut sha224 = state.clone();
    sha224[3] = 2;
    assert_eq!(
        HashState::from_bytes(&sha224),
        Err(HashStateError::UnknownMagic)
    );

    let mut longer = state.clone();
    longer.push(0);
    for wrong in [&state[..107], &state[..4], &longer] {
        let found = wrong.len();
        let error = HashStateError::WrongSize {
            algorithm: Algorithm::Sha256,
            expected: 108,
            found,
        };
        assert_eq!(HashState::from_bytes(wrong), Err(error));
    }
}

#[test]
fn a_state_of_impossible_length_is_refused() {
    for algorithm in Algorithm::ALL {
        let mut state = Hasher::new(algorithm).state().as_bytes().to_vec();
        let length = state.len() - 8;
        for impossible in [u64::MAX, 1 << 61, (1 << 60) + 1] {
            state[length..].copy_from_slice(&impossible.to_be_bytes());
            let error = HashStateError::TooLong {
                bytes_hashed: impossible,
            };
            assert_eq!(HashState::from_bytes(&state), Err(error));
        }
        // The largest length that is let through must not overflow a counter at the end.
        state[length..].copy_from_slice(&(1_u64 << 60).to_be_bytes());
        let mut hasher = Hasher::restore(&HashState::from_bytes(&state).unwrap()).unwrap();
        hasher.update(&[0; 1000]);
        hasher.finish();
        assert_eq!(hasher.state().bytes_hashed(), (1 << 60) + 1000);
    }
}

proptest! {
    #[test]
    fn a_hasher_can_be_saved_anywhere(
        algorithm in any_algorithm(),
        content in proptest::collection::vec(any::<u8>(), 0..1000),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (before, after) = content.split_at(cut.index(content.len() + 1));
        let saved = hasher_after(algorithm, before).state();
        let read = HashState::from_bytes(saved.as_bytes()).unwrap();
        prop_assert_eq!(&read, &saved);
        let mut hasher = Hasher::restore(&read).unwrap();
        hasher.update(after);
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &content));
        prop_assert_eq!(hasher.bytes_hashed(), content.len() as u64);
    }

    #[test]
    fn any_state_that_is_read_is_restored(
        magic in proptest::sample::select(vec![3_u8, 4, 7]),
        mut body in proptest::collection::vec(any::<u8>(), 200..=200),
        length in 0_u64..=1 << 60,
    ) {
        if magic == 3 {
            body.truncate(104);
        }
        let end = body.len() - 8;
        body[end..].copy_from_slice(&length.to_be_bytes());
        let bytes = [b"sha".as_slice(), &[magic], &body].concat();
        let state = HashState::from_bytes(&bytes).unwrap();
        let hasher = Hasher::restore(&state).unwrap();
        prop_assert_eq!(hasher.state(), state);
        hasher.finish();
    }
}
