use std::sync::Arc;

use http_body_util::BodyExt as _;
use wharfinger_auth::{Access, Gate, Known, Policy, Principal, Silly, action};
use wharfinger_oci::{Algorithm, CodeTable, Digest, Manifest};

use super::*;

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

/// What is seen of an answer: status, codes and headers.
fn seen(failure: impl Into<Failure>) -> (u16, Vec<String>, Option<String>) {
    let response = failure.into().into_response(&codes());
    let retry = response
        .headers()
        .get(RETRY_AFTER)
        .map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = futures_util::FutureExt::now_or_never(response.into_body().collect());
    let body = body.unwrap().unwrap().to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let errors = json["errors"].as_array().unwrap();
    let codes = errors
        .iter()
        .map(|error| error["code"].as_str().unwrap().to_owned())
        .collect();
    (status, codes, retry)
}

#[test]
fn every_failure_of_the_store_has_its_answer() {
    let (expected, computed) = (digest("a"), digest("b"));
    for (kind, status, code, retry) in [
        (ErrorKind::RepositoryUnknown, 404, "NAME_UNKNOWN", None),
        (ErrorKind::BlobUnknown, 404, "BLOB_UNKNOWN", None),
        (ErrorKind::ManifestUnknown, 404, "MANIFEST_UNKNOWN", None),
        (ErrorKind::TagUnknown, 404, "MANIFEST_UNKNOWN", None),
        (
            ErrorKind::ManifestBlobsUnknown(vec![]),
            400,
            "MANIFEST_BLOB_UNKNOWN",
            None,
        ),
        (
            ErrorKind::DigestMismatch { expected, computed },
            400,
            "DIGEST_INVALID",
            None,
        ),
        (
            ErrorKind::SizeMismatch {
                expected_bytes: 1,
                actual_bytes: 2,
            },
            400,
            "SIZE_INVALID",
            None,
        ),
        (ErrorKind::UploadUnknown, 404, "BLOB_UPLOAD_UNKNOWN", None),
        (ErrorKind::UploadBusy, 416, "RANGE_INVALID", None),
        (
            ErrorKind::OffsetInvalid { offset: 3 },
            416,
            "RANGE_INVALID",
            None,
        ),
        (ErrorKind::Damaged, 500, "UNKNOWN", None),
        (ErrorKind::Unsupported, 405, "UNSUPPORTED", None),
        (ErrorKind::Full, 507, "STORAGE_FULL", Some("30")),
        (ErrorKind::Unavailable, 503, "UNAVAILABLE", Some("5")),
    ] {
        let answer = seen(of_store(&kind));
        assert_eq!(
            answer,
            (status, vec![code.to_owned()], retry.map(str::to_owned)),
            "{kind}"
        );
    }
}

#[test]
fn each_missing_blob_is_named() {
    let missing = vec![digest("a"), digest("b")];
    let failure = of_store(&ErrorKind::ManifestBlobsUnknown(missing.clone()));
    let details: Vec<_> = failure
        .errors
        .iter()
        .map(|error| error.detail.clone())
        .collect();
    let expected: Vec<_> = missing
        .iter()
        .map(|digest| Some(digest.to_string().into()))
        .collect();
    assert_eq!(details, expected);
    assert_eq!(seen(failure).0, 400);
}

#[test]
fn what_the_bytes_computed_to_is_not_told() {
    let (expected, computed) = (digest("a"), digest("b"));
    let failure = of_store(&ErrorKind::DigestMismatch { expected, computed });
    let json = String::from_utf8(failure.errors.to_json()).unwrap();
    assert!(!json.contains(&computed.to_string()), "{json}");
}

