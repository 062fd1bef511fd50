//! `startedat`: when an upload was started, in UTC and whole seconds, `2026-11-22T02:59:08Z`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// Prints a start time as Distribution does: 20 bytes, no newline.
pub(crate) fn print(time: SystemTime) -> Bytes {
    let timestamp =
        jiff::Timestamp::try_from(whole_seconds(time)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    timestamp.to_string().into()
}

/// Reads a start time; Distribution's parser takes any RFC 3339 time, and so does this.
pub(crate) fn parse(bytes: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(bytes).ok()?;
    let timestamp: jiff::Timestamp = text.trim_end().parse().ok()?;
    Some(timestamp.into())
}

/// Cuts a time to whole seconds.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_twenty_bytes() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_316_348_900);
        let printed = print(time);
        assert_eq!(&printed[..], b"2026-11-22T02:59:08Z");
        assert_eq!(parse(&printed), Some(whole_seconds(time)));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"yesterday"), None);
    }
}
