//! The files that Distribution's packages ship.

use super::*;

/// `/etc/docker/registry/config.yml` of Debian's package.
const DEBIAN: &str = include_str!("../../../testdata/stock/debian.yml");

/// `/etc/docker/registry/config.yml` of the official image, version 2.
const IMAGE_2: &str = include_str!("../../../testdata/stock/image-2.yml");

/// `/etc/distribution/config.yml` of the official image, version 3.
const IMAGE_3: &str = include_str!("../../../testdata/stock/image-3.yml");

fn stock(text: &str, root: &str, nosniff: bool) -> ServeConfig {
    let settings = loaded(text).settings;
    let expected = DriverConfig::Filesystem {
        root: root.into(),
        max_threads: 100,
    };
    assert_eq!(settings.storage.driver, expected);
    assert_eq!(settings.http.listen.to_string(), ":5000");
    assert_eq!(settings.http.headers.len(), usize::from(nosniff));
    assert_eq!(settings.log.fields["service"], "registry");
    let health = settings.health.storage.unwrap();
    assert_eq!((health.interval.as_secs(), health.threshold), (10, 3));
    settings
}

#[test]
fn the_file_of_debian_loads_and_guards() {
    let settings = stock(DEBIAN, "/var/lib/docker-registry", true);
    assert!(settings.storage.delete_enabled);
    let expected = AuthConfig::Htpasswd {
        realm: "basic-realm".to_owned(),
        path: "/etc/docker/registry".into(),
    };
    assert_eq!(settings.auth, expected);
}

#[test]
fn the_files_of_the_official_images_load() {
    let settings = stock(IMAGE_2, "/var/lib/registry", true);
    assert!(!settings.storage.delete_enabled);
    assert_eq!(settings.storage.tag_lookups, 0);
    let settings = stock(IMAGE_3, "/var/lib/registry", false);
    assert!(settings.storage.delete_enabled);
    assert_eq!(settings.storage.tag_lookups, 5);
    let debug = settings.http.debug.unwrap();
    assert_eq!(debug.metrics.as_deref(), Some("/metrics"));
}
