//! The composition root of the content service: sockets beside a registry, and `content serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use wharfinger_content::{ContentStores, Local, Mode, Remote, Server, Service};
use wharfinger_driver::{Filesystem, Held};
use wharfinger_runtime::Runtime;
use wharfinger_store::{Store, StoreOptions};

use crate::args::{ContentMode, ContentServeArgs, LogLevelArg, Switch};
use crate::config::{AccessLog, ContentConfig, LogConfig, LogFormat, LogLevel, SecretSource};
use crate::serve::{MOST_THREADS, Signals, settle, start_threads};
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
    let (home, runtime) = start_threads(MOST_THREADS, 0)?;
    let result = home.block_on(run(args, runtime));
    // Whoever is still in a blocking call after all the waiting is not waited for.
    home.shutdown_background();
    result
}

/// What the arguments say of the socket and its tenant.
fn config(args: &ContentServeArgs) -> anyhow::Result<ContentConfig> {
    let share = args.share.map(|switch| switch == Switch::On);
    ContentConfig::new(&args.socket, args.tenant.as_deref(), mode(args), share)
        .map_err(|message| anyhow!("{message}; name one with --tenant"))
}

fn mode(args: &ContentServeArgs) -> Mode {
    match args.mode {
        ContentMode::Plugin => Mode::Plugin,
        ContentMode::Direct => Mode::Direct,
    }
}

/// Takes the socket of a tenant of `store`. The caller lets it answer.
///
/// # Errors
/// Fails if the socket cannot be had.
pub(crate) fn bind(
    config: &ContentConfig,
    store: &Store,
    runtime: &Runtime,
) -> anyhow::Result<Server> {
    let ContentConfig {
        socket,
        tenant,
        mode,
        share,
    } = config;
    let local = Local::new(store.tenant(tenant), runtime.clone(), *share);
    let server = bind_to(socket, Arc::new(local.clone()), *mode, runtime)?;
    mend_in_background(&local, runtime);
    tracing::info!(socket = %socket.display(), %tenant, ?mode, share, "serving a tenant's content");
    Ok(server)
}

fn bind_to(
    socket: &Path,
    stores: Arc<dyn ContentStores>,
    mode: Mode,
    runtime: &Runtime,
) -> anyhow::Result<Server> {
    let service = Service::new(stores, mode, runtime.clone());
    Ok(Server::bind(socket, service, runtime.clone())?)
}

/// What listens, and what has to be closed when it ends.
struct Bound {
    server: Server,
    filesystem: Option<Filesystem>,
    /// Keeps collectors of garbage away as long as it lives.
    _held: Option<Held>,
}

async fn run(args: &ContentServeArgs, runtime: Runtime) -> anyhow::Result<()> {
    let signals = Signals::install()?;
    limits::enough_for(OPEN_INGESTS);
    let Bound {
        server,
        filesystem,
        _held,
    } = match (&args.root, &args.upstream) {
        (Some(root), _) => in_directory(args, root, &runtime)?,
        (None, Some(upstream)) => passing_on(args, upstream, &runtime)?,
        (None, None) => bail!("name a directory with --root, or a socket with --upstream"),
    };
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
        settle(filesystem, &runtime).await;
    };
    tokio::select! {
        () = ended => tracing::info!("ended"),
        () = insisted => tracing::warn!("ended at once, since a second signal asked for it"),
        () = reloaded => {}
    }
    Ok(())
}

/// A tenant of the store in a directory.
fn in_directory(args: &ContentServeArgs, root: &Path, runtime: &Runtime) -> anyhow::Result<Bound> {
    let config = config(args)?;
    let storage = Storage::in_directory(root, runtime)?;
    let held = storage.hold_as_writer()?;
    let store = store(root, &storage, runtime)?;
    Ok(Bound {
        server: bind(&config, &store, runtime)?,
        filesystem: storage.filesystem,
        _held: held,
    })
}

/// The store at another socket.
fn passing_on(
    args: &ContentServeArgs,
    upstream: &Path,
    runtime: &Runtime,
) -> anyhow::Result<Bound> {
    let stores = Arc::new(Remote::new(upstream, runtime.tasks.clone()));
    let server = bind_to(&args.socket, stores, mode(args), runtime)?;
    let (socket, upstream) = (args.socket.display(), upstream.display());
    tracing::info!(%socket, %upstream, mode = ?args.mode, "passing on to another store");
    Ok(Bound {
        server,
        filesystem: None,
        _held: None,
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
        let name = |words: &[&str]| config(&args(words)).map(|config| config.tenant.to_string());
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
