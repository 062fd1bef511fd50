//! The composition root of `content serve`: a content store on a socket.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use wharfinger_content::{ContentStores, Local, Mode, Remote, Server, Service};
use wharfinger_driver::{Filesystem, Held};
use wharfinger_runtime::Runtime;
use wharfinger_store::{Store, StoreOptions, TenantName};

use crate::args::{ContentMode, ContentServeArgs, LogLevelArg, Switch};
use crate::config::{AccessLog, LogConfig, LogFormat, LogLevel, SecretSource};
use crate::serve::{
    LAST_TASKS_TIMEOUT, MOST_THREADS, Signals, THREAD_KEEP_ALIVE, close, tasks_end,
};
use crate::storage::Storage;
use crate::{limits, telemetry};

/// 5 s: calls take moments, and a write that is open is saved as it stands.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// 4,096 ingests may be open, each with a file and a lock.
const OPEN_INGESTS: usize = 4096;

/// Serves a content store until a signal ends it.
///
/// # Errors
/// Fails if the storage cannot be opened or the socket not be had.
pub(crate) fn serve(args: &ContentServeArgs) -> anyhow::Result<()> {
    telemetry::init(&LogConfig {
        level: match args.log_level {
            LogLevelArg::Error => LogLevel::Error,
            LogLevelArg::Warn => LogLevel::Warn,
            LogLevelArg::Info => LogLevel::Info,
            LogLevelArg::Debug => LogLevel::Debug,
        },
        format: LogFormat::Text,
        fields: serde_json::Map::new(),
        report_caller: false,
        access_log: AccessLog::Off,
    })?;
    let home = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_THREADS)
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .build()
        .context("cannot start the main thread")?;
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = Runtime::new(MOST_THREADS)
        .with_workers(workers, home.handle().clone())
        .context("cannot start the threads")?;
    let result = home.block_on(run(args, runtime));
    // Whoever is still in a blocking call after all the waiting is not waited for.
    home.shutdown_background();
    result
}

/// The tenant that was named, or that has the name of the socket.
fn tenant_name(args: &ContentServeArgs) -> anyhow::Result<TenantName> {
    let named = match &args.tenant {
        Some(name) => name.clone(),
        None => {
            let stem = args.socket.file_stem().and_then(|stem| stem.to_str());
            stem.unwrap_or_default().to_owned()
        }
    };
    named
        .parse()
        .with_context(|| format!("{named:?} cannot be a tenant; name one with --tenant"))
}

/// What is served, and what has to be closed when it ends.
struct Source {
    stores: Arc<dyn ContentStores>,
    filesystem: Option<Filesystem>,
    /// Keeps collectors of garbage away as long as it lives.
    _held: Option<Held>,
}

async fn run(args: &ContentServeArgs, runtime: Runtime) -> anyhow::Result<()> {
    let signals = Signals::install()?;
    limits::enough_for(OPEN_INGESTS);
    let mode = match args.mode {
        ContentMode::Plugin => Mode::Plugin,
        ContentMode::Direct => Mode::Direct,
    };
    let source = match (&args.root, &args.upstream) {
        (Some(root), _) => local(args, root, mode, &runtime)?,
        (None, Some(upstream)) => Source {
            stores: Arc::new(Remote::new(upstream, runtime.tasks.clone())),
            filesystem: None,
            _held: None,
        },
        (None, None) => bail!("name a directory with --root, or a socket with --upstream"),
    };
    let service = Service::new(source.stores, mode, runtime.clone());
    let server = Server::bind(&args.socket, service, runtime.clone())?;
    tracing::info!(socket = %args.socket.display(), ?mode, "listening");
    // There is nothing to be read again.
    let (asked, insisted, reloaded) = signals.split(|| ());
    let tasks = runtime.tasks.clone();
    let asked = async move {
        asked.await;
        // Writes that are open would go on for as long as their clients do.
        tasks.shut_down();
    };
    let ended = async {
        server.run(DRAIN_TIMEOUT, asked).await;
        if !tasks_end(&runtime, LAST_TASKS_TIMEOUT).await {
            tracing::warn!(timeout = ?LAST_TASKS_TIMEOUT, "ending although not everything is saved");
            return;
        }
        if let Some(filesystem) = source.filesystem {
            close(&filesystem, &runtime).await;
        }
    };
    tokio::select! {
        () = ended => tracing::info!("ended"),
        () = insisted => tracing::warn!("ended at once, since a second signal asked for it"),
        () = reloaded => {}
    }
    Ok(())
}

