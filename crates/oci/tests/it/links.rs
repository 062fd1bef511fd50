//! `Link` headers.

use proptest::prelude::*;
use wharfinger_oci::{LinkError, NextLink};

#[test]
fn the_next_link_is_found() {
    for (header, target) in [
        (
            r#"</v2/_catalog?last=b&n=2>; rel="next""#,
            "/v2/_catalog?last=b&n=2",
        ),
        ("</a>; rel=next", "/a"),
        (r#"</a>;rel="prev next""#, "/a"),
        (r#"</a> ; title="x, <y>; \" z" ; REL = "NEXT""#, "/a"),
        (
            r#"</p>; rel="prev", <http://h/a?x=1,2>; rel="next""#,
            "http://h/a?x=1,2",
        ),
        (r#", </p>; flag; rel=prev , </a>; rel=next"#, "/a"),
    ] {
        let found = NextLink::find(header).unwrap().unwrap();
        assert_eq!(found.target(), target, "{header}");
    }
}

#[test]
fn a_header_without_a_next_link() {
    for header in [
        "",
        "</a>",
        r#"</a>; rel="prev""#,
        "</a>; rel=prev; rel=next",
        "</a>; rel",
    ] {
        assert_eq!(NextLink::find(header), Ok(None), "{header}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    for header in [
        "/a",
        "</a",
        r#"</a>; rel="next"#,
        "</a> rel=next",
        "</a>; rel=next x",
    ] {
        assert_eq!(
            NextLink::find(header),
            Err(LinkError::Malformed),
            "{header}"
        );
    }
    for target in [
        "/a b",
        "/a<b",
        "/a>b",
        "/a>; rel=prev, <b",
        "/a\r\nSet-Cookie: x",
        "/é",
    ] {
        assert_eq!(NextLink::new(target), Err(LinkError::Target), "{target:?}");
    }
}

proptest! {
    #[test]
    fn parse_of_print_is_the_same(target in "[!-;=?-~]{0,40}") {
        let link = NextLink::new(target).unwrap();
        prop_assert_eq!(NextLink::find(&link.to_string()), Ok(Some(link)));
    }

    #[test]
    fn nothing_panics(header in "\\PC{0,40}|[<>;,=\" \\\\a]{0,40}") {
        drop(NextLink::find(&header));
    }
}
