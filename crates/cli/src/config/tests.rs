//! Whole configurations: what they resolve to, and every fault of the broken ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::types::{Durability, Verify};
use super::*;

mod http;
mod properties;
mod stock;

pub(in crate::config) fn faults(text: &str) -> String {
    load("config.yml", text, &[]).unwrap_err().to_string()
}

pub(in crate::config) fn loaded(text: &str) -> Loaded {
    load("config.yml", text, &[]).unwrap_or_else(|report| panic!("{report}"))
}

pub(in crate::config) const LEAST: &str = "version: 0.1\nstorage: inmemory\n";

#[test]
fn the_built_in_configuration_is_a_registry_for_this_machine() {
    let Loaded {
        settings, warnings, ..
    } = load_built_in(&[]).unwrap();
    assert_eq!(warnings, [""; 0]);
    let root = PathBuf::from(BUILT_IN_HOME);
    assert_eq!(
        settings.storage.driver,
        DriverConfig::Filesystem {
            root,
            max_threads: 100
        }
    );
    assert!(settings.storage.delete_enabled);
    assert_eq!(
        settings.storage.cache,
        Some(CacheConfig { entries: 10_000 })
    );
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:5000");
    let SecretSource::KeptIn(path) = settings.http.secret else {
        panic!()
    };
    assert_eq!(path, Path::new("./wharfinger-data/secret"));
}

#[test]
fn nothing_of_ours_is_put_into_another_directory_or_into_memory() {
    for (name, value) in [
        (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            "/var/lib/registry",
        ),
        ("REGISTRY_STORAGE", "inmemory"),
    ] {
        let loaded = load_built_in(&[(name.to_owned(), value.to_owned())]).unwrap();
        assert!(matches!(
            loaded.settings.http.secret,
            SecretSource::PerProcess
        ));
        assert!(loaded.warnings[0].contains("http.secret"));
    }
}

#[test]
fn the_least_file_gets_the_defaults() {
    let Loaded {
        settings, warnings, ..
    } = loaded(LEAST);
    assert_eq!(settings.storage.driver, DriverConfig::Memory);
    assert!(!settings.storage.delete_enabled);
    assert_eq!(settings.storage.cache, None);
    assert_eq!(settings.log.level, LogLevel::Info);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.log.access_log, AccessLog::Combined);
    assert!(settings.log.fields.is_empty() && !settings.log.report_caller);
    assert_eq!(settings.http.debug, None);
    assert!(settings.health.storage.is_none() && settings.health.checks.is_empty());
    assert_eq!(settings.limits.connections, 10_000);
    assert_eq!(settings.limits.uploads, 9_000);
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(settings.http.drain_timeout, Duration::from_secs(60));
    assert_eq!(settings.durability, Durability::Full);
    assert_eq!(settings.verify, Verify::Changed);
    assert!(!settings.manifest_rules.sparse);
    assert!(!settings.storage.read_only);
    let purging = PurgeConfig {
        enabled: true,
        age: Duration::from_secs(168 * 3600),
        interval: Duration::from_secs(24 * 3600),
        dry_run: false,
    };
    assert_eq!(settings.storage.purging, purging);
    insta::assert_snapshot!(warnings.join("\n"), @"no `http.secret` is given: uploads in progress end with this process, and cannot move to another registry on the same storage");
}

const EVERYTHING: &str = "\
version: \"0.1\"
log:
  level: Debug
  formatter: json
  fields: {service: registry}
  accesslog: {disabled: yes}
storage:
  filesystem: {rootdirectory: /srv/registry data, maxthreads: 3}
  delete: {enabled: on}
  cache: {blobdescriptor: inmemory, blobdescriptorsize: 5}
  maintenance:
    readonly: {enabled: true}
    uploadpurging: {enabled: false, age: 2h, interval: 1s, dryrun: true}
