//! Pages of long lists: `?n=SIZE&last=NAME` (distribution specification, *Listing Tags*).

use http::header::LINK;
use wharfinger_oci::{NextLink, Query, RepositoryName, Route, code};
use wharfinger_store::Names;

use crate::app::Call;
use crate::error::Failure;
use crate::response::Reply;

/// 256: a byte more than the longest name has.
const MAX_LAST_BYTES: usize = RepositoryName::MAX_LENGTH + 1;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// How many names at most; `None` leaves it to us.
    pub(crate) limit: Option<usize>,
    /// The name after which to go on.
    pub(crate) last: Option<String>,
}

impl PageRequest {
    /// Reads what a query says of a page.
    ///
    /// # Errors
    /// Fails if `n` is no number, or is more than `max` where that is refused. Distribution takes
    /// some of these for no `n` at all, and the client then waits for a list of everything that it
    /// did not ask for.
    pub(crate) fn parse(query: &Query, max: usize, too_many: TooMany) -> Result<Self, Failure> {
        let last = query.get("last").filter(|last| !last.is_empty());
        // No name reaches beyond this, so the rest cannot tell what comes after. Rounded up, since
        // half a character would.
        let last = last.map(|last| last[..last.ceil_char_boundary(MAX_LAST_BYTES)].to_owned());
        let Some(n) = query.get("n").filter(|n| !n.is_empty()) else {
            return Ok(Self { limit: None, last });
        };
        // The parser takes a sign too.
        let number = n.parse().ok();
        let number = number.filter(|_| n.bytes().all(|b| b.is_ascii_digit()));
        let limit = match (number, too_many) {
            (Some(limit), _) if limit <= max => limit,
            (Some(_), TooMany::Fewer) => max,
            (Some(_), TooMany::Refused) => {
                return Err(bad_number(format!("n has to be a number from 0 to {max}")));
            }
            (None, _) => return Err(bad_number("n has to be a number".to_owned())),
        };
        Ok(Self {
            limit: Some(limit),
            last,
        })
    }
}

fn bad_number(detail: String) -> Failure {
    Failure::because(&code::PAGINATION_NUMBER_INVALID, detail)
}

/// What becomes of a page that is larger than any may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// It is refused.
    Refused,
    /// It gets the largest number there is.
    Fewer,
}

/// The query for the page after the name `last`, of `limit` names; further pairs come first.
pub(crate) fn after(query: Query, last: &str, limit: usize) -> Query {
    query.with("last", last).with("n", limit.to_string())
}

/// Tells where the next page is.
pub(crate) fn with_next(call: &Call, reply: Reply, route: &Route, query: &Query) -> Reply {
    let path = call.app.urls.path(route);
    let link = NextLink::new(format!("{path}?{query}"))
        .expect("routes and queries are printed in visible ASCII without brackets");
    reply.text(LINK, link)
}

/// Prints names as the elements of an array, with commas between them. Nothing in a name of a
/// repository or a tag has to be escaped.
pub(crate) fn elements(names: &Names, json: &mut Vec<u8>) {
    // Enough for names of one letter.
    json.reserve(names.size_bytes() * 2);
    for (index, name) in names.iter().enumerate() {
        json.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        json.extend_from_slice(name.as_bytes());
        json.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<(Option<usize>, Option<String>), u16> {
        let page = PageRequest::parse(&Query::parse(query).unwrap(), 100, TooMany::Refused);
        page.map(|page| (page.limit, page.last)).map_err(|failure| {
            assert_eq!(failure.code().id, "PAGINATION_NUMBER_INVALID");
            failure.status().as_u16()
        })
    }

    #[test]
    fn of_the_last_name_no_more_counts_than_a_name_may_have() {
        let last = |last: &str| parse(&format!("last={last}")).unwrap().1.unwrap();
        let longest = "a".repeat(255);
        assert_eq!(last(&longest), longest);
        assert_eq!(last(&"a".repeat(8000)), "a".repeat(256));
        // Cut before the character, it would come before names that it comes after.
        let wide = "a".repeat(254) + "€€";
        assert_eq!(last(&wide), "a".repeat(254) + "€");
        assert!(last(&wide) > longest);
    }

    #[test]
    fn a_number_is_digits_up_to_the_limit() {
        assert_eq!(parse(""), Ok((None, None)));
        assert_eq!(parse("n="), Ok((None, None)));
        assert_eq!(parse("n=0"), Ok((Some(0), None)));
        assert_eq!(
            parse("n=100&last=a/b"),
            Ok((Some(100), Some("a/b".to_owned())))
        );
        let huge = "18446744073709551616";
        for n in [
            "101",
            "-1",
            "%2B5",
            "abc",
            "1e3",
            "1000000000000",
            huge,
            "%205",
            "5%60",
            "５",
        ] {
            assert_eq!(parse(&format!("n={n}")), Err(400), "{n}");
        }
    }

    #[test]
    fn a_larger_page_may_become_the_largest() {
        let parse = |query: &str| {
            let query = Query::parse(query).unwrap();
            let page = PageRequest::parse(&query, 100, TooMany::Fewer);
            page.map(|page| page.limit)
                .map_err(|failure| failure.status().as_u16())
        };
        assert_eq!(parse("n=100"), Ok(Some(100)));
        assert_eq!(parse("n=101"), Ok(Some(100)));
        assert_eq!(parse("n=1000000000000"), Ok(Some(100)));
        for n in ["-1", "%2B5", "abc", "18446744073709551616", "５"] {
            assert_eq!(parse(&format!("n={n}")), Err(400), "{n}");
        }
    }
}