/// A tenant of the store in a directory.
fn local(
    args: &ContentServeArgs,
    root: &Path,
    mode: Mode,
    runtime: &Runtime,
) -> anyhow::Result<Source> {
    let tenant = tenant_name(args)?;
    let storage = Storage::in_directory(root, runtime)?;
    let held = storage.hold_as_writer()?;
    let store = store(root, &storage, runtime)?;
    let share = match args.share {
        Some(switch) => switch == Switch::On,
        None => mode == Mode::Plugin,
    };
    let local = Local::new(store.tenant(&tenant), runtime.clone(), share);
    mend_in_background(&local, runtime);
    tracing::info!(root = %root.display(), %tenant, share, "serving a tenant");
    Ok(Source {
        stores: Arc::new(local),
        filesystem: storage.filesystem,
        _held: held,
    })
}

/// A store over the directory. The key of its saved states lies in there.
fn store(root: &Path, storage: &Storage, runtime: &Runtime) -> anyhow::Result<Store> {
    let secret = SecretSource::KeptIn(root.join(wharfinger_store::secret().as_str()));
    let secret = secret.obtain(&*runtime.entropy)?;
    let (driver, options) = (Arc::clone(&storage.driver), StoreOptions::new(secret));
    Ok(Store::new(driver, None, runtime.clone(), options))
}

/// Sees to claims that lost hold of their bytes while nothing ran.
fn mend_in_background(local: &Local, runtime: &Runtime) {
    let local = local.clone();
    let ends = runtime.tasks.cancelled();
    drop(runtime.tasks.spawn(async move {
        tokio::select! {
            mended = local.mend() => match mended {
                Ok(claims) => tracing::info!(claims, "claims hold their bytes"),
                Err(error) => {
                    let error = anyhow!(error);
                    tracing::error!(error = format!("{error:#}"), "claims could not be looked through");
                }
            },
            () = ends => {}
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command, ContentCommand};
    use clap::Parser as _;

    fn args(words: &[&str]) -> ContentServeArgs {
        let words = ["w", "content", "serve", "--root", "r"].iter().chain(words);
        match Args::try_parse_from(words).unwrap().command {
            Command::Content {
                command: ContentCommand::Serve(args),
            } => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tenant_has_the_name_of_its_socket_unless_another_is_given() {
        let name = |words: &[&str]| tenant_name(&args(words)).map(|name| name.to_string());
        assert_eq!(name(&["--socket", "/run/w/node-1.sock"]).unwrap(), "node-1");
        assert_eq!(name(&["--socket", "s", "--tenant", "t"]).unwrap(), "t");
        let fault = name(&["--socket", "a b.sock"]).unwrap_err();
        assert!(format!("{fault:#}").contains("--tenant"), "{fault:#}");
    }

    #[test]
    fn content_is_kept_in_a_directory_or_elsewhere() {
        let parse = |words: &[&str]| {
            let command = ["w", "content", "serve", "--socket", "s"];
            Args::try_parse_from(command.iter().chain(words)).is_ok()
        };
        assert!(parse(&["--root", "r"]) && parse(&["--upstream", "u"]));
        assert!(!parse(&[]) && !parse(&["--root", "r", "--upstream", "u"]));
    }
}