auth: {htpasswd: {realm: the wharf, path: /etc/htpasswd}}
http: {addr: ':5000', secret: hunter2, draintimeout: 1h30m}
wharfinger:
  durability: group
  verify: never
  manifests: {sparse: true}
  catalog: {rescan: 0}
";

#[test]
fn a_file_that_gives_everything_gets_everything() {
    let Loaded {
        settings, warnings, ..
    } = loaded(EVERYTHING);
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.log.fields["service"], "registry");
    assert_eq!(settings.log.access_log, AccessLog::Off);
    let root = PathBuf::from("/srv/registry data");
    assert_eq!(
        settings.storage.driver,
        DriverConfig::Filesystem {
            root,
            max_threads: 25
        }
    );
    assert!(settings.storage.delete_enabled);
    assert_eq!(settings.storage.cache, Some(CacheConfig { entries: 5 }));
    assert!(settings.storage.read_only);
    let purging = PurgeConfig {
        enabled: false,
        age: Duration::from_secs(7200),
        interval: Duration::from_secs(60),
        dry_run: true,
    };
    assert_eq!(settings.storage.purging, purging);
    assert_eq!(settings.http.listen.to_string(), ":5000");
    assert!(matches!(settings.http.secret, SecretSource::Given(_)));
    assert_eq!(settings.http.drain_timeout, Duration::from_secs(5400));
    assert_eq!(settings.durability, Durability::Group);
    assert_eq!(settings.verify, Verify::Never);
    assert!(settings.manifest_rules.sparse);
    insta::assert_snapshot!(warnings.join("\n"), @"config.yml:8:63: `storage.filesystem.maxthreads` 3 is raised to 25");
}

