//! `auth`: which provider it names, and what that one needs.

use super::check::{Findings, Value};
use super::fault::{Fault, quote};
use super::schema::{Kind, Row, Status, children, find, join};
use super::tree::{Content, Entry, Node};
use super::types::{AuthConfig, ServeConfig};

/// Distribution takes `none` in any case.
pub(super) fn lower_none(root: &mut Node) {
    let Content::Map(entries) = &mut root.content else {
        return;
    };
    let auth = entries.iter_mut().find(|entry| entry.key == "auth");
    if let Some(Content::Map(providers)) = auth.map(|entry| &mut entry.value.content) {
        for provider in providers {
            if provider.key.eq_ignore_ascii_case("none") {
                provider.key.make_ascii_lowercase();
            }
        }
    }
}

/// Says that a provider is none.
pub(super) fn unknown(key: &str) -> String {
    let known = children("auth").filter(|row| row.status == Status::Known);
    let known: Vec<_> = known.map(|row| format!("`{}`", row.path)).collect();
    let name = quote(&join("auth", key));
    format!("{name} is not supported; give one of {}", known.join(", "))
}

/// Finds the one provider, and whether all is there that it needs.
pub(super) fn check(findings: &mut Findings, root: &Node) {
    let Some(Content::Map(entries)) = root.get("auth").map(|node| &node.content) else {
        return;
    };
    let mut named = entries.iter().filter_map(|entry| {
        let row = find(&join("auth", &entry.key))?;
        (row.kind == Kind::Provider).then_some((row, entry))
    });
    let Some((row, entry)) = named.next() else {
        return;
    };
    for (other, second) in named {
        let message = format!(
            "`{}` is a second provider beside `{}`",
            other.path, row.path
        );
        findings.faults.push(Fault::new(&second.at, message));
    }
    findings.provider = Some(row.name());
    for key in children(row.path) {
        require(findings, key, entry);
    }
}

/// Every key of a provider is required. A realm becomes part of a header.
fn require(findings: &mut Findings, key: &'static Row, provider: &Entry) {
    if provider.value.get(key.name()).is_none_or(Node::is_null) {
        let message = format!("`{}` is missing", key.path);
        findings.faults.push(Fault::new(&provider.at, message));
    }
    if let Some(Value::Text(text)) = findings.values.get(key.path)
        && text.contains(char::is_control)
        && let Some(at) = findings.positions.get(key.path)
    {
        let message = format!("`{}` must not have control characters", key.path);
        findings.faults.push(Fault::new(at, message));
    }
}

/// What the operator should know of who may use the registry.
pub(super) fn warning(settings: &ServeConfig) -> Option<String> {
    let listen = &settings.http.listen;
    match &settings.auth {
        AuthConfig::Open { meant: false } if !listen.is_local() => Some(format!(
            "no `auth` is given, and `http.addr` {listen} can be reached from other machines: everybody \
             there may read, write and delete. Give `auth.htpasswd`, or listen on 127.0.0.1, or say by \
             `auth: none` that this is meant"
        )),
        AuthConfig::Silly { .. } => Some(
            "`auth.silly` lets in everybody who sends any credentials: it is for tests of clients"
                .to_owned(),
        ),
        AuthConfig::Open { .. } | AuthConfig::Htpasswd { .. } => None,
    }
}

#[cfg(test)]
mod tests;
