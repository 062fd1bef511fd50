//! `health` and `http.debug`: what is checked, and where it is shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use wharfinger_server::Web;

use super::address::ListenAddress;
use super::check::{Findings, Value};
use super::fault::{Fault, quote};
use super::items::Item;
use super::resolve::Values;

/// 10 s, for intervals of zero as in Distribution, and for timeouts: as long as the usual interval.
const DEFAULT: Duration = Duration::from_secs(10);

/// The listener for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DebugConfig {
    /// Where to listen.
    pub(crate) addr: ListenAddress,
    /// The path of the metrics, if they are shown.
    pub(crate) metrics: Option<String>,
}

/// The checks.
#[derive(Debug, Default)]
pub(crate) struct HealthConfig {
    /// The storage.
    pub(crate) storage: Option<Timing>,
    /// Everything else, by name; no two have the same.
    pub(crate) checks: Vec<(String, CheckConfig, Timing)>,
}

/// What is checked.
#[derive(Debug)]
pub(crate) enum CheckConfig {
    File(PathBuf),
    Tcp(String),
    Http(Web),
}

/// When a check is made and when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) threshold: u64,
}

/// The lists, and the key that names a check.
const LISTS: [(&str, &str); 3] = [
    ("health.file", "file"),
    ("health.http", "uri"),
    ("health.tcp", "addr"),
];

impl Findings {
    /// Finds what no key can tell by itself: a check without a name or with that of another, and a page
    /// that cannot be asked for.
    pub(super) fn check_health(&mut self) {
        let mut seen = BTreeMap::new();
        let mut faults = Vec::new();
        for (list, name_key) in LISTS {
            let Some(Value::Items(items)) = self.values.get(list) else {
                continue;
            };
            for item in items {
                let Some(name) = text(item, name_key) else {
                    if !item.values.contains_key(name_key) {
                        let message = format!("`{list}.{name_key}` is missing");
                        faults.push(Fault::new(&item.at, message));
                    }
                    continue;
                };
                if let Some(first) = seen.insert(name.clone(), item.at.clone()) {
                    let name = quote(&name);
                    let message = format!("a second check of {name}; the first is at {first}");
                    faults.push(Fault::new(&item.at, message));
                }
                if let Err(message) = check(list, name, item) {
                    faults.push(Fault::new(&item.at, message));
                }
            }
        }
        self.faults.append(&mut faults);
        let is_true = |path| matches!(self.values.get(path), Some(Value::Bool(true)));
        if is_true("http.debug.prometheus.enabled") && !self.values.contains_key("http.debug.addr")
        {
            let warning = "`http.debug.prometheus` shows nothing without `http.debug.addr`";
            self.warnings.push(warning.to_owned());
        }
    }
}

/// Returns the listener for operators.
pub(super) fn debug(values: &Values<'_>) -> Option<DebugConfig> {
    values.given("http.debug.addr")?;
    let metrics = values.bool("http.debug.prometheus.enabled");
    Some(DebugConfig {
        addr: values.address("http.debug.addr"),
        metrics: metrics.then(|| values.text("http.debug.prometheus.path")),
    })
}

/// Returns the checks.
pub(super) fn health(values: &Values<'_>) -> HealthConfig {
    let storage = values.bool("health.storagedriver.enabled").then(|| Timing {
        interval: or_default(values.duration("health.storagedriver.interval")),
        timeout: DEFAULT,
        threshold: u64::try_from(values.integer("health.storagedriver.threshold")).unwrap_or(0),
    });
    let mut checks = Vec::new();
    for (list, name_key) in LISTS {
        let Some(Value::Items(items)) = values.given(list) else {
            continue;
        };
        for item in items {
            let name = text(item, name_key).expect("the check has found it");
            let config = check(list, name.clone(), item).expect("the check has tried it");
            checks.push((name, config, timing(item)));
        }
    }
    HealthConfig { storage, checks }
}

fn check(list: &str, name: String, item: &Item) -> Result<CheckConfig, String> {
    match list {
        "health.file" => Ok(CheckConfig::File(name.into())),
        "health.tcp" => match name.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(CheckConfig::Tcp(name)),
            _ => Err(format!(
                "`health.tcp.addr` must be HOST:PORT, not {}",
                quote(&name)
            )),
        },
        _ => {
            let status = u16::try_from(integer(item, "statuscode")).unwrap_or(u16::MAX);
            let headers = match item.values.get("headers") {
                Some(Value::Fields(fields)) => headers(fields)?,
                _ => Vec::new(),
            };
            let web = Web::parse(&name, status, &headers);
            web.map(CheckConfig::Http)
                .map_err(|error| error.to_string())
        }
    }
}

/// Reads headers: each has a value, or a list of them.
fn headers(fields: &Map<String, Json>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (name, value) in fields {
        let values = match value {
            Json::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let value = match value {
                Json::String(text) => text.clone(),
                Json::Number(_) | Json::Bool(_) => value.to_string(),
                _ => return Err(format!("the header {} must have a text", quote(name))),
            };
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

fn timing(item: &Item) -> Timing {
    Timing {
        interval: or_default(duration(item, "interval")),
        timeout: or_default(duration(item, "timeout")),
        threshold: u64::try_from(integer(item, "threshold")).unwrap_or(0),
    }
}

fn or_default(duration: Duration) -> Duration {
    if duration.is_zero() {
        DEFAULT
    } else {
        duration
    }
}

fn text(item: &Item, key: &str) -> Option<String> {
    match item.values.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

/// A duration of an item; zero where it has none, as a file has no timeout.
fn duration(item: &Item, key: &str) -> Duration {
    match item.values.get(key) {
        Some(Value::Duration(duration)) => *duration,
        _ => Duration::ZERO,
    }
}

/// A number of an item, which has a default; zero if it was refused.
fn integer(item: &Item, key: &str) -> i64 {
    match item.values.get(key) {
        Some(Value::Integer(value)) => *value,
        _ => 0,
    }
}
