//! The files that Distribution's packages ship.

use super::*;

/// `/etc/docker/registry/config.yml` of Debian's package.
const DEBIAN: &str = "\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/docker/registry
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

/// `/etc/docker/registry/config.yml` of the official image, version 2.
const IMAGE_2: &str = "\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

/// `/etc/distribution/config.yml` of the official image, version 3.
const IMAGE_3: &str = "\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  tag:
    concurrencylimit: 5
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

/// Loads a file, or sees that it is refused for keys that are not there yet, and for nothing else.
fn stock(text: &str) -> Option<ServeConfig> {
    match load("config.yml", text, &[]) {
        Ok(loaded) => Some(loaded.settings),
        Err(report) => {
            for line in report.to_string().lines() {
                assert!(line.ends_with("is not supported yet"), "{line}");
            }
            None
        }
    }
}

fn assert_serves(text: &str, root: &str, nosniff: bool) {
    let Some(settings) = stock(text) else {
        return;
    };
    let expected = DriverConfig::Filesystem {
        root: root.into(),
        max_threads: 100,
    };
    assert_eq!(settings.storage.driver, expected);
    assert_eq!(settings.http.listen.to_string(), ":5000");
    assert_eq!(settings.http.headers.len(), usize::from(nosniff));
    assert_eq!(settings.log.fields["service"], "registry");
}

#[test]
fn the_file_of_debian_loads_but_for_what_is_not_there_yet() {
    assert_serves(DEBIAN, "/var/lib/docker-registry", true);
}

#[test]
fn the_files_of_the_official_images_load_but_for_what_is_not_there_yet() {
    assert_serves(IMAGE_2, "/var/lib/registry", true);
    assert_serves(IMAGE_3, "/var/lib/registry", false);
}
