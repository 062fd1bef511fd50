//! HTTP/1 and HTTP/2 with their limits.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use crate::config::Limits;

use super::streams::Streams;

/// 8 KiB: less is not enough for the head of a request.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// 100: the least that a client may count on (RFC 9113, section 6.5.2), and ten times what clients use.
const MAX_STREAMS: u32 = 100;

/// 20: streams that were reset before anybody looked at them. Beyond it the connection ends
/// (CVE-2023-44487).
const MAX_UNSEEN_RESETS: usize = 20;

/// 100: streams that we had to reset for what the client did wrong. Beyond it the connection ends
/// (CVE-2025-8671).
const MAX_FAULTS: usize = 100;

/// 256 KiB of a body are on their way to us before anybody reads them: 20 MiB/s at 12 ms. A thousand
/// uploads whose disk does not keep up hold 256 MiB.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// 1 MiB: four bodies at full speed, and no more memory however many there are.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// 64 KiB of an answer wait for the connection at most, beside the piece that was read last.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// 30 s: how often a connection is asked for a sign of life, and how long it has for that. Bodies and
/// answers have their own clocks; this finds those who are gone without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What connections are served with.
#[derive(Debug)]
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    head_bytes: u32,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        let buffer_bytes = limits.buffer_bytes.max(MIN_BUFFER_BYTES);
        let mut http1 = http1::Builder::new();
        // The connection itself sees to it that heads come.
        // hyper takes 100 headers at most, four times what the specifications define; to say so costs
        // each request the clearing of their places.
        http1.header_read_timeout(None).max_buf_size(buffer_bytes);
        Self {
            http1,
            head_bytes: u32::try_from(buffer_bytes).unwrap_or(u32::MAX),
        }
    }

    /// Returns what serves one connection of HTTP/2, whose streams `streams` runs.
    pub(super) fn http2(&self, streams: Streams) -> http2::Builder<Streams> {
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(self.head_bytes)
            .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
            .max_local_error_reset_streams(MAX_FAULTS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        http2
    }
}
