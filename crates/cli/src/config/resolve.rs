//! From checked values to the types that the program is built from.

mod http;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use wharfinger_server::Prefix;

use super::address::ListenAddress;
use super::check::{Findings, Value};
use super::content;
use super::health;
use super::types::{
    AccessLog, AuthConfig, CacheConfig, DriverConfig, Durability, LimitsConfig, LogConfig,
    LogFormat, LogLevel, PurgeConfig, SecretSource, ServeConfig, StorageConfig, Verify,
};

/// 1 minute: a round looks at every repository.
const LEAST_INTERVAL: Duration = Duration::from_secs(60);

/// The words of the table and what they stand for; a test holds the two against each other.
const LEVELS: [(&str, LogLevel); 4] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];
const FORMATS: [(&str, LogFormat); 3] = [
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("logstash", LogFormat::Logstash),
];
const ACCESS_LOGS: [(&str, AccessLog); 2] = [
    ("combined", AccessLog::Combined),
    ("structured", AccessLog::Structured),
];
const DURABILITIES: [(&str, Durability); 3] = [
    ("full", Durability::Full),
    ("group", Durability::Group),
    ("none", Durability::None),
];
const VERIFICATIONS: [(&str, Verify); 3] = [
    ("changed", Verify::Changed),
    ("always", Verify::Always),
    ("never", Verify::Never),
];

/// Turns findings without faults into settings. `home` is the directory of the built-in
/// configuration, where the secret may be kept.
pub(crate) fn resolve(findings: &Findings, home: Option<&Path>) -> ServeConfig {
    let values = Values(findings);
    let driver = if findings.driver == Some("inmemory") {
        DriverConfig::Memory
    } else {
        let count = values.integer("storage.filesystem.maxthreads");
        DriverConfig::Filesystem {
            root: PathBuf::from(values.text("storage.filesystem.rootdirectory")),
            max_threads: usize::try_from(count).unwrap_or(usize::MAX),
        }
    };
    let secret = match (values.given("http.secret"), home) {
        (Some(Value::Secret(secret)), _) => SecretSource::Given(secret.clone()),
        // Another storage than our own directory may be shared; nothing of ours belongs in it.
        (_, Some(home)) if is_at(&driver, home) => SecretSource::KeptIn(home.join("secret")),
        _ => SecretSource::PerProcess,
    };
    let entries = values.integer("storage.cache.blobdescriptorsize");
    ServeConfig {
        log: LogConfig {
            level: values.word("log.level", &LEVELS),
            format: values.word("log.formatter", &FORMATS),
            fields: values.fields("log.fields"),
            report_caller: values.bool("log.reportcaller"),
            access_log: if values.bool("log.accesslog.disabled") {
                AccessLog::Off
            } else {
                values.word("wharfinger.accesslog", &ACCESS_LOGS)
            },
        },
        storage: StorageConfig {
            driver,
            delete_enabled: values.bool("storage.delete.enabled"),
            tag_lookups: values.size("storage.tag.concurrencylimit"),
            cache: values
                .given("storage.cache.blobdescriptor")
                .map(|_| CacheConfig {
                    entries: usize::try_from(entries).unwrap_or(usize::MAX),
                }),
            read_only: values.bool("storage.maintenance.readonly.enabled"),
            purging: purging(&values),
        },
        auth: auth(&values),
        http: http::resolve(&values, secret),
        health: health::health(&values),
        content: content::content(&values),
        limits: LimitsConfig {
            connections: values.size("wharfinger.limits.connections"),
            address_connections: values.size("wharfinger.limits.addressconnections"),
            requests: values.size("wharfinger.limits.requests"),
            uploads: values.size("wharfinger.limits.uploads"),
            manifest_memory_bytes: values.size("wharfinger.limits.manifestmemory"),
        },
        durability: values.word("wharfinger.durability", &DURABILITIES),
        verify: values.word("wharfinger.verify", &VERIFICATIONS),
        manifest_rules: findings.manifest_rules(),
        pages: findings.pages(),
        catalog_rescan: values.duration("wharfinger.catalog.rescan"),
    }
}

