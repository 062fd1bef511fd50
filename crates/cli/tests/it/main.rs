//! The binary among its peers: real clients, a foreign registry on the same directory, and kills.
//!
//! Every suite starts the binary as its own process. Suites that need a foreign program skip by its name
//! when it is not installed, and fail for that where `CI` is set.

mod access;
mod clients;
mod content;
mod digests;
mod drains;
mod failures;
mod handover;
mod hostile;
mod http;
mod kills;
mod limits;
mod operation;
mod reclaim;
mod setup;
mod spec;
mod stock;
mod strace_kills;
mod tree;
