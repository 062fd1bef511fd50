//! `wharfinger.content`: the sockets of the content service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wharfinger_content::Mode;
use wharfinger_store::TenantName;

use super::check::{Findings, Value};
use super::fault::{Fault, quote};
use super::items::Item;
use super::resolve::Values;

/// The list.
const LIST: &str = "wharfinger.content";

/// A socket, and whose content is served there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentConfig {
    /// Where to listen.
    pub(crate) socket: PathBuf,
    /// Whose content it is.
    pub(crate) tenant: TenantName,
    /// Whom it serves.
    pub(crate) mode: Mode,
    /// Whether what anybody has stored is had by its digest.
    pub(crate) share: bool,
}

impl ContentConfig {
    /// Fills in what was not given: the tenant has the name of the socket, and a containerd shares.
    ///
    /// # Errors
    /// Tells why the tenant cannot have its name.
    pub(crate) fn new(
        socket: &Path,
        tenant: Option<&str>,
        mode: Mode,
        share: Option<bool>,
    ) -> Result<Self, String> {
        let stem = || socket.file_stem().and_then(|stem| stem.to_str());
        let name = tenant.or_else(stem).unwrap_or_default();
        let tenant = name.parse::<TenantName>();
        let tenant =
            tenant.map_err(|error| format!("{} cannot be a tenant: {error}", quote(name)))?;
        Ok(Self {
            socket: socket.to_owned(),
            tenant,
            mode,
            share: share.unwrap_or(mode == Mode::Plugin),
        })
    }
}

impl Findings {
    /// Finds what no key can tell by itself: a socket that is missing or somebody else's, and a tenant that
    /// is none or has a socket already.
    pub(super) fn check_content(&mut self) {
        let Some(Value::Items(items)) = self.values.get(LIST) else {
            return;
        };
        let (mut sockets, mut tenants) = (BTreeMap::new(), BTreeMap::new());
        let mut faults = Vec::new();
        for item in items {
            let mut fault = |message| faults.push(Fault::new(&item.at, message));
            let config = match read(item) {
                None => {
                    // One that was refused has a fault already.
                    if !item.values.contains_key("socket") {
                        fault(format!("`{LIST}.socket` is missing"));
                    }
                    continue;
                }
                Some(Err(message)) => {
                    fault(format!("{message}; name one with `{LIST}.tenant`"));
                    continue;
                }
                Some(Ok(config)) => config,
            };
            let socket = quote(&config.socket.display().to_string());
            if let Some(first) = sockets.insert(config.socket, item.at.clone()) {
                fault(format!(
                    "a second time the socket {socket}; the first is at {first}"
                ));
            } else if let Some(first) = tenants.insert(config.tenant.clone(), item.at.clone()) {
                let tenant = quote(config.tenant.as_str());
                fault(format!(
                    "a second socket of the tenant {tenant}; the first is at {first}"
                ));
            }
        }
        if let Some(first) = items.first()
            && let Some(Value::Bool(true)) = self.values.get("storage.maintenance.readonly.enabled")
        {
            let message = format!("`{LIST}` needs a storage that is not read-only");
            faults.push(Fault::new(&first.at, message));
        }
        self.faults.append(&mut faults);
    }
}

/// Returns the sockets.
pub(super) fn content(values: &Values<'_>) -> Vec<ContentConfig> {
    let Some(Value::Items(items)) = values.given(LIST) else {
        return Vec::new();
    };
    let configs = items.iter().map(|item| {
        let config = read(item).expect("the check has found the socket");
        config.expect("the check has tried it")
    });
    configs.collect()
}

/// Reads one section; `None` without a socket.
fn read(item: &Item) -> Option<Result<ContentConfig, String>> {
    let text = |key| match item.values.get(key) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let share = match item.values.get("share") {
        Some(Value::Bool(share)) => Some(*share),
        _ => None,
    };
    let mode = match text("mode") {
        Some("direct") => Mode::Direct,
        _ => Mode::Plugin,
    };
    let socket = Path::new(text("socket")?);
    Some(ContentConfig::new(socket, text("tenant"), mode, share))
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::tests::loaded;

    fn file(content: &str) -> String {
        format!("version: 0.1\nstorage: inmemory\nwharfinger:\n  content: {content}\n")
    }

    fn faults(content: &str) -> String {
        let report = load("config.yml", &file(content), &[]).unwrap_err();
        report.to_string()
    }

    #[test]
    fn sockets_have_tenants_and_modes() {
        assert!(loaded(&file("[]")).settings.content.is_empty());
        let two = "[{socket: /run/w/node-1.sock}, {socket: b, tenant: t, mode: direct}, \
                   {socket: c.sock, share: off}]";
        let configs = loaded(&file(two)).settings.content;
        let shown = configs.iter().map(|config| {
            let socket = config.socket.display();
            let (mode, share) = (config.mode, config.share);
            format!("{socket} {} {mode:?} {share}", config.tenant)
        });
        let shown: Vec<_> = shown.collect();
        let wanted = [
            "/run/w/node-1.sock node-1 Plugin true",
            "b t Direct false",
            "c.sock c Plugin false",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_cannot_be_served_is_a_fault() {
        insta::assert_snapshot!(faults("[{mode: direct}]"), @"config.yml:4:13: `wharfinger.content.socket` is missing");
        insta::assert_snapshot!(faults("[{socket: a, mode: both}]"), @"config.yml:4:31: `wharfinger.content.mode` must be one of `plugin`, `direct`, not `both`");
        insta::assert_snapshot!(faults("[{socket: 'a b'}]"), @r#"config.yml:4:13: `a b` cannot be a tenant: name "a b" is not made of letters and digits with single `.`, `_` or `-` between them; name one with `wharfinger.content.tenant`"#);
        insta::assert_snapshot!(faults("[{socket: a, tenant: x}, {socket: a, tenant: y}]"), @"config.yml:4:37: a second time the socket `a`; the first is at config.yml:4:13");
        insta::assert_snapshot!(faults("[{socket: /a/x.sock}, {socket: /b/x.sock}]"), @"config.yml:4:34: a second socket of the tenant `x`; the first is at config.yml:4:13");
        let read_only = file("[{socket: a}]").replace(
            "storage: inmemory",
            "storage: {inmemory: {}, maintenance: {readonly: {enabled: true}}}",
        );
        let report = load("config.yml", &read_only, &[]).unwrap_err();
        insta::assert_snapshot!(report.to_string(), @"config.yml:4:13: `wharfinger.content` needs a storage that is not read-only");
    }
}
