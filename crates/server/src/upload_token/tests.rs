use super::*;

const SECRET: &str = "a secret of the wharf";

/// Tokens that docker-registry 2.8.2 made with [`SECRET`], and what they say.
const GOLDEN: [(&str, &str, &str, u64, &str); 5] = [
    (
        "Kj3n4EU6XrCGNH8PljudQCV8MY3yvtI4Gb0rmSqmW_B7Ik5hbWUiOiJhIiwiVVVJRCI6IjQwYjQzMzA3LWZkMjgtNDAwNC1hZDk5LTQzMDVlNzBlMjYwMSIsIk9mZnNldCI6MCwiU3RhcnRlZEF0IjoiMjAyNi0xMS0yMlQxMToxNjoyNi43NzI4NDc4MDRaIn0=",
        "a",
        "40b43307-fd28-4004-ad99-4305e70e2601",
        0,
        "2026-11-22T11:16:26.772847804Z",
    ),
    (
        "yFLHIeI5Q5-7-1Z7xi49J4ITYiY9SIJchYCi227BYJF7Ik5hbWUiOiJhIiwiVVVJRCI6IjQwYjQzMzA3LWZkMjgtNDAwNC1hZDk5LTQzMDVlNzBlMjYwMSIsIk9mZnNldCI6NSwiU3RhcnRlZEF0IjoiMjAyNi0xMS0yMlQxMToxNjoyNloifQ==",
        "a",
        "40b43307-fd28-4004-ad99-4305e70e2601",
        5,
        "2026-11-22T11:16:26Z",
    ),
    (
        "01BjfsjCk_jEwBAtNQAeMUK2uZEDkhSCeo0EWKaE0Tp7Ik5hbWUiOiJsaWJyYXJ5L2FscGluZSIsIlVVSUQiOiJjZDI1N2U3ZC0wNjJkLTRmMDctYjEwNy05MzI5OGE0YWJjY2UiLCJPZmZzZXQiOjAsIlN0YXJ0ZWRBdCI6IjIwMjYtMTEtMjJUMTE6MTY6MTIuOTcwNzY5OTE3WiJ9",
        "library/alpine",
        "cd257e7d-062d-4f07-b107-93298a4abcce",
        0,
        "2026-11-22T11:16:12.970769917Z",
    ),
    (
        "fNldvdIogqfyXOwpShRFaUTxM4NeHBCOLmYBxpjPGR57Ik5hbWUiOiJ4L3kxMiIsIlVVSUQiOiJiZWU4YTY3ZC0zNGQzLTQ5MjYtYmFmOC1lNWI1YWY2MWZkNGIiLCJPZmZzZXQiOjAsIlN0YXJ0ZWRBdCI6IjIwMjYtMTEtMjJUMTE6MTY6MjYuOTkxODkwNDk2WiJ9",
        "x/y12",
        "bee8a67d-34d3-4926-baf8-e5b5af61fd4b",
        0,
        "2026-11-22T11:16:26.991890496Z",
    ),
    (
        "l6QJBW5bAH5CJbtXVsNaKZklSBftczT6CDk3cQfBwgl7Ik5hbWUiOiJ4L3kxMiIsIlVVSUQiOiJiZWU4YTY3ZC0zNGQzLTQ5MjYtYmFmOC1lNWI1YWY2MWZkNGIiLCJPZmZzZXQiOjUsIlN0YXJ0ZWRBdCI6IjIwMjYtMTEtMjJUMTE6MTY6MjZaIn0=",
        "x/y12",
        "bee8a67d-34d3-4926-baf8-e5b5af61fd4b",
        5,
        "2026-11-22T11:16:26Z",
    ),
];

fn tokens() -> UploadTokens {
    UploadTokens::new(&Secret::new(SECRET.into()))
}

fn token_of(json: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(json.as_bytes());
    let mut bytes = mac.finalize().into_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    URL_SAFE.encode(bytes)
}

#[test]
fn tokens_of_docker_registry_are_read_and_made_byte_for_byte() {
    for (token, name, id, offset, started_at) in GOLDEN {
        let name: RepositoryName = name.parse().unwrap();
        let id: UploadId = id.parse().unwrap();
        let state = UploadState::new(&name, &id, offset, started_at.parse().unwrap());
        assert_eq!(tokens().verify(token), Ok(state.clone()));
        assert_eq!(tokens().sign(&state), token);
        assert!(state.is_of(&name, &id));
        assert!(!state.is_of(&"other".parse().unwrap(), &id));
        assert!(!state.is_of(&name, &"other".parse().unwrap()));
    }
}

#[test]
fn fractions_of_seconds_end_without_zeros() {
    for time in [
        "2026-11-22T11:16:26.5Z",
        "2026-11-22T11:16:26.00012Z",
        "2026-11-22T11:16:26Z",
    ] {
        let started_at: Timestamp = time.parse().unwrap();
        let token = tokens().sign(&UploadState {
            name: "a".to_owned(),
            id: "b".to_owned(),
            offset: 0,
            started_at,
        });
        let json = URL_SAFE.decode(token).unwrap().split_off(MAC_BYTES);
        let text = String::from_utf8(json).unwrap();
        assert!(
            text.ends_with(&format!("\"StartedAt\":\"{time}\"}}")),
            "{text}"
        );
    }
}

#[test]
fn a_changed_bit_or_another_secret_is_a_forgery() {
    let (token, ..) = GOLDEN[0];
    for index in [0, 31, 32, 60] {
        let mut bytes = URL_SAFE.decode(token).unwrap();
        bytes[index] ^= 1;
        assert_eq!(
            tokens().verify(&URL_SAFE.encode(bytes)),
            Err(TokenError::Forged)
        );
    }
    let other = UploadTokens::new(&Secret::new(b"another".to_vec()));
    assert_eq!(other.verify(token), Err(TokenError::Forged));
}

#[test]
fn what_is_no_token_is_malformed() {
    let long = URL_SAFE.encode(vec![0; MAX_TOKEN_CHARS]);
    for token in ["", "AAAA", "not base64!", "====", &long] {
        assert_eq!(
            tokens().verify(token),
            Err(TokenError::Malformed),
            "{token}"
        );
    }
}

#[test]
fn keys_are_read_as_go_reads_them() {
    let json = r#"{"startedat":"2026-11-22T11:16:26Z","OFFSET":7,"uuid":"b","More":1,"name":"a"}"#;
    let state = tokens().verify(&token_of(json)).unwrap();
    assert_eq!(
        (state.name.as_str(), state.id.as_str(), state.offset),
        ("a", "b", 7)
    );
    assert_eq!(tokens().verify(&token_of("{}")).unwrap().offset, 0);
}

#[test]
fn signed_nonsense_is_not_decoded() {
    for json in [
        "",
        "[]",
        r#"{"Offset":-1}"#,
        r#"{"Name":1}"#,
        r#"{"StartedAt":"now"}"#,
    ] {
        assert_eq!(
            tokens().verify(&token_of(json)),
            Err(TokenError::Undecodable),
            "{json}"
        );
    }
}
