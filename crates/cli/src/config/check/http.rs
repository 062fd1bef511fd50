//! What the keys of `http` mean for each other.

use wharfinger_server::{CipherSuite, SuiteError};

use super::super::address::ListenAddress;
use super::super::fault::{Fault, quote};
use super::super::schema::nearest;
use super::super::tree::{Content, Node};
use super::{Findings, Value};

/// Keys without which nothing is left of what they are meant to keep out.
const NEEDED: [&str; 3] = ["http.tls.key", "http.tls.clientcas", "http.tls.clientauth"];

/// Keys that only make TLS stricter.
const STRICTER: [&str; 2] = ["http.tls.minimumtls", "http.tls.ciphersuites"];

impl Findings {
    /// Holds the keys of `http` against each other.
    pub(super) fn check_http(&mut self, root: &Node) {
        self.check_address(root);
        self.check_tls(root);
        self.check_suites(root);
        let is_on = |path: &str| matches!(self.values.get(path), Some(Value::Bool(true)));
        if is_on("http.h2c.enabled") && given(root, "http.tls.certificate").is_some() {
            let warning =
                "`http.h2c.enabled` does nothing with TLS, where HTTP/2 is offered by itself";
            self.warnings.push(warning.to_owned());
        }
    }

    /// Reads the address as what `http.net` says that it is.
    fn check_address(&mut self, root: &Node) {
        let is_unix =
            matches!(self.values.get("http.net"), Some(Value::Text(net)) if net == "unix");
        let node = given(root, "http.addr");
        let Some(Value::Text(text)) = self.values.get("http.addr") else {
            return;
        };
        let parsed = text.parse::<ListenAddress>();
        if !is_unix {
            match (parsed, node) {
                (Ok(address), _) => {
                    self.values.insert("http.addr", Value::Address(address));
                }
                (Err(fault), node) => {
                    let hint = if text.contains('/') {
                        "; for the path of a socket give `http.net: unix`"
                    } else {
                        ""
                    };
                    let message = format!("`http.addr` {} {}{hint}", quote(text), fault.0);
                    let at = node.map_or(&root.at, |node| &node.at);
                    self.faults.push(Fault::new(at, message));
                }
            }
            return;
        }
        let message = match node {
            None => "`http.net: unix` needs the path of a socket in `http.addr`".to_owned(),
            Some(_) if parsed.is_ok() => format!(
                "`http.addr` {} is the path of a socket because of `http.net: unix`; write it as \
                 `/run/registry.sock`",
                quote(text)
            ),
            Some(_) => return,
        };
        let at = node.or_else(|| root.get("http.net")).unwrap_or(root);
        self.faults.push(Fault::new(&at.at, message));
    }

    /// A registry that is meant to have TLS must not be without.
    fn check_tls(&mut self, root: &Node) {
        if let Some(certificate) = given(root, "http.tls.certificate") {
            if given(root, "http.tls.key").is_none() {
                let message = "`http.tls.certificate` needs `http.tls.key` beside it";
                self.faults.push(Fault::new(&certificate.at, message));
            }
        } else {
            for path in NEEDED {
                if let Some(node) = given(root, path) {
                    let message = format!(
                        "`{path}` needs `http.tls.certificate`: without it there is no TLS"
                    );
                    self.faults.push(Fault::new(&node.at, message));
                }
            }
            for path in STRICTER {
                if let Some(node) = given(root, path) {
                    let at = &node.at;
                    self.warnings.push(format!(
                        "{at}: `{path}` does nothing without `http.tls.certificate`"
                    ));
                }
            }
        }
        let authorities = matches!(
            self.values.get("http.tls.clientcas"),
            Some(Value::List(files)) if !files.is_empty()
        );
        if let Some(mode) = given(root, "http.tls.clientauth")
            && !authorities
        {
            let message = "`http.tls.clientauth` needs `http.tls.clientcas`: without authorities nobody is \
                           asked for a certificate";
            self.faults.push(Fault::new(&mode.at, message));
        }
    }

    /// A name that stands for nothing is a fault; one for what is too weak is only left out.
    fn check_suites(&mut self, root: &Node) {
        let Some(node) = given(root, "http.tls.ciphersuites") else {
            return;
        };
        let Content::List(items) = &node.content else {
            return; // `read` has said so
        };
        let (mut usable, mut unknown) = (0, 0);
        for item in items {
            let Content::Scalar(name) = &item.content else {
                return;
            };
            let quoted = quote(&name.text);
            match name.text.parse::<CipherSuite>() {
                Ok(_) => usable += 1,
                Err(SuiteError::Weak) => self.warnings.push(format!(
                    "{}: `http.tls.ciphersuites` names {quoted}, which is left out: it is too weak",
                    item.at
                )),
                Err(SuiteError::Unknown) => {
                    unknown += 1;
                    let near = nearest(&name.text, CipherSuite::names().map(|name| (name, name)));
                    let hint =
                        near.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                    let message = format!(
                        "`http.tls.ciphersuites` holds {quoted}, which is no cipher suite{hint}"
                    );
                    self.faults.push(Fault::new(&item.at, message));
                }
            }
        }
        if usable + unknown == 0 {
            let message = "`http.tls.ciphersuites` names none that can be used; leave the key out to have \
                           all that are safe";
            self.faults.push(Fault::new(&node.at, message));
        }
    }
}

/// Returns the value of a key that is given.
fn given<'a>(root: &'a Node, path: &str) -> Option<&'a Node> {
    root.get(path).filter(|node| !node.is_null())
}
