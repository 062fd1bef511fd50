//! Repository names, tags, upload ids and references.

use std::cmp::Ordering;

use proptest::prelude::*;
use wharfinger_oci::{
    Digest, NameError, Reference, ReferenceError, RepositoryName, Tag, TagError, UploadId,
    UploadIdError,
};

use crate::digests::any_digest;

/// The specification's expression, with bounds on its repetitions.
const NAME: &str = "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}\
                    (/[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}){0,4}";

pub(crate) fn any_name() -> impl Strategy<Value = RepositoryName> {
    // Words of the routes are made more likely, since they are what could be confused.
    let component = prop_oneof![
        "[a-z0-9]{1,4}(-[a-z0-9]{1,2})?",
        proptest::sample::select(vec![
            "blobs",
            "uploads",
            "manifests",
            "tags",
            "list",
            "referrers"
        ])
        .prop_map(str::to_owned),
    ];
    let name = proptest::collection::vec(component, 1..6).prop_map(|parts| parts.join("/"));
    name.prop_map(|text| text.parse().unwrap())
}

pub(crate) fn any_tag() -> impl Strategy<Value = Tag> {
    "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}".prop_map(|text| text.parse().unwrap())
}

pub(crate) fn any_upload_id() -> impl Strategy<Value = UploadId> {
    "[a-zA-Z0-9_=-][a-zA-Z0-9._=-]{0,60}".prop_map(|text| text.parse().unwrap())
}

pub(crate) fn any_reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        any_tag().prop_map(Reference::Tag),
        any_digest().prop_map(Reference::Digest)
    ]
}

/// The grammar once more, as a machine that reads one character at a time.
fn is_name(text: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Start,
        Word,
        Dot,
        Underscore,
        TwoUnderscores,
        Dashes,
    }
    let mut state = State::Start;
    for c in text.chars() {
        state = match (state, c) {
            (_, 'a'..='z' | '0'..='9') => State::Word,
            (State::Word, '.') => State::Dot,
            (State::Word, '_') => State::Underscore,
            (State::Underscore, '_') => State::TwoUnderscores,
            (State::Word | State::Dashes, '-') => State::Dashes,
            (State::Word, '/') => State::Start,
            _ => return false,
        };
    }
    state == State::Word && text.len() <= 255
}

#[test]
fn good_names() {
    let long = "a".repeat(255);
    for text in [
        "a",
        "library/alpine",
        "a__b",
        "a---b",
        "a/blobs",
        "a/manifests/x",
        "0/0.0",
        &long,
    ] {
        assert_eq!(text.parse::<RepositoryName>().unwrap().as_str(), text);
    }
}

#[test]
fn bad_names_are_refused_by_kind() {
    use NameError::{BadCharacter, BadSeparator, Empty, EmptyComponent, TooLong};
    for (text, error) in [
        ("", Empty),
        ("/", EmptyComponent),
        ("a//b", EmptyComponent),
        ("/a", EmptyComponent),
        ("a/", EmptyComponent),
        ("A", BadCharacter('A')),
        ("a b", BadCharacter(' ')),
        ("a\0", BadCharacter('\0')),
        ("é", BadCharacter('é')),
        ("a%2fb", BadCharacter('%')),
        (".", BadSeparator(".".to_owned())),
        ("a/../b", BadSeparator("..".to_owned())),
        ("a/_uploads", BadSeparator("_uploads".to_owned())),
        ("a___b", BadSeparator("a___b".to_owned())),
        ("a..b", BadSeparator("a..b".to_owned())),
        ("a._b", BadSeparator("a._b".to_owned())),
        ("a-", BadSeparator("a-".to_owned())),
    ] {
        assert_eq!(text.parse::<RepositoryName>(), Err(error), "{text:?}");
    }
    for length in [256, 4096, 1 << 20] {
        assert_eq!("a".repeat(length).parse::<RepositoryName>(), Err(TooLong));
    }
}

#[test]
fn names_order_component_by_component() {
    let mut names: Vec<RepositoryName> = ["a-b", "b", "a/b", "a.b", "a", "a/b/c", "ab", "a/b-c"]
        .into_iter()
        .map(|text| text.parse().unwrap())
        .collect();
    names.sort();
    let texts: Vec<_> = names.iter().map(RepositoryName::as_str).collect();
    assert_eq!(
        texts,
        ["a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "ab", "b"]
    );
    assert_eq!(RepositoryName::compare("A/", "A!"), Ordering::Less);
}

#[test]
fn tags() {
    for text in ["latest", "_", "1.0-rc_1", &"t".repeat(128)] {
        assert_eq!(text.parse::<Tag>().unwrap().as_str(), text);
    }
    for (text, error) in [
        ("", TagError::Empty),
        (".", TagError::BadStart),
        ("..", TagError::BadStart),
        ("-a", TagError::BadStart),
        ("a/b", TagError::BadCharacter('/')),
        ("a:b", TagError::BadCharacter(':')),
        ("ä", TagError::BadCharacter('ä')),
        (&"t".repeat(129), TagError::TooLong),
    ] {
        assert_eq!(text.parse::<Tag>(), Err(error), "{text:?}");
    }
}

#[test]
fn upload_ids() {
    for text in [
        "0192f1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "a=_.-",
        "...",
        &"u".repeat(128),
    ] {
        assert_eq!(text.parse::<UploadId>().unwrap().as_str(), text);
    }
    for (text, error) in [
        ("", UploadIdError::Empty),
        (".", UploadIdError::Dots),
        ("..", UploadIdError::Dots),
        ("../../x", UploadIdError::BadCharacter('/')),
        ("a%2fb", UploadIdError::BadCharacter('%')),
        (&"u".repeat(129), UploadIdError::TooLong),
    ] {
        assert_eq!(text.parse::<UploadId>(), Err(error), "{text:?}");
    }
}

#[test]
fn references() {
    let digest = Digest::empty(wharfinger_oci::Algorithm::Sha512);
    assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
    assert!(matches!("latest".parse(), Ok(Reference::Tag(_))));
    assert!(matches!(
        "a:b".parse::<Reference>(),
        Err(ReferenceError::Digest(_))
    ));
    assert!(matches!(
        "..".parse::<Reference>(),
        Err(ReferenceError::Tag(_))
    ));
}

#[test]
fn serde_checks_the_grammar() {
    let name: RepositoryName = serde_json::from_str("\"a/b\"").unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"a/b\"");
    assert!(serde_json::from_str::<RepositoryName>("\"a//b\"").is_err());
    let tag: Tag = serde_json::from_str("\"v1\"").unwrap();
    assert_eq!(serde_json::to_string(&tag).unwrap(), "\"v1\"");
    assert!(serde_json::from_str::<Tag>("\"..\"").is_err());
}

proptest! {
    #[test]
    fn names_of_the_grammar_are_taken(text in NAME) {
        prop_assert_eq!(text.parse::<RepositoryName>().unwrap().to_string(), text);
    }

    #[test]
    fn other_names_are_refused(text in "[ab0._/-]{0,10}|\\PC{0,8}|[a_]{250,260}") {
        prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), is_name(&text));
    }

    #[test]
    fn names_order_as_lists_of_components(a in "[ab]([.-]?[ab]|/[ab]){0,4}", b in "[ab]([.-]?[ab]|/[ab]){0,4}") {
        let (a, b): (RepositoryName, RepositoryName) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(a.cmp(&b), a.components().cmp(b.components()));
    }

    #[test]
    fn parse_of_a_printed_reference_is_the_same(reference in any_reference()) {
        prop_assert_eq!(reference.to_string().parse(), Ok(reference));
    }
}