fn purging(values: &Values<'_>) -> PurgeConfig {
    PurgeConfig {
        enabled: values.bool("storage.maintenance.uploadpurging.enabled"),
        age: values.duration("storage.maintenance.uploadpurging.age"),
        interval: values
            .duration("storage.maintenance.uploadpurging.interval")
            .max(LEAST_INTERVAL),
        dry_run: values.bool("storage.maintenance.uploadpurging.dryrun"),
    }
}

fn auth(values: &Values<'_>) -> AuthConfig {
    match values.0.provider {
        Some("silly") => AuthConfig::Silly {
            realm: values.text("auth.silly.realm"),
            service: values.text("auth.silly.service"),
        },
        Some("htpasswd") => AuthConfig::Htpasswd {
            realm: values.text("auth.htpasswd.realm"),
            path: values.text("auth.htpasswd.path").into(),
        },
        provider => AuthConfig::Open {
            meant: provider.is_some(),
        },
    }
}

fn is_at(driver: &DriverConfig, home: &Path) -> bool {
    matches!(driver, DriverConfig::Filesystem { root, .. } if root == home)
}

/// Typed access. Each key read here has a default in the table, or is required where it is read, and is
/// of the type asked for, which the tests see: they resolve a configuration that gives nothing and one that gives everything.
pub(super) struct Values<'a>(pub(super) &'a Findings);

const INVARIANT: &str = "the key has a default of this type in the table, or is required";

macro_rules! typed {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self, path: &str) -> $type {
            match self.given(path) {
                Some(Value::$variant(value)) => Some(value.clone()),
                _ => None,
            }
            .expect(INVARIANT)
        }
    };
}

impl Values<'_> {
    pub(super) fn given(&self, path: &str) -> Option<&Value> {
        self.0.values.get(path)
    }

    typed!(text, Text, String);
    typed!(bool, Bool, bool);
    typed!(integer, Integer, i64);
    typed!(duration, Duration, Duration);
    typed!(address, Address, ListenAddress);
    typed!(headers, Headers, Vec<(HeaderName, HeaderValue)>);
    typed!(prefix, Prefix, Prefix);
    typed!(fields, Fields, serde_json::Map<String, serde_json::Value>);

    /// A number that the table says is not negative.
    pub(super) fn size(&self, path: &str) -> usize {
        usize::try_from(self.integer(path)).unwrap_or(usize::MAX)
    }

    /// A text that need not be given.
    fn given_text(&self, path: &str) -> Option<&str> {
        match self.given(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A list that need not be given.
    fn given_list(&self, path: &str) -> Option<&[String]> {
        match self.given(path) {
            Some(Value::List(items)) => Some(items),
            _ => None,
        }
    }

    fn word<T: Copy>(&self, path: &str, words: &[(&str, T)]) -> T {
        meaning(&self.text(path), words)
    }
}

/// Returns what a word of the table stands for.
fn meaning<T: Copy>(text: &str, words: &[(&str, T)]) -> T {
    let found = words.iter().find(|(word, _)| *word == text);
    found
        .expect("the words of the table are those of the types")
        .1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{Kind, find};

    fn assert_words<T>(path: &str, words: &[(&str, T)]) {
        let (Kind::Word(table) | Kind::WordOfAnyCase(table)) = find(path).unwrap().kind else {
            panic!("{path} takes no word");
        };
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        assert_eq!(table, words, "{path}");
    }

    #[test]
    fn the_words_of_the_table_are_those_of_the_types() {
        assert_words("log.level", &LEVELS);
        assert_words("log.formatter", &FORMATS);
        assert_words("wharfinger.accesslog", &ACCESS_LOGS);
        assert_words("http.tls.clientauth", &http::CLIENT_AUTHS);
        assert_words("http.tls.minimumtls", &http::VERSIONS);
        assert_words("wharfinger.durability", &DURABILITIES);
        assert_words("wharfinger.verify", &VERIFICATIONS);
    }
}
