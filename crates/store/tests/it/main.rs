//! The store over every driver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blobs;
mod catalog;
mod crashes;
mod garbage;
mod handover;
mod ingests;
mod manifests;
mod races;
mod referrers;
mod subject;
mod tagging;
mod tenants;
mod uploads;
