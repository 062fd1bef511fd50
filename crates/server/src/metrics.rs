//! Metrics, in the text that Prometheus reads.
//!
//! What is counted lies where it happens: [`HttpMetrics`] here, the driver's and the cache's counters in
//! their crates. Nothing is gathered until somebody asks, and asking costs a few hundred atomic loads
//! and small reads of `/proc`: never a walk through the storage.
//!
//! No label has a value that a client chooses, least of all the name of a repository.

mod exposition;
mod families;
mod handler;
mod histogram;
mod http;
mod process;
mod storage;
mod uploads;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use wharfinger_driver::{DriverMetrics, Filesystem};
use wharfinger_runtime::Clock;
use wharfinger_store::CacheCounters;

use self::exposition::Exposition;
use self::families as family;
use self::process::{Process, seconds_since_1970};
use crate::event::{EventAction, EventCounters};
use crate::health::{Disk, Health};

pub use self::http::HttpMetrics;
pub use self::uploads::UploadCensus;

pub(crate) use self::handler::Handler;
pub(crate) use self::http::{Ended, Shed};

/// Everything that metrics are gathered from.
#[derive(Debug)]
pub struct Sources {
    /// Requests and connections.
    pub http: Arc<HttpMetrics>,
    /// What happened to content.
    pub events: Arc<EventCounters>,
    /// The name of the storage driver and the counters of its calls.
    pub storage: (&'static str, Arc<DriverMetrics>),
    /// The descriptor cache, where it is in use.
    pub cache: Option<Arc<CacheCounters>>,
    /// The filesystem that the driver is, if it is one, for what its journal does.
    pub filesystem: Option<Filesystem>,
    /// What is known of the uploads in the storage.
    pub uploads: Arc<UploadCensus>,
    /// The disk of the storage, where there is one.
    pub disk: Option<Disk>,
    /// Whether requests are answered at all.
    pub health: Arc<Health>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started: SystemTime,
    /// The version of the program.
    pub version: &'static str,
}

/// Turns metrics into text.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The type of the text.
    pub(crate) const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Gathers from `sources` whenever it is asked.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self { registry }
    }

    /// Returns all metrics as they are now.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Exposition(encoder);
        self.requests(&mut out)?;
        self.connections(&mut out)?;
        self.content(&mut out)?;
        self.storage(&mut out)?;
        self.uploads(&mut out)?;
        self.process(&mut out)
    }
}

impl Sources {
    fn requests(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let http = &self.http;
        let requests: Vec<_> = http.requests().collect();
        let codes: Vec<_> = requests
            .iter()
            .map(|(.., code, _)| code.to_string())
            .collect();
        let samples = requests.iter().zip(&codes);
        out.counters(
            &family::REQUESTS,
            samples.map(|((handler, method, _, count), code)| {
                let labels = [
                    ("handler", handler.name()),
                    ("method", *method),
                    ("code", code.as_str()),
                ];
                (labels, *count)
            }),
        )?;
        out.histograms(
            &family::DURATIONS,
            http.durations().map(|(handler, method, counts)| {
                ([("handler", handler.name()), ("method", method)], counts)
            }),
        )?;
        let sized = |(handler, counts): (Handler, _)| ([("handler", handler.name())], counts);
        out.histograms(&family::REQUEST_SIZES, http.request_sizes().map(sized))?;
        out.histograms(&family::RESPONSE_SIZES, http.response_sizes().map(sized))?;
        out.gauges(
            &family::IN_FLIGHT,
            http.in_flight().map(|(handler, count)| {
                // No more than connections and streams: exact as such a number.
                let count = histogram::as_f64(u64::try_from(count).unwrap_or(0));
                ([("handler", handler.name())], count)
            }),
        )?;
        out.counters(
            &family::FAILURES,
            http.failures().map(|(handler, code, count)| {
                ([("handler", handler.name()), ("code", code)], count)
            }),
        )?;
        let refused = |id: &str| {
            let of_code = http.failures().filter(|(_, code, _)| *code == id);
            of_code.map(|(.., count)| count).sum::<u64>()
        };
        let reasons = [("unauthorized", "UNAUTHORIZED"), ("denied", "DENIED")];
        out.counters(
            &family::AUTH_FAILURES,
            reasons.map(|(reason, code)| ([("reason", reason)], refused(code))),
        )
    }

    fn connections(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let sheds = self.http.sheds();
        out.counters(
            &family::SHED,
            sheds.map(|(reason, count)| ([("reason", reason)], count)),
        )?;
        let (opened, open) = self.http.connections();
        out.counter(&family::CONNECTIONS_OPENED, opened)?;
        out.gauge(&family::CONNECTIONS_OPEN, Some(histogram::as_f64(open)))
    }

    fn content(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let events = &self.events;
        let actions = [
            ("push", EventAction::Push),
            ("pull", EventAction::Pull),
            ("mount", EventAction::Mount),
            ("delete", EventAction::Delete),
        ];
        let samples = actions.into_iter().flat_map(|(name, action)| {
            [
                ([("action", name), ("target", "blob")], events.blobs(action)),
                (
                    [("action", name), ("target", "manifest")],
                    events.manifests(action),
                ),
                ([("action", name), ("target", "tag")], events.tags(action)),
            ]
        });
        // What cannot happen, such as a mount of a tag, is never counted and not shown.
        out.counters(&family::EVENTS, samples.filter(|(_, count)| *count > 0))
    }

    fn process(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let healthy = f64::from(u8::from(self.health.failing().is_none()));
        out.gauge(&family::HEALTHY, Some(healthy))?;
        out.gauges(&family::BUILD, [([("version", self.version)], 1.0)])?;
        let started = seconds_since_1970(self.started);
        out.gauge(&family::START, Some(started))?;
        let process = Process::now();
        if let Some(seconds) = process.cpu_seconds {
            out.counter_f64(&family::CPU, seconds)?;
        }
        for (family, value) in [
            (&family::RESIDENT, process.resident_bytes),
            (&family::VIRTUAL, process.virtual_bytes),
            (&family::OPEN_FDS, process.open_fds),
            (&family::MAX_FDS, process.max_fds),
            (&family::THREADS, process.threads),
        ] {
            out.gauge(family, value.map(histogram::as_f64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
