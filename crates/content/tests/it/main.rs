//! The content store: one suite over the local engine, the client of it, and the client of a client; what
//! only shows on the wire; and streams that are cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod codes;
mod conformance;
mod copies;
mod cuts;
mod probe;
mod probes;
mod sharing;
mod streams;
mod subject;
