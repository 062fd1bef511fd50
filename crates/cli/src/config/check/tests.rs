//! The rules of single keys. Whole files are in `config::tests`.

use super::*;

/// What `check` says of a valid file with `line` put into it.
fn faults_of(section: &str, line: &str) -> String {
    let text = format!("version: 0.1\nstorage: {{inmemory: }}\n{section}:\n  {line}\n");
    let mut root = parse(&text, &Source::File("c.yml".into())).unwrap();
    expand_names(&mut root);
    super::super::fault::Report::new(check(&root).faults).to_string()
}

fn value_of(section: &str, line: &str, path: &str) -> Value {
    let text = format!("version: 0.1\n{section}:\n  {line}\n");
    let root = parse(&text, &Source::File("c.yml".into())).unwrap();
    let mut findings = check(&root);
    findings
        .values
        .remove(path)
        .unwrap_or_else(|| panic!("{path}: {:?}", findings.faults))
}

#[test]
fn every_default_is_of_its_type() {
    let findings = check(&Node::empty_map(super::super::fault::Position::start(
        Source::File("c.yml".into()),
    )));
    for row in KEYS
        .iter()
        .filter(|row| row.is_setting() && row.default.is_some())
    {
        assert!(findings.values.contains_key(row.path), "{}", row.path);
    }
}

#[test]
fn a_scalar_keeps_its_text_where_text_is_wanted() {
    let text = |line: &str, path: &str| match value_of("storage", line, path) {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    };
    let root = "storage.filesystem.rootdirectory";
    assert_eq!(text("filesystem: {rootdirectory: 0123}", root), "0123");
    assert_eq!(text("filesystem: {rootdirectory: on}", root), "on");
    match value_of("http", "secret: on", "http.secret") {
        Value::Secret(secret) => assert_eq!(secret.expose(), "on"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn log_fields_are_of_the_type_that_yaml_gives_them() {
    let line = "fields: {a: x, b: 5, c: yes, d: 1.5, e: ~, f: [1, {g: '1'}], h: 1.0.0, i: 0x10}";
    match value_of("log", line, "log.fields") {
        Value::Fields(fields) => insta::assert_snapshot!(
            serde_json::Value::Object(fields),
            @r#"{"a":"x","b":5,"c":true,"d":1.5,"e":null,"f":[1,{"g":"1"}],"h":"1.0.0","i":16}"#
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_type_says_what_is_wanted() {
    insta::assert_snapshot!(faults_of("wharfinger", "manifests: {sparse: 1}"), @"c.yml:4:23: `wharfinger.manifests.sparse` must be `true` or `false` without quotes, not `1`");
    insta::assert_snapshot!(faults_of("wharfinger", "manifests: {sparse: \"true\"}"), @r#"c.yml:4:23: `wharfinger.manifests.sparse` must be `true` or `false` without quotes, not `"true"`"#);
    insta::assert_snapshot!(faults_of("wharfinger", "manifests: sparse"), @"c.yml:4:14: `wharfinger.manifests` is a section with keys such as `sparse`, not a single value");
    insta::assert_snapshot!(faults_of("wharfinger", "durability: Full"), @"c.yml:4:15: `wharfinger.durability` must be one of `full`, `group`, `none`, not `Full`; did you mean `full`?");
    insta::assert_snapshot!(faults_of("wharfinger", "verify: [always]"), @"c.yml:4:11: `wharfinger.verify` takes a single value, not a list");
    insta::assert_snapshot!(faults_of("http", "draintimeout: 60"), @"c.yml:4:17: `http.draintimeout` `60` has no unit (Distribution takes it as nanoseconds); write `60s` for seconds");
    insta::assert_snapshot!(faults_of("http", "draintimeout: -1s"), @"c.yml:4:17: `http.draintimeout` must not be negative, as `-1s` is");
    insta::assert_snapshot!(faults_of("http", "draintimeout: soon"), @"c.yml:4:17: `http.draintimeout` must be a duration such as `30s` or `1h30m`, not `soon`");
    insta::assert_snapshot!(faults_of("http", "draintimeout: 9999999h"), @"c.yml:4:17: `http.draintimeout` `9999999h` is longer than a hundred years");
    insta::assert_snapshot!(faults_of("http", "addr: 5000"), @"c.yml:4:9: `http.addr` `5000` has no port; write `:5000` for all interfaces or `127.0.0.1:5000` for this machine");
    insta::assert_snapshot!(faults_of("http", "secret: {hunter2: x}"), @"c.yml:4:11: `http.secret` takes a single value, not a map");
    insta::assert_snapshot!(faults_of("log", "level: trace"), @"c.yml:4:10: `log.level` must be one of `error`, `warn`, `info`, `debug`, not `trace`");
    insta::assert_snapshot!(faults_of("log", "formatter: xml"), @"c.yml:4:14: `log.formatter` must be one of `text`, `json`, `logstash`, not `xml`");
    insta::assert_snapshot!(faults_of("log", "fields: x"), @"c.yml:4:11: `log.fields` takes a map, not a single value");
}

#[test]
fn words_of_the_log_level_are_taken_in_any_case() {
    match value_of("log", "level: WARN", "log.level") {
        Value::Text(text) => assert_eq!(text, "warn"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_quoted_duration_counts_and_zero_needs_no_unit() {
    for line in ["draintimeout: \"90s\"", "draintimeout: 1m30s"] {
        match value_of("http", line, "http.draintimeout") {
            Value::Duration(value) => assert_eq!(value.as_secs(), 90),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(faults_of("http", "draintimeout: 0"), "");
}

#[test]
fn null_is_as_if_the_key_were_not_there() {
    for line in ["addr:", "addr: ~", "draintimeout: null", "secret: "] {
        assert_eq!(faults_of("http", line), "", "{line}");
    }
}
