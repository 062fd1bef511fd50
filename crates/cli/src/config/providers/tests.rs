use std::path::PathBuf;

use super::super::{AuthConfig, Loaded, Report, load};

const LEAST: &str = "version: 0.1\nstorage: inmemory\n";

fn with(auth: &str, variables: &[(&str, &str)]) -> Result<Loaded, Report> {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load("c.yml", &format!("{LEAST}{auth}"), &variables)
}

fn auth(text: &str, variables: &[(&str, &str)]) -> AuthConfig {
    let loaded = with(text, variables).unwrap_or_else(|report| panic!("{report}"));
    loaded.settings.auth
}

fn faults(text: &str, variables: &[(&str, &str)]) -> String {
    with(text, variables).unwrap_err().to_string()
}

/// Warnings but for that of the secret.
fn warnings(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut warnings = with(text, variables).unwrap().warnings;
    warnings.retain(|warning| !warning.contains("http.secret"));
    warnings
}

const HTPASSWD: &str = "auth: {htpasswd: {realm: basic-realm, path: /etc/htpasswd}}\n";

fn htpasswd(realm: &str, path: &str) -> AuthConfig {
    AuthConfig::Htpasswd {
        realm: realm.to_owned(),
        path: PathBuf::from(path),
    }
}

#[test]
fn a_provider_is_named_with_what_it_needs() {
    assert_eq!(auth("", &[]), AuthConfig::Open { meant: false });
    for nothing in ["auth:\n", "auth: ~\n", "auth: {}\n"] {
        assert_eq!(
            auth(nothing, &[]),
            AuthConfig::Open { meant: false },
            "{nothing}"
        );
    }
    for none in [
        "auth: none\n",
        "auth: NONE\n",
        "auth: {None: }\n",
        "auth: {none: {}}\n",
    ] {
        assert_eq!(auth(none, &[]), AuthConfig::Open { meant: true }, "{none}");
    }
    let silly = AuthConfig::Silly {
        realm: "123".to_owned(),
        service: "on".to_owned(),
    };
    assert_eq!(
        auth("auth: {silly: {realm: 123, service: on}}\n", &[]),
        silly
    );
    assert_eq!(
        auth(HTPASSWD, &[]),
        htpasswd("basic-realm", "/etc/htpasswd")
    );
}

#[test]
fn variables_name_a_provider_as_in_distribution() {
    let alone = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
    ];
    let expected = htpasswd("Registry Realm", "/auth/htpasswd");
    assert_eq!(auth("", &alone), expected);
    assert_eq!(auth("", &alone[1..]), expected);
    assert_eq!(
        auth("auth: {silly: {realm: x, service: y}}\n", &alone),
        expected
    );
    let moved = auth(HTPASSWD, &[("REGISTRY_AUTH_HTPASSWD_PATH", "/x")]);
    assert_eq!(moved, htpasswd("basic-realm", "/x"));
}