#[test]
fn malformed_requests_are_named() {
    let code = |failure: Failure| (failure.status().as_u16(), failure.code().id);
    let manifest = |bytes: &'static [u8], content_type| {
        code(Manifest::parse(bytes, content_type).unwrap_err().into())
    };
    let name = "A".parse::<wharfinger_oci::RepositoryName>().unwrap_err();
    assert_eq!(code(name.into()), (400, "NAME_INVALID"));
    assert_eq!(
        code("x".parse::<Digest>().unwrap_err().into()),
        (400, "DIGEST_INVALID")
    );
    assert_eq!(code(QueryError::Semicolon.into()), (400, "QUERY_INVALID"));
    assert_eq!(code(RouteError::NotFound.into()), (404, "UNSUPPORTED"));
    assert_eq!(manifest(b"{", Some("x")), (400, "MANIFEST_INVALID"));
    assert_eq!(manifest(b"{}", None), (400, "MANIFEST_INVALID"));
    assert_eq!(
        code(ManifestError::TooLarge { size: 9 }.into()),
        (413, "MANIFEST_INVALID")
    );
    assert_eq!(
        code(TokenError::Forged.into()),
        (404, "BLOB_UPLOAD_INVALID")
    );
    assert_eq!(
        code(Cut::Idle(std::time::Duration::ZERO).into()),
        (408, "SIZE_INVALID")
    );
    assert_eq!(code(Cut::Slow(1).into()), (408, "SIZE_INVALID"));
    let too_long = CollectError::TooLong { limit_bytes: 1 };
    assert_eq!(code(too_long.into()), (413, "MANIFEST_INVALID"));
}

#[test]
fn denials_ask_for_credentials_or_end() {
    #[derive(Debug)]
    struct Closed(Denial);
    impl Policy for Closed {
        fn decide(&self, _: &Principal, _: &[Access]) -> Result<(), Denial> {
            Err(self.0)
        }
    }
    for (denial, status, code) in [
        (Denial::Unauthenticated, 401, "UNAUTHORIZED"),
        (Denial::Forbidden, 403, "DENIED"),
    ] {
        let gate = Gate::new(Arc::new(Closed(denial)));
        let denied = gate.grant(&Principal::Anonymous, action::Ping).unwrap_err();
        assert_eq!(seen(denied), (status, vec![code.to_owned()], None));
    }
}

#[test]
fn a_denial_says_what_was_needed_and_how_to_prove_who_one_is() {
    let gate = Gate::new(Arc::new(Known)).with_authenticator(Arc::new(Silly::new("r", "s")));
    let name = "a/b".parse().unwrap();
    let action = action::ListTags { name };
    let denied = gate.grant(&Principal::Anonymous, action).unwrap_err();
    let failure = Failure::from(denied.clone());
    let challenge = r#"Bearer realm="r",service="s",scope="repository:a/b:pull""#;
    assert_eq!(failure.header("www-authenticate"), Some(challenge));
    let detail = serde_json::json!([
        {"Type": "repository", "Class": "", "Name": "a/b", "Action": "pull"}
    ]);
    assert_eq!(failure.errors.first().detail, Some(detail));

    let busy = Failure::refused(Refusal::Busy, denied);
    assert_eq!(
        (busy.status().as_u16(), busy.code().id),
        (429, "TOOMANYREQUESTS")
    );
    assert_eq!(busy.header("retry-after"), Some("2"));
    assert_eq!(busy.header("www-authenticate"), None);

    let denied = gate.grant(&Principal::Anonymous, action::Ping).unwrap_err();
    let failure = Failure::from(denied);
    assert_eq!(failure.errors.first().detail, Some(serde_json::Value::Null));
    assert_eq!(
        failure.header("www-authenticate"),
        Some(r#"Bearer realm="r",service="s""#)
    );
}

#[test]
fn the_table_has_every_code_once_and_decides_the_status() {
    let full = || of_store(&ErrorKind::Full);
    assert_eq!(full().into_response(&codes()).status(), 507);
    // A code that nobody has registered is a fault of ours, and not an answer.
    let unregistered = full().into_response(&CodeTable::standard());
    assert_eq!(unregistered.status(), 500);
    assert_eq!(unregistered.headers().get(RETRY_AFTER), None);
    assert_eq!(
        Failure::new(&TARGET_TOO_LONG)
            .into_response(&codes())
            .status(),
        414
    );
}
