//! Range headers.

use proptest::prelude::*;
use wharfinger_oci::{
    ByteRange, ChunkRange, ContentRange, RangeError, RequestedRange, UploadedRange,
};

fn any_range() -> impl Strategy<Value = ByteRange> {
    (any::<u64>(), any::<u64>())
        .prop_filter_map("2⁶⁴ bytes", |(a, b)| ByteRange::new(a.min(b), a.max(b)))
}

#[test]
fn ranges_are_fitted_to_the_content() {
    for (header, range) in [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-", (0, 9)),
        ("bytes=3-5", (3, 5)),
        ("bytes=9-", (9, 9)),
        ("bytes=3-10", (3, 9)),
        ("bytes=3-99999999999999999999999999", (3, 9)),
        ("bytes=-1", (9, 9)),
        ("bytes=-10", (0, 9)),
        ("bytes=-11", (0, 9)),
        ("bytes=-99999999999999999999999999", (0, 9)),
        ("Bytes= 1-2 ", (1, 2)),
    ] {
        let found = RequestedRange::parse(header).unwrap().resolve(10).unwrap();
        assert_eq!((found.start(), found.end_inclusive()), range, "{header}");
    }
}

#[test]
fn ranges_outside_of_the_content_are_unsatisfiable() {
    for (header, size) in [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=-1", 0),
        ("bytes=18446744073709551615-", 10),
        ("bytes=18446744073709551616-", 10),
        ("bytes=18446744073709551616-", u64::MAX),
    ] {
        let range = RequestedRange::parse(header).unwrap();
        assert_eq!(
            range.resolve(size),
            Err(RangeError::Unsatisfiable { size }),
            "{header}"
        );
    }
}

#[test]
fn other_range_headers() {
    let many = format!("bytes={}", "0-,".repeat(1000));
    for header in ["bytes=0-1,3-4", &many, "items=0-1", "none=x", "bytes=,"] {
        assert_eq!(
            RequestedRange::parse(header),
            Err(RangeError::Unsupported),
            "{header}"
        );
    }
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=1 - 2",
        "bytes=٣-٤",
        "bytes=0x1-",
    ] {
        assert_eq!(
            RequestedRange::parse(header),
            Err(RangeError::Malformed),
            "{header}"
        );
    }
}

#[test]
fn chunks_are_told_in_both_ways() {
    let range = ByteRange::new(0, 1023).unwrap();
    for text in ["0-1023", "bytes 0-1023/*", "bytes 0-1023/5000"] {
        assert_eq!(text.parse(), Ok(ChunkRange(range)), "{text}");
    }
    for text in [
        "",
        "-",
        "0-",
        "-5",
        "5-2",
        "0-1023/*",
        "bytes 0-1023",
        "bytes */5",
        "bytes=0-1023",
        "+0-5",
        " 0-5",
        "0-5 ",
        "0-18446744073709551616",
        "0-18446744073709551615",
        "bytes 0-1/x",
    ] {
        assert_eq!(
            text.parse::<ChunkRange>(),
            Err(RangeError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn content_ranges_must_fit_their_size() {
    assert_eq!(
        "bytes */10".parse(),
        Ok(ContentRange::Unsatisfied { size: 10 })
    );
    for text in [
        "bytes 0-10/10",
        "bytes 0-9/*",
        "0-9/10",
        "bytes 5-2/10",
        "bytes 0-9",
    ] {
        assert_eq!(
            text.parse::<ContentRange>(),
            Err(RangeError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn an_empty_upload_prints_as_distribution_has_it() {
    for (size_bytes, text) in [(0, "0-0"), (1, "0-0"), (2, "0-1"), (1024, "0-1023")] {
        assert_eq!(UploadedRange { size_bytes }.to_string(), text);
    }
}

proptest! {
    #[test]
    fn a_fitted_range_lies_in_the_content(
        header in "bytes=[0-9]{0,21}-[0-9]{0,21}",
        size in prop_oneof![0_u64..100, any::<u64>()],
    ) {
        if let Ok(range) = RequestedRange::parse(&header).and_then(|range| range.resolve(size)) {
            prop_assert!(range.start() <= range.end_inclusive() && range.end_inclusive() < size);
            prop_assert!(range.len() >= 1 && range.len() <= size);
        }
    }

    #[test]
    fn parse_of_print_is_the_same(range in any_range(), size in any::<u64>()) {
        let chunk = ChunkRange(range);
        prop_assert_eq!(chunk.to_string().parse(), Ok(chunk));
        let unsatisfied = ContentRange::Unsatisfied { size };
        prop_assert_eq!(unsatisfied.to_string().parse(), Ok(unsatisfied));
        if range.end_inclusive() < size {
            let part = ContentRange::Part { range, size };
            prop_assert_eq!(part.to_string().parse(), Ok(part));
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,30}|(bytes[= ])?[0-9*/,-]{0,30}") {
        drop(RequestedRange::parse(&text));
        drop(text.parse::<ChunkRange>());
        drop(text.parse::<ContentRange>());
    }
}