#[test]
fn the_effective_settings_are_a_file_without_secrets() {
    let effective = loaded(EVERYTHING).effective();
    // What follows are defaults, as of the least file.
    let (shown, _) = effective.split_once("validation:").unwrap();
    insta::assert_snapshot!(shown, @r#"
    version: 0.1
    log:
      level: debug
      formatter: json
      fields: {"service":"registry"}
      reportcaller: false
      accesslog:
        disabled: true
    storage:
      filesystem:
        rootdirectory: "/srv/registry data"
        maxthreads: 25
      redirect:
        disable: false
      tag:
        concurrencylimit: 0
      delete:
        enabled: true
      cache:
        blobdescriptor: inmemory
        blobdescriptorsize: 5
      maintenance:
        readonly:
          enabled: true
        uploadpurging:
          enabled: false
          age: 2h
          interval: 1s
          dryrun: true
    auth:
      htpasswd:
        realm: "the wharf"
        path: /etc/htpasswd
    http:
      addr: ":5000"
      net: tcp
      prefix: /
      relativeurls: false
      headers: {}
      tls:
      http2:
        disabled: false
      h2c:
        enabled: false
      secret: "***" # given, not shown
      draintimeout: 1h30m
      debug:
        prometheus:
          enabled: false
          path: /metrics
    health:
      storagedriver:
        enabled: false
        interval: 10s
        threshold: 0
    wharfinger:
      accesslog: combined
      limits:
        connections: 10000
        addressconnections: 5000
        requests: 10000
        uploads: 9000
        manifestmemory: 67108864
      durability: group
      verify: never
      manifests:
        sparse: true
      catalog:
        rescan: 0s
    "#);
    assert!(!effective.contains("hunter2"));
    // Read again, it means the same, but for the secret.
    assert_eq!(loaded(&effective).effective(), effective);
}

#[test]
fn the_effective_settings_of_the_least_file_are_the_defaults() {
    insta::assert_snapshot!(loaded(LEAST).effective(), @r#"
    version: 0.1
    log:
      level: info
      formatter: text
      fields: {}
      reportcaller: false
      accesslog:
        disabled: false
    storage:
      inmemory: {}
      redirect:
        disable: false
      tag:
        concurrencylimit: 0
      delete:
        enabled: false
      cache:
        blobdescriptorsize: 10000
      maintenance:
        readonly:
          enabled: false
        uploadpurging:
          enabled: true
          age: 168h
          interval: 24h
          dryrun: false
    auth:
    http:
      addr: "127.0.0.1:5000"
      net: tcp
      prefix: /
      relativeurls: false
      headers: {}
      tls:
      http2:
        disabled: false
      h2c:
        enabled: false
      secret: # made anew at each start
      draintimeout: 1m
      debug:
        prometheus:
          enabled: false
          path: /metrics
    health:
      storagedriver:
        enabled: false
        interval: 10s
        threshold: 0
    wharfinger:
      accesslog: combined
      limits:
        connections: 10000
        addressconnections: 5000
        requests: 10000
        uploads: 9000
        manifestmemory: 67108864
      durability: full
      verify: changed
      manifests:
        sparse: false
      catalog:
        rescan: 1s
    validation:
      disabled: false
      manifests:
        urls:
        indexes:
          platforms: all
    catalog:
      maxentries: 1000
    tags:
      maxtags: 1000
    "#);
}

#[test]
fn old_names_count_and_yield_to_the_new() {
    let old = "loglevel: warn\nversion: 0.1\nstorage: {inmemory: , cache: {layerinfo: inmemory}}\n";
    let settings = loaded(old).settings;
    assert_eq!(settings.log.level, LogLevel::Warn);
    assert!(settings.storage.cache.is_some());
    for both in [
        "loglevel: warn\nlog: {level: error}\n",
        "log: {level: error}\nloglevel: warn\n",
    ] {
        let loaded = loaded(&format!("{LEAST}{both}"));
        assert_eq!(loaded.settings.log.level, LogLevel::Error, "{both}");
        assert!(loaded.warnings[0].contains("`loglevel` is ignored beside `log.level`"));
    }
}

#[test]
fn all_faults_are_told_at_once() {
    insta::assert_snapshot!(faults("\
version: 0.2
storag:
  filesystem: {}
storage:
  filesytem:
    rootdirectory: /data
  delete: true
  cache:
    blobdescriptor: redis
    blobdescriptorsize: 0
HTTP: {}
http:
  adrr: :5000
  draintimeout: 60
  rootdirectory: /data
proxy:
  remoteurl: https://registry-1.docker.io
log: {level: verbose, accesslog: {disabled: 1}}
wharfinger: [full]
"), @"
    config.yml:1:10: `version` must be `0.1`, not `0.2`
    config.yml:2:1: unknown key `storag`; did you mean `storage`?
    config.yml:5:3: unknown key `storage.filesytem`; did you mean `storage.filesystem`?
    config.yml:7:11: `storage.delete` is a section with keys such as `enabled`, not a single value
    config.yml:9:21: `storage.cache.blobdescriptor: redis` is not supported yet
    config.yml:10:25: `storage.cache.blobdescriptorsize` must be at least 1, not `0`
    config.yml:11:1: unknown key `HTTP`; did you mean `http`?
    config.yml:13:3: unknown key `http.adrr`; did you mean `http.addr`?
    config.yml:14:17: `http.draintimeout` `60` has no unit (Distribution takes it as nanoseconds); write `60s` for seconds
    config.yml:15:3: unknown key `http.rootdirectory`; did you mean `storage.filesystem.rootdirectory`?
    config.yml:16:1: `proxy` is not supported yet
    config.yml:18:14: `log.level` must be one of `error`, `warn`, `info`, `debug`, not `verbose`
    config.yml:18:45: `log.accesslog.disabled` must be `true` or `false` without quotes, not `1`
    config.yml:19:13: `wharfinger` is a section with keys such as `accesslog`, not a list
    ");
}

const WATCHED: &str = "\
version: 0.1
storage: inmemory
http: {secret: x, debug: {addr: 127.0.0.1:5001, prometheus: {enabled: true}}}
health:
  storagedriver: {enabled: true, interval: 0, threshold: 3}
  file: [{file: /a}, {file: /b, interval: 1m}]
  http:
    - {uri: 'http://h/p', headers: {X-A: [a, b], authorization: hunter2}, statuscode: 204}
  tcp: [{addr: 'h:5', timeout: 1s, threshold: 2}]
";

#[test]
fn checks_have_a_name_and_a_rhythm() {
    let loaded = loaded(WATCHED);
    let health = &loaded.settings.health;
    let storage = health.storage.unwrap();
    assert_eq!((storage.interval.as_secs(), storage.threshold), (10, 3));
    let rhythms: Vec<_> = health
        .checks
        .iter()
        .map(|(name, _, timing)| (name.as_str(), timing.interval.as_secs(), timing.threshold))
        .collect();
    assert_eq!(
        rhythms,
        [
            ("/a", 10, 0),
            ("/b", 60, 0),
            ("http://h/p", 10, 0),
            ("h:5", 10, 2)
        ]
    );
    let debug = loaded.settings.http.debug.as_ref().unwrap();
    assert_eq!(debug.metrics.as_deref(), Some("/metrics"));
    assert!(!loaded.effective().contains("hunter2"));
}

#[test]
fn a_check_that_cannot_be_made_is_a_fault() {
    let file = |health: &str| format!("version: 0.1\nstorage: inmemory\nhealth:\n  {health}\n");
    insta::assert_snapshot!(faults(&file("file: [{file: /a}, {file: /a}]")), @"config.yml:4:22: a second check of `/a`; the first is at config.yml:4:10");
    insta::assert_snapshot!(faults(&file("file: [{interval: 1s}]")), @"config.yml:4:10: `health.file.file` is missing");
    insta::assert_snapshot!(faults(&file("file: [{file: /a, interval: -1s}]")), @"config.yml:4:31: `health.file.interval` must not be negative, as `-1s` is");
    insta::assert_snapshot!(faults(&file("file: [{fil: /a}]")), @"
    config.yml:4:10: `health.file.file` is missing
    config.yml:4:11: unknown key `health.file.fil`; did you mean `health.file.file`?
    ");
    insta::assert_snapshot!(faults(&file("file: /a")), @"config.yml:4:9: `health.file` takes a list of sections, not a single value");
    insta::assert_snapshot!(faults(&file("file: [/a]")), @"config.yml:4:10: `health.file` takes a list of sections; this is a single value");
    insta::assert_snapshot!(faults(&file("http: [{uri: 'https://h/'}]")), @"config.yml:4:10: not a URL of the form http://HOST/PATH: https://h/");
    insta::assert_snapshot!(faults(&file("http: [{uri: 'http://h/', statuscode: 5000}]")), @"config.yml:4:10: malformed status");
    insta::assert_snapshot!(faults(&file("http: [{uri: 'http://h/', headers: {a b: c}}]")), @"config.yml:4:10: malformed header `a b`");
    insta::assert_snapshot!(faults(&file("tcp: [{addr: h}]")), @"config.yml:4:9: `health.tcp.addr` must be HOST:PORT, not `h`");
}

#[test]
fn the_path_of_metrics_begins_with_a_slash() {
    let file =
        |debug: &str| format!("version: 0.1\nstorage: inmemory\nhttp: {{debug: {{{debug}}}}}\n");
    insta::assert_snapshot!(faults(&file("addr: ':1', prometheus: {path: metrics}")), @"config.yml:3:47: `http.debug.prometheus.path` must be a path that begins with `/`, not `metrics`");
    let warnings = loaded(&file("prometheus: {enabled: true}")).warnings;
    assert!(warnings[0].contains("http.debug.addr"), "{warnings:?}");
}

#[test]
fn hooks_are_refused_unless_they_are_disabled() {
    let file = |hooks: &str| format!("version: 0.1\nstorage: inmemory\nlog:\n  hooks: {hooks}\n");
    loaded(&file(
        "[{type: mail, disabled: true, levels: [panic], options: {smtp: {addr: a}}}]",
    ));
    insta::assert_snapshot!(faults(&file("[{type: mail, levels: [panic]}]")), @"config.yml:4:10: `log.hooks` at config.yml:4:11 cannot send mail: alarms belong to whoever reads the log and the metrics; take it out, or set `disabled: true`");
}

#[test]
fn exactly_one_driver_is_named() {
    insta::assert_snapshot!(faults("version: 0.1\n"), @"config.yml:1:1: no storage driver is named; give one of `storage.filesystem`, `storage.inmemory`");
    insta::assert_snapshot!(faults("version: 0.1\nstorage:\n"), @"config.yml:2:8: no storage driver is named; give one of `storage.filesystem`, `storage.inmemory`");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: {delete: {enabled: true}}\n"), @"config.yml:2:10: no storage driver is named; give one of `storage.filesystem`, `storage.inmemory`");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: {inmemory: , filesystem: }\n"), @"config.yml:2:23: `storage.filesystem` is a second storage driver beside `storage.inmemory`");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: s3\n"), @"config.yml:2:10: `storage.s3` is not supported yet");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: Filesystem\n"), @"config.yml:2:10: unknown key `storage.Filesystem`; did you mean `storage.filesystem`?");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: [inmemory]\n"), @"config.yml:2:10: `storage` is a section with keys such as `filesystem`, not a list");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: {inmemory: {size: 5}}\n"), @"config.yml:2:22: unknown key `storage.inmemory.size`");
    insta::assert_snapshot!(faults("version: 0.1\nstorage: {swift: {}}\n"), @"config.yml:2:11: `storage.swift` is not supported; Distribution 3 dropped it");
}

