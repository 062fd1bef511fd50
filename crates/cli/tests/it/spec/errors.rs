//! What every answer has, and the form of errors.

use wharfinger_testkit::{Request, sha256};

use super::{Subject, assert_error, json_of};

#[test]
fn the_base_is_200_and_tells_that_this_is_a_registry() {
    let mut subject = Subject::new("errors/base");
    for target in ["/v2/", "/v2"] {
        let answer = subject
            .send(&Request::new("GET", target))
            .expect(200)
            .unwrap();
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            Some("registry/2.0")
        );
    }
}

#[test]
fn the_front_page_is_200_and_empty() {
    let mut subject = Subject::new("errors/front");
    let answer = subject.send(&Request::new("GET", "/")).expect(200).unwrap();
    assert!(answer.body.is_empty());
}

#[test]
fn an_error_has_a_code_of_capitals_and_a_message() {
    let mut subject = Subject::new("errors/form");
    let digest = sha256(b"none");
    for below in [
        "manifests/none",
        &format!("blobs/{digest}"),
        "blobs/sha256:x",
        "tags/list?n=x",
        "blobs/uploads/x",
    ] {
        let answer = subject.get(below);
        assert!((400..500).contains(&answer.status()), "{below}");
        let errors = json_of(&answer)["errors"].clone();
        for error in errors.as_array().unwrap() {
            let code = error["code"].as_str().unwrap();
            assert!(
                code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{code}"
            );
            assert!(!error["message"].as_str().unwrap().is_empty());
        }
        assert!(!errors.as_array().unwrap().is_empty());
    }
}

#[test]
fn a_name_outside_of_the_grammar_is_400() {
    let mut subject = Subject::new("errors/names");
    let long = "a".repeat(256);
    for name in [
        "A", "a//b", "a__-b", "-a", "a-", "a..b", "a/_b", "a___b", "ä", &long,
    ] {
        let target = format!("/v2/{name}/tags/list");
        let answer = subject.send(&Request::new("GET", target));
        assert!(
            [400, 404].contains(&answer.status()),
            "{name}: {}",
            answer.status()
        );
        assert_ne!(json_of(&answer)["errors"][0]["code"], "UNKNOWN");
    }
    let longest = "a".repeat(255);
    for name in ["a", "a__b", "a---b", "a.b_c-d/e0", &longest] {
        let answer = subject.send(&Request::new("GET", format!("/v2/{name}/tags/list")));
        assert_error(&answer, 404, "NAME_UNKNOWN");
    }
}

#[test]
fn a_method_that_a_path_does_not_have_is_405_and_the_others_are_named() {
    let mut subject = Subject::new("errors/methods");
    for (method, below, allowed) in [
        ("POST", "manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("PUT", "tags/list", "GET, HEAD"),
        ("PATCH", "blobs/uploads/", "POST"),
    ] {
        let answer = subject.ask(method, below);
        assert_error(&answer, 405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), Some(allowed));
    }
}

#[test]
fn the_methods_of_a_path_can_be_asked_for() {
    let mut subject = Subject::new("errors/options");
    for (below, allowed) in [
        ("manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("tags/list", "GET, HEAD"),
        ("blobs/uploads/", "POST"),
    ] {
        let answer = subject.ask("OPTIONS", below).expect(200).unwrap();
        assert_eq!(answer.header("allow"), Some(allowed));
        assert!(answer.body.is_empty());
    }
    assert_eq!(subject.ask("OPTIONS", "nothing").status(), 404);
}

#[test]
fn a_proxy_parameter_is_passed_over() {
    let mut subject = Subject::new("errors/ns");
    let index = subject.push_index("v1", serde_json::json!({}));
    let got = subject
        .get("manifests/v1?ns=docker.io")
        .expect(200)
        .unwrap();
    assert_eq!(
        (got.body.as_slice(), got.header("oci-namespace")),
        (&*index.bytes, None)
    );
}
