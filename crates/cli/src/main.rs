//! `wharfinger`, a container registry.
//!
//! `main` reads the command line and the environment, the only place that does, and hands on to
//! [`config`] and [`serve`].

mod args;
mod config;
mod content;
mod gate;
mod limits;
mod maintenance;
mod operation;
mod output;
mod serve;
mod storage;
mod systemd;
mod telemetry;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Parser;

use args::{Args, Command, ContentCommand};
use config::{Loaded, Report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wharfinger: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { config } => {
            let loaded = load_named(config.clone())?;
            // Without a file there is nothing to read again.
            let environment = registry_variables()?;
            let path = config.or_else(|| named_by(&environment));
            let log = telemetry::init(&loaded.settings.log)?;
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            let reload = move || -> anyhow::Result<()> {
                if let Some(path) = &path {
                    log.set(load(path, &environment)?.settings.log.level);
                }
                Ok(())
            };
            serve::serve(loaded.settings, reload)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { config } => check(config),
        Command::GarbageCollect(args) => {
            let settings = load_named(args.config.clone())?.settings;
            telemetry::init(&settings.log)?;
            maintenance::collect(&settings, &args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Uploads { command } => {
            let settings = load_named(command.config().cloned())?.settings;
            telemetry::init(&settings.log)?;
            maintenance::uploads(&settings, &command)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Content {
            command: ContentCommand::Serve(args),
        } => {
            content::serve(&args)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::RefreshDocs { file } => {
            let document = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            std::fs::write(&file, config::refresh_docs(&document)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(config: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let environment = registry_variables()?;
    let Some(path) = config.or_else(|| named_by(&environment)) else {
        bail!("name the file to check: wharfinger check CONFIG");
    };
    let text = config::read_file(&path)?;
    let name = path.display().to_string();
    match config::load(&name, &text, &environment).and_then(Loaded::with_files_checked) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            let effective = loaded.effective();
            output::print(&format!("{} is valid\n\n{effective}", path.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(report) => {
            output::print(&format!("{report}\n"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Loads the file that was named here or by the environment, else what is built in.
fn load_named(config: Option<PathBuf>) -> anyhow::Result<Loaded> {
    let environment = registry_variables()?;
    match config.or_else(|| named_by(&environment)) {
        Some(path) => load(&path, &environment),
        None => config::load_built_in(&environment)
            .and_then(Loaded::with_files_checked)
            .map_err(|report| faulty(&report)),
    }
}

fn load(path: &Path, environment: &[(String, String)]) -> anyhow::Result<Loaded> {
    let text = config::read_file(path)?;
    config::load(&path.display().to_string(), &text, environment)
        .and_then(Loaded::with_files_checked)
        .map_err(|report| faulty(&report))
}

/// What `serve` ends with if the configuration cannot be used.
fn faulty(report: &Report) -> anyhow::Error {
    let faults = if report.len() == 1 {
        "a fault"
    } else {
        "faults"
    };
    anyhow!("the configuration has {faults}\n{report}")
}

/// The file that `REGISTRY_CONFIGURATION_PATH` names.
fn named_by(environment: &[(String, String)]) -> Option<PathBuf> {
    let (_, path) = environment
        .iter()
        .find(|(name, _)| name == config::CONFIGURATION_PATH)?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// The `REGISTRY_…` variables of this process.
fn registry_variables() -> anyhow::Result<Vec<(String, String)>> {
    // Other variables may be anything and are none of our business.
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(config::VARIABLE_PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => bail!("the variable {name} is not UTF-8"),
        })
        .collect()
}
