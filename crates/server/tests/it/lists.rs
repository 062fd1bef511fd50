//! Lists of tags and repositories.

use serde_json::{Value, json};
use wharfinger_testkit::{Image, Request, Response};

use crate::fixture::{Fixture, assert_refused};
use crate::over_every_driver;

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// Pushes the smallest image there is under several names.
fn push(fixture: &Fixture, repositories: &[&str], tags: &[&str]) {
    let image = Image::build(30, &[]);
    for repository in repositories {
        image
            .blobs()
            .for_each(|blob| fixture.push(repository, blob));
        for tag in tags {
            let path = format!("/v2/{repository}/manifests/{tag}");
            fixture
                .put_manifest(&path, &image.manifest)
                .expect(201)
                .unwrap();
        }
    }
}

over_every_driver! {
    fn tags_come_in_pages(fixture) {
        push(fixture, &["a/b"], &["v10", "B", "a", "v2"]);
        let all = fixture.get("/v2/a/b/tags/list").expect(200).unwrap();
        assert_eq!(json(&all), json!({"name": "a/b", "tags": ["B", "a", "v10", "v2"]}));
        assert_eq!(all.header("link"), None);
        let first = fixture.get("/v2/a/b/tags/list?n=3").expect(200).unwrap();
        assert_eq!(json(&first)["tags"], json!(["B", "a", "v10"]));
        let link = first.header("link").unwrap();
        assert_eq!(link, r#"</v2/a/b/tags/list?last=v10&n=3>; rel="next""#);
        let last = fixture.get("/v2/a/b/tags/list?last=v10&n=3").expect(200).unwrap();
        assert_eq!(json(&last)["tags"], json!(["v2"]));
        assert_eq!(last.header("link"), None);
        let exact = fixture.get("/v2/a/b/tags/list?n=4").expect(200).unwrap();
        assert_eq!(exact.header("link"), None);
        let after = fixture.get("/v2/a/b/tags/list?last=aa").expect(200).unwrap();
        assert_eq!(json(&after)["tags"], json!(["v10", "v2"]));
    }

    fn repositories_come_in_pages_component_by_component(fixture) {
        push(fixture, &["a-b", "a/b", "a", "z"], &["x"]);
        let all = fixture.get("/v2/_catalog").expect(200).unwrap();
        assert_eq!(json(&all), json!({"repositories": ["a", "a/b", "a-b", "z"]}));
        let first = fixture.get("/v2/_catalog?n=2").expect(200).unwrap();
        assert_eq!(json(&first)["repositories"], json!(["a", "a/b"]));
        let link = first.header("link").unwrap();
        assert_eq!(link, r#"</v2/_catalog?last=a%2Fb&n=2>; rel="next""#);
        let second = fixture.get("/v2/_catalog?last=a%2Fb&n=2").expect(200).unwrap();
        assert_eq!(json(&second)["repositories"], json!(["a-b", "z"]));
        assert_eq!(second.header("link"), None);
    }
}

#[test]
fn an_empty_registry_has_no_repositories() {
    let fixture = Fixture::filesystem();
    assert_eq!(
        json(&fixture.get("/v2/_catalog")),
        json!({"repositories": []})
    );
    assert_refused(&fixture.get("/v2/a/tags/list"), 404, "NAME_UNKNOWN");
}

#[test]
fn numbers_of_pages_are_checked() {
    let fixture = Fixture::memory();
    push(&fixture, &["a"], &["x"]);
    for path in ["/v2/a/tags/list", "/v2/_catalog"] {
        let huge = "18446744073709551616";
        for n in ["-1", "abc", huge, "5%60", "%205", "%EF%BC%95"] {
            let answer = fixture.get(&format!("{path}?n={n}"));
            assert_refused(&answer, 400, "PAGINATION_NUMBER_INVALID");
        }
        let none = fixture.get(&format!("{path}?n=0")).expect(200).unwrap();
        assert_eq!(none.header("link"), None);
        assert!(none.text().ends_with(":[]}"), "{}", none.text());
        assert_refused(
            &fixture.get(&format!("{path}?n=1;last=x")),
            400,
            "QUERY_INVALID",
        );
        assert_refused(&fixture.get(&format!("{path}?n=%zz")), 400, "QUERY_INVALID");
    }
    // Of more than a page has, the catalog gives nothing, and the tags as many as there are.
    let many = fixture.get("/v2/_catalog?n=1000000000000");
    assert_refused(&many, 400, "PAGINATION_NUMBER_INVALID");
    let many = fixture.get("/v2/a/tags/list?n=1000000000000");
    assert_eq!(json(&many.expect(200).unwrap())["tags"], json!(["x"]));
}

#[test]
fn all_tags_of_a_large_repository_are_one_list() {
    let fixture = Fixture::memory();
    push(&fixture, &["a"], &["t0000"]);
    let image = Image::build(30, &[]);
    let mut client = fixture.client();
    for number in 1..2500 {
        let request = Request::new("PUT", format!("/v2/a/manifests/t{number:04}"))
            .header("Content-Type", image.manifest.media_type.as_str());
        client
            .send(&request.body(image.manifest.bytes.clone()))
            .unwrap()
            .expect(201)
            .unwrap();
    }
    let expected: Vec<_> = (0..2500).map(|number| format!("t{number:04}")).collect();
    let all = fixture.get("/v2/a/tags/list").expect(200).unwrap();
    assert_eq!(json(&all), json!({"name": "a", "tags": expected}));
    assert_eq!(all.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn the_front_pages_say_that_somebody_is_here() {
    let fixture = Fixture::memory();
    let ping = fixture.get("/v2/").expect(200).unwrap();
    assert_eq!(ping.body, b"{}");
    assert_eq!(
        ping.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    assert_eq!(
        ping.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let front = fixture.get("/").expect(200).unwrap();
    assert_eq!(
        (front.body.len(), front.header("content-length")),
        (0, Some("0"))
    );
}

#[test]
fn other_paths_and_methods_get_errors_that_clients_can_read() {
    let fixture = Fixture::memory();
    assert_refused(&fixture.get("/v1/"), 404, "UNSUPPORTED");
    assert_refused(
        &fixture.get("/v2/a/referrers/sha256:0"),
        400,
        "DIGEST_INVALID",
    );
    let post = fixture.send(&Request::new("POST", "/v2/_catalog").body("x"));
    assert_refused(&post, 405, "UNSUPPORTED");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    let long = format!("/v2/a/tags/list?last={}", "x".repeat(9000));
    assert_refused(&fixture.get(&long), 414, "NAME_INVALID");
}
