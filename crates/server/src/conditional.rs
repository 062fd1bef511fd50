//! Conditional requests (RFC 9110, section 13), with digests as entity tags.

use http::HeaderMap;
use http::header::{IF_NONE_MATCH, IF_RANGE};
use wharfinger_oci::Digest;

/// Tells whether the client has the content already, as `If-None-Match` says. A digest without quotes is
/// no entity tag, and counts all the same, as in Distribution.
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    if !headers.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let plain = digest.to_string();
    let tag = format!("\"{plain}\"");
    let values = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    // No digest has a comma in it.
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| {
            // The comparison is the weak one, which does not see whether a tag is a weak one.
            known == "*" || known == plain || known.strip_prefix("W/").unwrap_or(known) == tag
        })
}

/// Tells whether a range may be answered with a part, as `If-Range` says.
pub(crate) fn is_range_wanted(headers: &HeaderMap, digest: &Digest) -> bool {
    // A date is compared with nothing: content under a digest has none, and never changes. As with
    // every tag that is not ours, the answer is then the whole.
    headers
        .get(IF_RANGE)
        .is_none_or(|value| value == format!("\"{digest}\"").as_str())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use wharfinger_oci::Algorithm;

    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn content_is_known_by_its_digest() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let known = |value: &str| is_known(&headers(IF_NONE_MATCH, value), &digest);
        assert!(known(&format!("\"{digest}\"")));
        assert!(known(&format!("W/\"{digest}\"")));
        assert!(known(&format!("\"x\", \"{digest}\"")));
        assert!(known("*"));
        assert!(known(&digest.to_string()));
        assert!(!known("\"x\""));
        assert!(!is_known(&HeaderMap::new(), &digest));
    }

    #[test]
    fn a_range_of_other_content_is_not_wanted() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let wanted = |value: &str| is_range_wanted(&headers(IF_RANGE, value), &digest);
        assert!(wanted(&format!("\"{digest}\"")));
        assert!(!wanted(&format!("W/\"{digest}\"")));
        assert!(!wanted("Sun, 22 Nov 2026 11:16:13 GMT"));
        assert!(is_range_wanted(&HeaderMap::new(), &digest));
    }
}