#[test]
fn the_version_is_0_1() {
    for version in ["0.1", "\"0.1\"", "'0.1'"] {
        loaded(&format!("version: {version}\nstorage: inmemory\n"));
    }
    insta::assert_snapshot!(faults("version: 0.10\nstorage: inmemory\n"), @"config.yml:1:10: `version` must be `0.1`, not `0.10`");
    insta::assert_snapshot!(faults("version:\nstorage: inmemory\n"), @"config.yml:1:1: `version` is missing; begin the file with `version: 0.1`");
    insta::assert_snapshot!(faults(""), @"
    config.yml:1:1: `version` is missing; begin the file with `version: 0.1`
    config.yml:1:1: no storage driver is named; give one of `storage.filesystem`, `storage.inmemory`
    ");
    insta::assert_snapshot!(faults("- version: 0.1\n"), @"config.yml:1:1: a configuration is a map of keys, such as `version: 0.1`");
}

#[test]
fn every_refused_key_is_refused_by_name() {
    for row in keys::KEYS
        .iter()
        .filter(|row| row.status != schema::Status::Known)
    {
        let mut text = String::from("{}");
        for word in row.path.rsplit('.') {
            text = format!("{{{word}: {text}}}");
        }
        assert!(
            faults(&text).contains(&format!("`{}` is not supported", row.path)),
            "{text}"
        );
    }
}

#[test]
fn a_file_is_read_with_a_bound() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("c.yml");
    std::fs::write(&path, format!("\u{feff}{LEAST}")).unwrap();
    loaded(&read_file(&path).unwrap());
    std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(
        read_file(&path)
            .unwrap_err()
            .to_string()
            .contains("longer than 1 MiB")
    );
    std::fs::write(&path, b"version: \xff").unwrap();
    assert!(format!("{:#}", read_file(&path).unwrap_err()).contains("UTF-8"));
    let error = read_file(&scratch.path().join("none.yml")).unwrap_err();
    assert!(format!("{error:#}").contains("none.yml"));
    assert!(read_file(scratch.path()).is_err());
}
