use super::super::types::{DriverConfig, SecretSource};
use super::super::{Loaded, Report, load, load_built_in};

const FILE: &str = "\
version: 0.1
storage:
  filesystem: {rootdirectory: /data}
  delete: {enabled: true}
log:
  fields: {Service: a}
http: {addr: ':5000', secret: s}
auth: none
";

fn with(variables: &[(&str, &str)]) -> Result<Loaded, Report> {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load("c.yml", FILE, &variables)
}

fn settings(variables: &[(&str, &str)]) -> Loaded {
    with(variables).unwrap_or_else(|report| panic!("{report}"))
}

fn faults(variables: &[(&str, &str)]) -> String {
    with(variables).unwrap_err().to_string()
}

#[test]
fn a_variable_lies_over_the_file() {
    let loaded = settings(&[
        ("REGISTRY_HTTP_ADDR", "127.0.0.1:7"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/elsewhere"),
        ("REGISTRY_WHARFINGER_MANIFESTS_SPARSE", "yes"),
        ("REGISTRY_LOGLEVEL", "debug"),
        ("REGISTRY_CONFIGURATION_PATH", "/etc/c.yml"),
        ("registry_http_addr", "nonsense"),
        ("HOME", "/root"),
    ]);
    let settings = loaded.settings;
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:7");
    assert!(settings.manifest_rules.sparse);
    let root = "/elsewhere".into();
    assert_eq!(
        settings.storage.driver,
        DriverConfig::Filesystem {
            root,
            max_threads: 100
        }
    );
    assert!(settings.storage.delete_enabled);
    assert_eq!(settings.log.level, super::super::LogLevel::Debug);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn a_section_given_whole_replaces_that_of_the_file() {
    let loaded = settings(&[("REGISTRY_HTTP", "{addr: ':7'}")]);
    assert!(matches!(
        loaded.settings.http.secret,
        SecretSource::PerProcess
    ));
    let loaded = settings(&[
        ("REGISTRY_STORAGE", "inmemory"),
        ("REGISTRY_STORAGE_CACHE_LAYERINFO", "inmemory"),
    ]);
    assert_eq!(loaded.settings.storage.driver, DriverConfig::Memory);
    assert!(!loaded.settings.storage.delete_enabled);
    assert_eq!(loaded.settings.storage.cache.unwrap().entries, 10_000);
}

#[test]
fn a_driver_named_alone_takes_its_keys_from_other_variables() {
    let loaded = settings(&[
        ("REGISTRY_STORAGE", "filesystem"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x"),
    ]);
    let root = "/x".into();
    assert_eq!(
        loaded.settings.storage.driver,
        DriverConfig::Filesystem {
            root,
            max_threads: 100
        }
    );
}

#[test]
fn an_empty_value_takes_a_key_away() {
    let loaded = settings(&[("REGISTRY_HTTP_SECRET", ""), ("REGISTRY_HTTP_ADDR", "")]);
    assert!(matches!(
        loaded.settings.http.secret,
        SecretSource::PerProcess
    ));
    assert_eq!(loaded.settings.http.listen.to_string(), "127.0.0.1:5000");
    assert!(faults(&[("REGISTRY_STORAGE", "")]).contains("no storage driver"));
}

#[test]
fn log_fields_are_found_in_any_case_and_made_in_lower_case() {
    let loaded = settings(&[
        ("REGISTRY_LOG_FIELDS_SERVICE", "b"),
        ("REGISTRY_LOG_FIELDS_X_Y", "1"),
    ]);
    let fields = serde_json::Value::Object(loaded.settings.log.fields);
    assert_eq!(fields, serde_json::json!({"Service": "b", "x": {"y": 1}}));
}

#[test]
fn what_kubernetes_sets_is_only_a_warning() {
    let loaded = settings(&[
        ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_STORAGE_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_PROXY_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_AUTH_SERVICE_PORT", "5001"),
        ("REGISTRY_HTTP_ADR", ":7"),
        ("REGISTRY_http_addr", ":7"),
        ("REGISTRY_HTTP_ADDR_FOO", ":7"),
        ("REGISTRY_VERSION", "2.8.3"),
        ("REGISTRY_", "x"),
    ]);
    assert_eq!(loaded.settings.http.listen.to_string(), ":5000");
    insta::assert_snapshot!(loaded.warnings.join("\n"), @"
    the variable `REGISTRY_` stands for no key and is ignored
    the variable `REGISTRY_AUTH_SERVICE_PORT` stands for no key and is ignored
    the variable `REGISTRY_HTTP_ADDR_FOO` stands for no key and is ignored; did you mean REGISTRY_HTTP_ADDR?
    the variable `REGISTRY_HTTP_ADR` stands for no key and is ignored; did you mean REGISTRY_HTTP_ADDR?
    the variable `REGISTRY_PORT` stands for no key and is ignored
    the variable `REGISTRY_PROXY_PORT` stands for no key and is ignored
    the variable `REGISTRY_SERVICE_HOST` stands for no key and is ignored
    the variable `REGISTRY_STORAGE_PORT` stands for no key and is ignored
    REGISTRY_VERSION is ignored: the file says which version it has
    the variable `REGISTRY_http_addr` stands for no key and is ignored; did you mean REGISTRY_HTTP_ADDR?
    ");
}

#[test]
fn keys_that_are_not_built_are_refused_as_in_the_file() {
    insta::assert_snapshot!(faults(&[
        ("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io"),
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "x"),
        ("REGISTRY_STORAGE_S3_BUCKET", "b"),
        ("REGISTRY_HTTP_TLS_LETSENCRYPT_HOSTS", "[a]"),
        ("REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES", "true"),
        ("REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED", "true"),
    ]), @"
    REGISTRY_AUTH: `auth.token` is not supported yet
    REGISTRY_AUTH_TOKEN_ISSUER: `auth.token` is not supported yet
    REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED: `compatibility` is not supported; Distribution 3 dropped it
    REGISTRY_HTTP_TLS_LETSENCRYPT_HOSTS: `http.tls.letsencrypt` is not supported yet
    REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES: `notifications` is not supported yet
    REGISTRY_PROXY_REMOTEURL: `proxy` is not supported yet
    REGISTRY_STORAGE_S3_BUCKET: `storage.s3` is not supported yet
    ");
}

#[test]
fn lists_are_given_whole_or_by_number() {
    let checks = |variables: &[(&str, &str)]| {
        let checks = settings(variables).settings.health.checks;
        let names = checks.into_iter().map(|(name, ..)| name);
        names.collect::<Vec<_>>()
    };
    let whole = ("REGISTRY_HEALTH_FILECHECKERS", "[{file: /a}, {file: /b}]");
    assert_eq!(checks(&[whole]), ["/a", "/b"]);
    let numbered = [
        ("REGISTRY_HEALTH_TCPCHECKERS_0_ADDR", "h:1"),
        ("REGISTRY_HEALTH_TCPCHECKERS_0_INTERVAL", "1s"),
        ("REGISTRY_HEALTH_TCPCHECKERS_1_ADDR", "h:2"),
    ];
    assert_eq!(checks(&numbered), ["h:1", "h:2"]);
    let changed = [whole, ("REGISTRY_HEALTH_FILECHECKERS_1_FILE", "/c")];
    assert_eq!(checks(&changed), ["/a", "/c"]);
    insta::assert_snapshot!(faults(&[("REGISTRY_HEALTH_TCPCHECKERS_5_ADDR", "h:1")]), @"REGISTRY_HEALTH_TCPCHECKERS_5_ADDR: `health.tcp.addr` is missing");
}

#[test]
fn a_broken_value_is_a_fault_of_the_variable() {
    insta::assert_snapshot!(faults(&[
        ("REGISTRY_STORAGE_DELETE_ENABLED", "1"),
        ("REGISTRY_HTTP", "{addr: ':7', adr: x}"),
        ("REGISTRY_LOG_FIELDS", "[a"),
        ("REGISTRY_WHARFINGER_DURABILITY", "ful"),
    ]), @"
    REGISTRY_HTTP:1:14: unknown key `http.adr`; did you mean `http.addr`?
    REGISTRY_LOG_FIELDS: not valid YAML: unclosed bracket '['
    REGISTRY_STORAGE_DELETE_ENABLED: `storage.delete.enabled` must be `true` or `false` without quotes, not `1`
    REGISTRY_WHARFINGER_DURABILITY: `wharfinger.durability` must be one of `full`, `group`, `none`, not `ful`; did you mean `full`?
    ");
}

#[test]
fn a_broken_secret_is_not_repeated() {
    let report = faults(&[("REGISTRY_HTTP_SECRET", "@hunter2")]);
    insta::assert_snapshot!(report, @"REGISTRY_HTTP_SECRET: the value is not valid YAML; put it in quotes");
}

#[test]
fn a_second_driver_is_refused() {
    insta::assert_snapshot!(faults(&[("REGISTRY_STORAGE_INMEMORY", "{}")]), @"REGISTRY_STORAGE_INMEMORY: `storage.inmemory` is a second storage driver beside `storage.filesystem`");
}

#[test]
fn variables_lie_over_the_built_in_configuration_too() {
    let variables = [("REGISTRY_HTTP_ADDR".to_owned(), ":7".to_owned())];
    let settings = load_built_in(&variables).unwrap().settings;
    assert_eq!(settings.http.listen.to_string(), ":7");
    assert!(matches!(settings.http.secret, SecretSource::KeptIn(_)));
}

#[test]
fn lists_stand_in_a_line_and_headers_one_by_one_or_all_at_once() {
    let loaded = settings(&[
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c.pem"),
        ("REGISTRY_HTTP_TLS_KEY", "/k.pem"),
        ("REGISTRY_HTTP_TLS_CLIENTCAS", "[/a.pem, /b.pem]"),
        ("REGISTRY_HTTP_TLS_CIPHERSUITES", "[TLS_AES_128_GCM_SHA256]"),
        ("REGISTRY_HTTP_HEADERS", "{X-A: [file], X-B: [b, c]}"),
        ("REGISTRY_HTTP_HEADERS_X-A", "[variable]"),
        ("REGISTRY_HTTP_HEADERS_X-CONTENT-TYPE-OPTIONS", "[nosniff]"),
        ("REGISTRY_HTTP_HTTP2_DISABLED", "true"),
        ("REGISTRY_HTTP_RELATIVEURLS", "yes"),
        ("REGISTRY_HTTP_PREFIX", "/deep/"),
        ("REGISTRY_HTTP_HOST", "https://h:1"),
    ]);
    assert_eq!(loaded.warnings, [""; 0]);
    let http = loaded.settings.http;
    let tls = http.tls.unwrap();
    let authorities = ["/a.pem", "/b.pem"].map(std::path::PathBuf::from);
    assert_eq!(tls.clients.unwrap().authorities, authorities);
    assert_eq!(tls.cipher_suites.unwrap().len(), 1);
    assert!(!http.http2 && http.urls.relative);
    assert_eq!(http.urls.prefix.to_string(), "/deep");
    assert_eq!(http.urls.base.unwrap().to_string(), "https://h:1");
    let headers = http
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let expected = [
        ("x-a", "variable"),
        ("x-b", "b"),
        ("x-b", "c"),
        ("x-content-type-options", "nosniff"),
    ];
    assert!(headers.eq(expected), "{:?}", http.headers);
}

#[test]
fn a_variable_of_http_is_checked_as_the_file_is() {
    let report = faults(&[
        ("REGISTRY_HTTP_TLS_CLIENTCAS", "/a.pem"),
        ("REGISTRY_HTTP_TLS_CLIENTCAS_0", "/a.pem"),
        ("REGISTRY_HTTP_HEADERS_X-A", "b"),
        ("REGISTRY_HTTP_HEADERS_X-A_B", "[b]"),
        ("REGISTRY_HTTP_TLS_KEY", "/k.pem"),
        ("REGISTRY_HTTP_NET", "unix"),
    ]);
    insta::assert_snapshot!(report, @"
    c.yml:7:14: `http.addr` `:5000` is the path of a socket because of `http.net: unix`; write it as `/run/registry.sock`
    REGISTRY_HTTP_HEADERS_X-A: `http.headers.x-a` takes a list such as `[a, b]`, not a single value
    REGISTRY_HTTP_TLS_CLIENTCAS: `http.tls.clientcas` needs `http.tls.certificate`: without it there is no TLS
    REGISTRY_HTTP_TLS_CLIENTCAS: `http.tls.clientcas` takes a list such as `[a, b]`, not a single value
    REGISTRY_HTTP_TLS_KEY: `http.tls.key` needs `http.tls.certificate`: without it there is no TLS
    ");
}
