//! The error envelope and its codes.

use http::StatusCode;
use serde_json::json;
use wharfinger_oci::{ApiError, Code, CodeTable, DuplicateCode, Errors, code};

static EXTRA: Code = Code {
    id: "TAG_IMMUTABLE",
    message: "tag cannot be moved",
    description: "The tag is immutable and names another manifest.",
    status: StatusCode::CONFLICT,
};

/// The same to clients, with another status.
static GONE: Code = Code {
    id: "TAG_IMMUTABLE",
    message: "tag was removed for good",
    description: "The tag was immutable and is no longer there.",
    status: StatusCode::GONE,
};

#[test]
fn the_envelope_is_what_clients_read() {
    let mut errors = Errors::from(
        ApiError::new(&code::MANIFEST_BLOB_UNKNOWN).with_detail(json!({"digest": "sha256:ab"})),
    );
    errors.push(ApiError::new(&code::BLOB_UNKNOWN));
    errors.push(
        ApiError::new(&EXTRA)
            .with_message("\"v1\" is fixed")
            .with_detail("v1"),
    );
    let json = String::from_utf8(errors.to_json()).unwrap();
    insta::assert_snapshot!(
        json.replace("},{", "},\n{"),
        @r#"
    {"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":{"digest":"sha256:ab"}},
    {"code":"BLOB_UNKNOWN","message":"blob unknown to registry"},
    {"code":"TAG_IMMUTABLE","message":"\"v1\" is fixed","detail":"v1"}]}
    "#
    );
    insta::assert_snapshot!(
        errors,
        @r#"MANIFEST_BLOB_UNKNOWN: blob unknown to registry; BLOB_UNKNOWN: blob unknown to registry; TAG_IMMUTABLE: "v1" is fixed"#
    );
}

#[test]
fn the_first_error_decides_the_status() {
    let table = CodeTable::standard();
    let mut errors = Errors::from(&code::BLOB_UNKNOWN);
    errors.push(ApiError::new(&code::UNKNOWN));
    assert_eq!(table.status(&errors), Some(StatusCode::NOT_FOUND));
    assert_eq!(errors.iter().count(), 2);
    assert_eq!(Errors::from_vec(Vec::new()), None);
    // Every code has to be registered, not only the first.
    errors.push(ApiError::new(&EXTRA));
    assert_eq!(table.status(&errors), None);
    let table = table.with(&[&EXTRA]).unwrap();
    assert_eq!(table.status(&errors), Some(StatusCode::NOT_FOUND));
    let extra = Errors::from_vec(vec![ApiError::new(&EXTRA)]).unwrap();
    assert_eq!(table.status(&extra), Some(StatusCode::CONFLICT));
}

#[test]
fn the_standard_codes_have_distributions_statuses() {
    let table: String = CodeTable::standard()
        .iter()
        .map(|code| format!("{} {}\n", code.id, code.status.as_u16()))
        .collect();
    insta::assert_snapshot!(table, @r"
    BLOB_UNKNOWN 404
    BLOB_UPLOAD_INVALID 404
    BLOB_UPLOAD_UNKNOWN 404
    DENIED 403
    DIGEST_INVALID 400
    MANIFEST_BLOB_UNKNOWN 400
    MANIFEST_INVALID 400
    MANIFEST_UNKNOWN 404
    MANIFEST_UNVERIFIED 400
    NAME_INVALID 400
    NAME_UNKNOWN 404
    PAGINATION_NUMBER_INVALID 400
    RANGE_INVALID 416
    SIZE_INVALID 400
    TAG_INVALID 400
    TOOMANYREQUESTS 429
    UNAUTHORIZED 401
    UNAVAILABLE 503
    UNKNOWN 500
    UNSUPPORTED 405
    ");
}

#[test]
fn codes_are_written_as_the_specification_wants_them() {
    for code in CodeTable::standard().iter() {
        assert!(
            code.id.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
            "{code}"
        );
        assert!(
            !code.message.ends_with('.') && code.description.ends_with('.'),
            "{code}"
        );
    }
}

#[test]
fn a_code_is_registered_once_with_each_status() {
    let table = CodeTable::standard().with(&[&EXTRA, &GONE]).unwrap();
    assert_eq!(table.iter().len(), CodeTable::standard().iter().len() + 2);
    let status = |code: &'static Code| table.status(&Errors::from(code)).unwrap();
    assert_eq!(
        (status(&EXTRA).as_u16(), status(&GONE).as_u16()),
        (409, 410)
    );
    let duplicate = DuplicateCode {
        id: "TAG_IMMUTABLE",
        status: StatusCode::CONFLICT,
    };
    assert_eq!(table.with(&[&EXTRA]).unwrap_err(), duplicate);
    let twice = CodeTable::standard().with(&[&EXTRA, &EXTRA]).unwrap_err();
    assert_eq!(twice, duplicate);
    assert_eq!(
        twice.to_string(),
        "error code TAG_IMMUTABLE with status 409 is defined twice"
    );
}
