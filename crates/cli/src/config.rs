//! The configuration: Distribution's YAML and `REGISTRY_…` variables, and our own keys under
//! `wharfinger:`.
//!
//! ```text
//! file ──tree::parse──▶ tree with positions ◀──environment::overlay── variables
//!                            │ check::check, held against keys::KEYS
//!                            ▼
//!                     every fault, or a value for every key
//!                            │ resolve::resolve
//!                            ▼
//!                       ServeConfig
//! ```
//!
//! Everything is a function of the text and the variables that it is given; nothing here looks at the
//! environment, and only [`read_file`], [`Loaded::with_files_checked`] and [`SecretSource::obtain`] touch
//! a disk.

mod address;
mod check;
mod content;
mod docs;
mod effective;
mod environment;
mod fault;
mod health;
mod items;
mod keys;
mod providers;
mod resolve;
mod scalar;
mod schema;
mod secret;
mod tree;
mod types;
mod validation;

pub(crate) use content::ContentConfig;
pub(crate) use docs::refresh as refresh_docs;
pub(crate) use environment::{CONFIGURATION_PATH, PREFIX as VARIABLE_PREFIX};
pub(crate) use fault::Report;
pub(crate) use health::{CheckConfig, DebugConfig, HealthConfig};
pub(crate) use types::{
    AccessLog, AuthConfig, CacheConfig, DriverConfig, Durability, LimitsConfig, Listen, LogConfig,
    LogFormat, LogLevel, PurgeConfig, SecretSource, ServeConfig, Verify,
};

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};

use check::{Findings, check, expand_names};
use fault::{Fault, Source};

/// The configuration when no file is named.
const BUILT_IN: &str = include_str!("config/default.yml");

/// Where the built-in configuration keeps content and secret; the same path stands in its text.
const BUILT_IN_HOME: &str = "./wharfinger-data";

/// 1 MiB: a thousand times the configuration of a large registry.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A configuration without faults.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What to build the program from.
    pub(crate) settings: ServeConfig,
    /// What the operator should know, one line each.
    pub(crate) warnings: Vec<String>,
    findings: Findings,
}

impl Loaded {
    /// Prints every setting that counts as a configuration file, secrets left out.
    pub(crate) fn effective(&self) -> String {
        effective::print(&self.findings, &self.settings.http.secret)
    }

    /// Checks the files that the configuration names and that must be there.
    ///
    /// # Errors
    /// Returns every fault, at the key that names the file.
    pub(crate) fn with_files_checked(self) -> Result<Self, Report> {
        let AuthConfig::Htpasswd { path, .. } = &self.settings.auth else {
            return Ok(self);
        };
        let Err(error) = wharfinger_auth::check_htpasswd(path) else {
            return Ok(self);
        };
        let key = "auth.htpasswd.path";
        let cause = std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
        let at = self.findings.positions.get(key).expect("it is required");
        let fault = Fault::new(at, format!("`{key}`: {error}{cause}"));
        Err(Report::new(vec![fault]))
    }
}

/// Reads the text of a configuration file.
///
/// # Errors
/// Fails if the file cannot be read, is too long or is not UTF-8.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read the configuration {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(context)?;
    file.take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    ensure!(
        bytes.len() as u64 <= FILE_LIMIT,
        "{} is longer than 1 MiB",
        path.display()
    );
    let text = String::from_utf8(bytes)
        .context("it is not UTF-8")
        .with_context(context)?;
    // A byte order mark is no part of the first key.
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// Reads a duration as it is written in a configuration, for a command line.
///
/// # Errors
/// Tells what is wrong with it.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    scalar::duration(text).map_err(|fault| check::duration_message("DURATION", text, &fault))
}

/// Loads the file `name` with the content `text`, and lays the `REGISTRY_…` variables in
/// `environment` over it.
///
/// # Errors
/// Returns every fault, with its position.
pub(crate) fn load(
    name: &str,
    text: &str,
    environment: &[(String, String)],
) -> Result<Loaded, Report> {
    load_from(name, text, environment, None)
}

/// Loads the built-in configuration: a registry in `./wharfinger-data` for this machine alone.
///
/// # Errors
/// Returns every fault of the variables in `environment`, which lie over it as over a file.
pub(crate) fn load_built_in(environment: &[(String, String)]) -> Result<Loaded, Report> {
    let home = Path::new(BUILT_IN_HOME);
    load_from("built-in configuration", BUILT_IN, environment, Some(home))
}

fn load_from(
    name: &str,
    text: &str,
    environment: &[(String, String)],
    home: Option<&Path>,
) -> Result<Loaded, Report> {
    let mut root = tree::parse(text, &Source::File(name.into())).map_err(Report::new)?;
    expand_names(&mut root);
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    environment::overlay(&mut root, environment, &mut faults, &mut warnings);
    let mut findings = check(&root);
    faults.append(&mut findings.faults);
    if !faults.is_empty() {
        return Err(Report::new(faults));
    }
    warnings.append(&mut findings.warnings);
    let settings = resolve::resolve(&findings, home);
    if matches!(settings.http.secret, SecretSource::PerProcess) {
        warnings.push(
            "no `http.secret` is given: uploads in progress end with this process, and cannot move to \
             another registry on the same storage"
                .to_owned(),
        );
    }
    warnings.extend(providers::warning(&settings));
    Ok(Loaded {
        settings,
        warnings,
        findings,
    })
}

#[cfg(test)]
mod tests;
