//! Paths below `/v2/`.

use http::StatusCode;
use proptest::prelude::*;
use wharfinger_oci::{ApiError, Digest, NameError, Route, RouteError};

use crate::digests::any_digest;
use crate::names::{any_name, any_reference, any_upload_id};

const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn hello() -> Digest {
    format!("sha256:{HEX}").parse().unwrap()
}

fn any_route() -> impl Strategy<Value = Route> {
    prop_oneof![
        Just(Route::Base),
        Just(Route::Catalog),
        any_name().prop_map(|name| Route::Tags { name }),
        (any_name(), any_reference())
            .prop_map(|(name, reference)| Route::Manifest { name, reference }),
        (any_name(), any_digest()).prop_map(|(name, digest)| Route::Blob { name, digest }),
        any_name().prop_map(|name| Route::Uploads { name }),
        (any_name(), any_upload_id()).prop_map(|(name, id)| Route::Upload { name, id }),
        (any_name(), any_digest()).prop_map(|(name, digest)| Route::Referrers { name, digest }),
        proptest::option::of(any_name()).prop_map(|name| Route::Extensions { name }),
    ]
}

#[test]
fn every_route() {
    let name = || "a/b".parse().unwrap();
    for (path, route) in [
        ("/v2", Route::Base),
        ("/v2/", Route::Base),
        ("/v2/_catalog", Route::Catalog),
        ("/v2/a/b/tags/list", Route::Tags { name: name() }),
        (
            "/v2/a/b/manifests/latest",
            Route::Manifest {
                name: name(),
                reference: "latest".parse().unwrap(),
            },
        ),
        (
            &format!("/v2/a/b/manifests/sha256:{HEX}"),
            Route::Manifest {
                name: name(),
                reference: hello().into(),
            },
        ),
        (
            &format!("/v2/a/b/blobs/sha256:{HEX}"),
            Route::Blob {
                name: name(),
                digest: hello(),
            },
        ),
        ("/v2/a/b/blobs/uploads", Route::Uploads { name: name() }),
        ("/v2/a/b/blobs/uploads/", Route::Uploads { name: name() }),
        (
            "/v2/a/b/blobs/uploads/x=",
            Route::Upload {
                name: name(),
                id: "x=".parse().unwrap(),
            },
        ),
        (
            &format!("/v2/a/b/referrers/sha256:{HEX}"),
            Route::Referrers {
                name: name(),
                digest: hello(),
            },
        ),
        ("/v2/_oci/ext/discover", Route::Extensions { name: None }),
        (
            "/v2/a/b/_oci/ext/discover",
            Route::Extensions { name: Some(name()) },
        ),
    ] {
        assert_eq!(Route::parse(path), Ok(route.clone()), "{path}");
    }
}

#[test]
fn an_escaped_colon_is_a_colon() {
    for escape in ["%3A", "%3a"] {
        let path = format!("/v2/a/blobs/sha256{escape}{HEX}");
        let route = Route::parse(&path).unwrap();
        assert_eq!(route.to_string(), format!("/v2/a/blobs/sha256:{HEX}"));
    }
}

#[test]
fn words_of_routes_may_be_in_names() {
    for (path, name) in [
        ("/v2/blobs/tags/list", "blobs"),
        ("/v2/a/manifests/tags/list", "a/manifests"),
        ("/v2/a/blobs/uploads/tags/list", "a/blobs/uploads"),
        ("/v2/a/blobs/uploads/manifests/v1", "a/blobs/uploads"),
        ("/v2/a/tags/manifests/list", "a/tags"),
        ("/v2/a/manifests/blobs/uploads/", "a/manifests"),
        ("/v2/a/blobs/blobs/uploads", "a/blobs"),
        ("/v2/blobs/uploads/blobs/uploads/uploads", "blobs/uploads"),
    ] {
        let route = Route::parse(path).unwrap();
        assert_eq!(route.name().unwrap().as_str(), name, "{path}");
    }
}

