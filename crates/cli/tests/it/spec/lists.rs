//! Content discovery: tags, repositories, extensions.

use serde_json::{Value, json};
use wharfinger_testkit::Request;

use super::{Subject, assert_error, json_of};

fn tags(subject: &mut Subject, query: &str) -> (Value, Option<String>) {
    let answer = subject
        .get(&format!("tags/list{query}"))
        .expect(200)
        .unwrap();
    let json = json_of(&answer);
    assert_eq!(json["name"], subject.repository);
    (
        json["tags"].clone(),
        answer.header("link").map(str::to_owned),
    )
}

fn with_tags(repository: &'static str, tags: &[&str]) -> Subject {
    let mut subject = Subject::new(repository);
    for tag in tags {
        subject.push_index(tag, json!({}));
    }
    subject
}

#[test]
fn tags_are_in_byte_order() {
    let mut subject = with_tags("lists/order", &["v10", "a", "B", "_x", "v2", "0"]);
    assert_eq!(
        tags(&mut subject, "").0,
        json!(["0", "B", "_x", "a", "v10", "v2"])
    );
}

#[test]
fn a_repository_whose_tags_are_gone_has_an_empty_list() {
    let mut subject = with_tags("lists/none", &["v1"]);
    subject.ask("DELETE", "manifests/v1").expect(202).unwrap();
    assert_eq!(tags(&mut subject, ""), (json!([]), None));
}

#[test]
fn n_tags_are_a_page_and_a_link_leads_to_the_next() {
    let mut subject = with_tags("lists/pages", &["a", "b", "c", "d", "e"]);
    let (mut found, mut query) = (Vec::new(), "?n=2".to_owned());
    loop {
        let (page, link) = tags(&mut subject, &query);
        let page = page.as_array().unwrap().clone();
        assert!(page.len() == 2 || link.is_none());
        found.extend(page);
        let Some(link) = link else { break };
        let target = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(r#">; rel="next""#)
            .unwrap();
        query = target
            .strip_prefix("/v2/lists/pages/tags/list")
            .unwrap()
            .to_owned();
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_page_that_holds_the_rest_has_no_link() {
    let mut subject = with_tags("lists/exact", &["a", "b"]);
    assert_eq!(tags(&mut subject, "?n=2"), (json!(["a", "b"]), None));
    assert_eq!(tags(&mut subject, "?n=100"), (json!(["a", "b"]), None));
}

#[test]
fn n_of_zero_is_an_empty_list_without_a_link() {
    let mut subject = with_tags("lists/zero", &["a", "b"]);
    assert_eq!(tags(&mut subject, "?n=0"), (json!([]), None));
}

#[test]
fn last_is_left_out_and_what_follows_it_is_listed() {
    let mut subject = with_tags("lists/last", &["a", "b", "c", "d"]);
    assert_eq!(tags(&mut subject, "?last=b"), (json!(["c", "d"]), None));
    assert_eq!(tags(&mut subject, "?n=1&last=b").0, json!(["c"]));
    // It need not be there.
    assert_eq!(tags(&mut subject, "?last=bb").0, json!(["c", "d"]));
    assert_eq!(tags(&mut subject, "?last=d"), (json!([]), None));
}

#[test]
fn a_page_of_tags_has_as_many_as_the_registry_allows() {
    let mut subject = Subject::with("lists/most", &[("REGISTRY_TAGS_MAXTAGS", "2")]);
    for tag in ["a", "b", "c"] {
        subject.push_index(tag, json!({}));
    }
    let (page, link) = tags(&mut subject, "?n=1000000000000");
    assert_eq!(page, json!(["a", "b"]));
    assert!(link.unwrap().contains("last=b&n=2"));
    assert_eq!(tags(&mut subject, "").0, json!(["a", "b", "c"]));
}

#[test]
fn repositories_are_listed_component_by_component_in_pages() {
    // A server of its own: the others come and go meanwhile.
    let own = [("REGISTRY_CATALOG_MAXENTRIES", "3")];
    let mut subject = Subject::with("cat", &own);
    subject.push_index("v1", json!({}));
    for repository in ["cat/b", "cat-a", "cat/a/c", "cat/a"] {
        let shared = subject.shared.address;
        let mut other = Subject::with(repository, &own);
        assert_eq!(other.shared.address, shared);
        other.push_index("v1", json!({}));
    }
    let mut page = |query: &str| {
        let answer = subject.send(&Request::new("GET", format!("/v2/_catalog{query}")));
        let link = answer.header("link").map(str::to_owned);
        (json_of(&answer)["repositories"].clone(), link)
    };
    let (first, link) = page("?n=3");
    assert_eq!(first, json!(["cat", "cat/a", "cat/a/c"]));
    assert_eq!(
        link.unwrap(),
        r#"</v2/_catalog?last=cat%2Fa%2Fc&n=3>; rel="next""#
    );
    assert_eq!(
        page("?n=3&last=cat%2Fa%2Fc"),
        (json!(["cat/b", "cat-a"]), None)
    );
    assert_eq!(page("?n=0"), (json!([]), None));
    for n in ["4", "-1", "abc", "18446744073709551616"] {
        let answer = subject.send(&Request::new("GET", format!("/v2/_catalog?n={n}")));
        assert_error(&answer, 400, "PAGINATION_NUMBER_INVALID");
    }
}

#[test]
fn the_extensions_of_the_registry_and_of_a_repository_are_listed() {
    let mut subject = Subject::new("lists/extensions");
    let own = subject.target("_oci/ext/discover");
    for target in ["/v2/_oci/ext/discover", &own] {
        let answer = subject
            .send(&Request::new("GET", target))
            .expect(200)
            .unwrap();
        let extension = &json_of(&answer)["extensions"][0];
        assert_eq!(extension["name"], "_oci");
        assert_eq!(extension["endpoints"], json!([target]));
        assert!(extension["url"].is_string());
    }
}
