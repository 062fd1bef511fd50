//! Pages of long lists: `?n=SIZE&last=NAME` (distribution specification, *Listing Tags*).

use http::header::LINK;
use wharfinger_oci::{NextLink, Query, RepositoryName, Route, code};

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
    /// Fails if `n` is no number, or more than `max`. Distribution takes some of these for no `n`
    /// at all, and the client then waits for a list of everything that it did not ask for.
    pub(crate) fn parse(query: &Query, max: usize) -> Result<Self, Failure> {
        let last = query.get("last").filter(|last| !last.is_empty());
        // No name reaches beyond this, so the rest cannot tell what comes after. Rounded up, since
        // half a character would.
        let last = last.map(|last| last[..last.ceil_char_boundary(MAX_LAST_BYTES)].to_owned());
        let Some(n) = query.get("n").filter(|n| !n.is_empty()) else {
            return Ok(Self { limit: None, last });
        };
        let limit = n.parse().ok().filter(|limit| *limit <= max);
        // The parser takes a sign too.
        let Some(limit) = limit.filter(|_| n.bytes().all(|b| b.is_ascii_digit())) else {
            let detail = format!("n has to be a number from 0 to {max}");
            return Err(Failure::because(&code::PAGINATION_NUMBER_INVALID, detail));
        };
        Ok(Self {
            limit: Some(limit),
            last,
        })
    }
}

/// Tells where the next page is, after the name `last` of a page of `limit`.
pub(crate) fn with_next(
    call: &Call,
    reply: Reply,
    route: &Route,
    (last, limit): (&str, usize),
) -> Reply {
    let path = call.app.urls.path(route);
    let query = Query::new().with("last", last).with("n", limit.to_string());
    let link = NextLink::new(format!("{path}?{query}"))
        .expect("routes and queries are printed in visible ASCII without brackets");
    reply.text(LINK, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<(Option<usize>, Option<String>), u16> {
        let page = PageRequest::parse(&Query::parse(query).unwrap(), 100);
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
}