#[test]
fn what_is_no_route_is_not_found() {
    for path in [
        "",
        "/",
        "v2/",
        "/v1/",
        "/v2x",
        "/V2/",
        "/v2/x",
        "/v2/x/",
        "/v2/_catalog/",
        "/v2/_Catalog",
        "/v2/%5Fcatalog",
        "/v2/a/_catalog",
        "/v2/a/tags",
        "/v2/a/tags/",
        "/v2/a/tags/list/",
        "/v2/a/tags/%6Cist",
        "/v2/a/tags/list;x",
        "/v2/a/manifests",
        "/v2/a/manifests/",
        "/v2/a/manifests/x/",
        "/v2/a/blobs",
        "/v2/a/blobs/",
        "/v2/a/uploads/x",
        "/v2/tags/list",
        "/v2/manifests/latest",
        "/v2/blobs/uploads/",
        "/v2/blobs/uploads/x",
        "/v2/a/x/y",
        "/v2/_oci/ext/discover/",
        "/v2/_oci/ext",
        "/v2/a/b_oci/ext/discover",
    ] {
        assert_eq!(Route::parse(path), Err(RouteError::NotFound), "{path}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    let digest = format!("sha256:{HEX}");
    for path in [
        "/v2//".to_owned(),
        "/v2//_catalog".to_owned(),
        "/v2/a//tags/list".to_owned(),
        "/v2/a/./tags/list".to_owned(),
        "/v2/a/../b/tags/list".to_owned(),
        "/v2/a/manifests/..".to_owned(),
        "/v2/a/blobs/uploads//".to_owned(),
        "/v2/a/blobs/uploads/.".to_owned(),
        "/v2/a%2Fb/tags/list".to_owned(),
        "/v2/a%2fb/tags/list".to_owned(),
        "/v2/%61/tags/list".to_owned(),
        format!("/v2/a/%62lobs/{digest}"),
        format!("/v2/a/blobs%2F{digest}/x/y"),
        format!("/v2/a/blobs/..%2f{digest}"),
        format!("/v2/a/blobs/%2e%2e/{digest}"),
        "/v2/a/blobs/%2E%2E".to_owned(),
        format!("/v2/a/blobs/{digest}%00"),
        format!("/v2/a/blobs/{digest}%2"),
        format!("/v2/a/blobs/{digest}%"),
        format!("/v2/a/blobs/{digest}%zz"),
        format!("/v2/a/blobs/{digest}%ff"),
        "/v2/a/blobs/uploads/x%2f..".to_owned(),
    ] {
        assert_eq!(Route::parse(&path), Err(RouteError::BadPath), "{path}");
        assert_eq!(RouteError::BadPath.code().status, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn bad_parts_have_the_code_of_their_kind() {
    let long = "a".repeat(256);
    for (path, code, status) in [
        ("/v2/A/tags/list", "NAME_INVALID", 400),
        (&format!("/v2/{long}/tags/list"), "NAME_INVALID", 400),
        ("/v2/a/_uploads/tags/list", "NAME_INVALID", 400),
        ("/v2/a/blobs/latest", "DIGEST_INVALID", 400),
        ("/v2/a/blobs/%75ploads", "DIGEST_INVALID", 400),
        ("/v2/a/blobs/sha256:short", "DIGEST_INVALID", 400),
        (&format!("/v2/a/blobs/md5:{HEX}"), "DIGEST_INVALID", 400),
        ("/v2/a/referrers/latest", "DIGEST_INVALID", 400),
        ("/v2/a/manifests/sha256:short", "DIGEST_INVALID", 400),
        ("/v2/a/manifests/-x", "TAG_INVALID", 400),
        ("/v2/a/manifests/a%20b", "TAG_INVALID", 400),
        ("/v2/a/blobs/uploads/a+b", "BLOB_UPLOAD_UNKNOWN", 404),
        ("/v2/x", "UNSUPPORTED", 404),
        ("/v2/a/_oras/artifacts/referrers", "UNSUPPORTED", 404),
    ] {
        let error = ApiError::from(Route::parse(path).unwrap_err());
        assert_eq!(
            (error.code.id, error.code.status.as_u16()),
            (code, status),
            "{path}"
        );
    }
    let error = Route::parse("/v2/a-/tags/list").unwrap_err();
    assert_eq!(
        error,
        RouteError::BadName(NameError::BadSeparator("a-".to_owned()))
    );
}

proptest! {
    #[test]
    fn parse_of_print_is_the_same(route in any_route()) {
        prop_assert_eq!(Route::parse(&route.to_string()), Ok(route));
    }

    #[test]
    fn nothing_panics_and_what_parses_is_printed_to_parse_again(
        path in "/v2(/(a|b-c|blobs|uploads|manifests|tags|list|_catalog|\\.\\.|%2[fe]|%3A|\\PC{0,3})){0,6}/?",
    ) {
        if let Ok(route) = Route::parse(&path) {
            prop_assert_eq!(Route::parse(&route.to_string()), Ok(route));
        }
    }
}
