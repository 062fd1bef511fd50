//! Query strings.

use proptest::prelude::*;
use wharfinger_oci::{Query, QueryError};

#[test]
fn pairs_are_decoded() {
    let query = Query::parse("a=1&b=%2F+%2b&a=2&c&=d&&_state=ab-_==").unwrap();
    let pairs: Vec<_> = query.iter().collect();
    assert_eq!(
        pairs,
        [
            ("a", "1"),
            ("b", "/ +"),
            ("a", "2"),
            ("c", ""),
            ("", "d"),
            ("_state", "ab-_==")
        ]
    );
    assert_eq!(query.get("a"), Some("1"));
    assert_eq!(query.get_all("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(query.get("A"), None);
    assert!(Query::parse("").unwrap().is_empty());
}

#[test]
fn malformed_queries_are_refused() {
    for (text, error) in [
        ("a=%", QueryError::BadEscape),
        ("a=%2", QueryError::BadEscape),
        ("%zz=1", QueryError::BadEscape),
        ("a=%+1", QueryError::BadEscape),
        ("a=%ff", QueryError::NotUtf8),
        ("a=1;b=2", QueryError::Semicolon),
    ] {
        assert_eq!(Query::parse(text), Err(error), "{text}");
    }
    assert!(Query::parse(&["a=1"; 100].join("&")).is_ok());
    assert_eq!(
        Query::parse(&["a=1"; 101].join("&")),
        Err(QueryError::TooMany)
    );
}

#[test]
fn reserved_characters_are_escaped() {
    let query = Query::new().with("from", "priv/b").with("k&=", "a+b;c%é\n");
    assert_eq!(
        query.to_string(),
        "from=priv%2Fb&k%26%3D=a%2Bb%3Bc%25%C3%A9%0A"
    );
}

proptest! {
    #[test]
    fn parse_of_print_is_the_same(pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..20)) {
        let query = pairs.iter().fold(Query::new(), |query, (key, value)| query.with(key, value));
        let text = query.to_string();
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
        prop_assert_eq!(Query::parse(&text), Ok(query));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}|[a%&=+;0-9]{0,40}") {
        drop(Query::parse(&text));
    }
}