#[test]
fn an_empty_variable_takes_access_control_away_and_says_so() {
    let empty = [("REGISTRY_AUTH", "")];
    assert_eq!(auth(HTPASSWD, &empty), AuthConfig::Open { meant: false });
    insta::assert_snapshot!(warnings(HTPASSWD, &empty).join("\n"), @"REGISTRY_AUTH is empty: whatever the file says, there is no access control");
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    insta::assert_snapshot!(faults("auth: htpasswd\n", &[]), @"
    c.yml:3:7: `auth.htpasswd.path` is missing
    c.yml:3:7: `auth.htpasswd.realm` is missing
    ");
    insta::assert_snapshot!(faults("auth: {silly: {realm: x}}\n", &[]), @"c.yml:3:8: `auth.silly.service` is missing");
    insta::assert_snapshot!(faults("auth: {silly: {realm: '', service: \"a\\nb\"}}\n", &[]), @"
    c.yml:3:23: `auth.silly.realm` must not be empty
    c.yml:3:36: `auth.silly.service` must not have control characters
    ");
    insta::assert_snapshot!(faults("auth: {none: , htpasswd: {realm: x, path: y}}\n", &[]), @"c.yml:3:16: `auth.htpasswd` is a second provider beside `auth.none`");
    insta::assert_snapshot!(faults(HTPASSWD, &[("REGISTRY_AUTH_SILLY_REALM", "x")]), @"REGISTRY_AUTH_SILLY_REALM: `auth.silly` is a second provider beside `auth.htpasswd`");
}

#[test]
fn other_providers_are_refused_by_name() {
    insta::assert_snapshot!(faults("auth: {token: {realm: x}}\n", &[]), @"c.yml:3:8: `auth.token` is not supported yet");
    insta::assert_snapshot!(faults("auth: ldap\n", &[]), @"c.yml:3:7: `auth.ldap` is not supported; give one of `auth.none`, `auth.silly`, `auth.htpasswd`");
    insta::assert_snapshot!(faults("auth: {htpasswd: {realm: x, path: y, hash: z}}\n", &[]), @"c.yml:3:38: unknown key `auth.htpasswd.hash`");
    insta::assert_snapshot!(faults("", &[("REGISTRY_AUTH", "token"), ("REGISTRY_AUTH_TOKEN_REALM", "x")]), @"
    REGISTRY_AUTH: `auth.token` is not supported yet
    REGISTRY_AUTH_TOKEN_REALM: `auth.token` is not supported yet
    ");
    // Elsewhere it would be a warning; here it would be an open door.
    for name in [
        "REGISTRY_AUTH_LDAP_REALM",
        "REGISTRY_AUTH_HTPASSWD_FILE",
        "REGISTRY_AUTH_htpasswd",
    ] {
        let told = faults("", &[(name, "x")]);
        assert_eq!(
            told,
            format!("{name}: stands for no key of `auth`, of which none is ignored")
        );
    }
}

#[test]
fn an_open_registry_that_others_can_reach_is_told_once() {
    let told = warnings("http: {addr: ':5000'}\n", &[]);
    insta::assert_snapshot!(told.join("\n"), @"no `auth` is given, and `http.addr` :5000 can be reached from other machines: everybody there may read, write and delete. Give `auth.htpasswd`, or listen on 127.0.0.1, or say by `auth: none` that this is meant");
    for quiet in [
        "",
        "http: {addr: 'localhost:5000'}\n",
        "http: {addr: '[::1]:5000'}\n",
        "http: {addr: ':5000'}\nauth: none\n",
        &format!("http: {{addr: ':5000'}}\n{HTPASSWD}"),
    ] {
        assert_eq!(warnings(quiet, &[]), [""; 0], "{quiet}");
    }
    for loud in [
        "0.0.0.0:1",
        "[::]:1",
        "192.168.0.1:1",
        "registry.lan:1",
        "[::ffff:10.0.0.1]:1",
    ] {
        assert_eq!(
            warnings(&format!("http: {{addr: '{loud}'}}\n"), &[]).len(),
            1,
            "{loud}"
        );
    }
    let silly = warnings("auth: {silly: {realm: x, service: y}}\n", &[]);
    insta::assert_snapshot!(silly.join("\n"), @"`auth.silly` lets in everybody who sends any credentials: it is for tests of clients");
}

#[test]
fn the_effective_settings_name_the_provider() {
    let print = |text: &str| with(text, &[]).unwrap().effective();
    let of_auth = |text: &str| {
        let effective = print(text);
        let from = effective.find("auth:").unwrap();
        let to = effective.find("http:").unwrap();
        effective[from..to].to_owned()
    };
    insta::assert_snapshot!(of_auth(HTPASSWD), @"
    auth:
      htpasswd:
        realm: basic-realm
        path: /etc/htpasswd
    ");
    assert_eq!(of_auth("auth: None\n"), "auth:\n  none: {}\n");
    assert_eq!(of_auth(""), "auth:\n");
}

#[test]
fn a_file_that_cannot_be_used_is_a_fault_of_its_key() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().to_str().unwrap();
    let text = format!("auth:\n  htpasswd:\n    realm: basic-realm\n    path: {directory}\n");
    let faults = |loaded: Loaded| loaded.with_files_checked().unwrap_err().to_string();
    let told = faults(with(&text, &[]).unwrap());
    assert_eq!(
        told,
        format!(
            "c.yml:6:11: `auth.htpasswd.path`: {directory} is no htpasswd file but a directory or the \
             like; name a file with a line for each user, as `htpasswd -Bbn USER PASSWORD` prints it"
        )
    );
    let missing = format!("{directory}/none");
    let variable = [("REGISTRY_AUTH_HTPASSWD_PATH", missing.as_str())];
    let told = faults(with(&text, &variable).unwrap());
    assert!(
        told.starts_with("REGISTRY_AUTH_HTPASSWD_PATH: `auth.htpasswd.path`: htpasswd file"),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "make it with `htpasswd -Bbn USER PASSWORD > {missing}`"
        )),
        "{told}"
    );
    std::fs::write(&missing, "alice:c4nary\n").unwrap();
    let told = faults(with(&text, &variable).unwrap());
    assert!(
        told.contains("line 1 cannot be used") && !told.contains("c4nary"),
        "{told}"
    );
    std::fs::write(&missing, "# nobody yet\n").unwrap();
    assert!(with(&text, &variable).unwrap().with_files_checked().is_ok());
}
