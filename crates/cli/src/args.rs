//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::maintenance::{GarbageArgs, UploadsCommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "wharfinger",
    version,
    about = "A container registry and content store",
    after_help = "Examples:
  wharfinger serve                 a registry on 127.0.0.1:5000, kept in ./wharfinger-data
  wharfinger serve config.yml      a registry as the file says
  wharfinger check config.yml      what is wrong with the file, or what it amounts to
  wharfinger garbage-collect config.yml      free what nothing needs, while nobody pushes
  wharfinger uploads list config.yml         what was begun and not finished
  wharfinger content serve …       a content store for containerd, see its --help

Then, from another terminal:
  docker tag alpine localhost:5000/alpine && docker push localhost:5000/alpine"
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the registry
    #[command(
        long_about = "Run the registry until SIGTERM or SIGINT.

Without CONFIG, the variable REGISTRY_CONFIGURATION_PATH names the file. Without that too, the \
registry keeps its content and a generated secret in ./wharfinger-data, allows deleting, and listens \
on 127.0.0.1:5000.

Variables lie over the file: REGISTRY_HTTP_ADDR sets http.addr, REGISTRY_STORAGE_DELETE_ENABLED sets \
storage.delete.enabled, and so on for every key.

The log goes to standard error, the access log to standard output. The first SIGTERM lets requests end \
(http.draintimeout), the second does not; SIGHUP reads log.level and the files of TLS again. \
http.debug.addr opens a listener for operators: /livez, /readyz, /debug/health and metrics.",
        after_help = "Examples:
  wharfinger serve
  wharfinger serve /etc/docker/registry/config.yml
  REGISTRY_HTTP_ADDR=:5000 wharfinger serve
  REGISTRY_STORAGE=inmemory wharfinger serve       a registry that forgets everything at exit"
    )]
    Serve {
        /// The configuration file, in the form of Distribution's `registry`
        config: Option<PathBuf>,
    },

    /// Say what is wrong with a configuration, or what it amounts to
    #[command(
        long_about = "Say what is wrong with a configuration, or what it amounts to.

Prints every fault with its line and column and exits with 1; or prints the settings that count, \
defaults filled in and secrets left out, and exits with 0. Variables lie over the file as they do for \
`serve`. Nothing is started, made or changed.",
        after_help = "Examples:
  wharfinger check config.yml
  REGISTRY_HTTP_ADDR=:5000 wharfinger check config.yml"
    )]
    Check {
        /// The configuration file; without it, REGISTRY_CONFIGURATION_PATH names it
        config: Option<PathBuf>,
    },

    /// Free the bytes that nothing needs any more
    #[command(
        long_about = "Free the bytes that nothing needs any more, in the storage of a registry that is \
stopped or read-only (storage.maintenance.readonly).

Keeps every manifest and all that it names; with --delete-untagged only what a tag leads to: the \
children of an index, the subject of a manifest and its referrers, and so on. If anything that may be \
needed cannot be read, it is named, nothing is deleted, and the command exits with 1. It may be \
interrupted at any time, and run again.

A Wharfinger that writes to the same directory is noticed, and the command refuses to run. A \
Distribution registry is not noticed: make sure that none writes there.",
        after_help = "Examples:
  wharfinger garbage-collect --dry-run config.yml
  wharfinger garbage-collect -m config.yml                      untagged manifests, too
  wharfinger garbage-collect --keep-younger 2h config.yml       leave interrupted pushes alone"
    )]
    GarbageCollect(GarbageArgs),

    /// Look at uploads that were begun and not finished, or remove them
    #[command(after_help = "Examples:
  wharfinger uploads list config.yml
  wharfinger uploads purge --dry-run --age 24h config.yml")]
    Uploads {
        /// What to do with them.
        #[command(subcommand)]
        command: UploadsCommand,
    },

    /// Serve containerd's content service
    Content {
        /// What to do.
        #[command(subcommand)]
        command: ContentCommand,
    },

    /// Print the tables of docs/configuration.md into that file
    #[command(hide = true)]
    RefreshDocs {
        /// The file to bring up to date
        file: PathBuf,
    },
}

/// What can be done with the content service.
#[derive(Debug, Subcommand)]
pub(crate) enum ContentCommand {
    /// Be the content store of a containerd, or a content store by itself
    #[command(
        long_about = "Be the content store of a containerd, or a content store by itself, until SIGTERM \
or SIGINT.

What is written lies in the storage directory of a registry, beside what that has; bytes that both have \
lie there once. One socket is one tenant: it lists and removes only what it has itself.

In mode `plugin` a containerd uses the socket in place of its own store. Its configuration says so:

  disabled_plugins = [\"io.containerd.content.v1.content\"]
  [proxy_plugins.wharfinger]
    type = \"content\"
    address = \"/run/wharfinger/content.sock\"

In mode `direct` clients speak to the socket as if it were containerd's own.",
        after_help = "Examples:
  wharfinger content serve --socket /run/wharfinger/content.sock --root /var/lib/registry
  wharfinger content serve --socket ./c.sock --root ./wharfinger-data --mode direct
  wharfinger content serve --socket ./c.sock --upstream /run/containerd/containerd.sock --mode direct"
    )]
    Serve(ContentServeArgs),
}

/// Where and how to serve content.
#[derive(Debug, clap::Args)]
pub(crate) struct ContentServeArgs {
    /// Where to listen; only our own user can connect. The directory must be closed to others' writes
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// The storage directory, the `rootdirectory` of a registry; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "upstream")]
    pub(crate) root: Option<PathBuf>,
    /// The socket of another content store, ours or a containerd's, to pass every call on to
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["root", "tenant", "share"])]
    pub(crate) upstream: Option<PathBuf>,
    /// Whom the socket serves
    #[arg(long, value_enum, default_value_t = ContentMode::Plugin)]
    pub(crate) mode: ContentMode,
    /// Whose content it is; two sockets of one name see the same [default: the name of the socket]
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Whether what anybody has stored is had by its digest [default: on for plugin, off for direct]
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    pub(crate) share: Option<Switch>,
    /// The least serious lines of the log
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LogLevelArg::Info)]
    pub(crate) log_level: LogLevelArg,
}

/// Whom a socket serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ContentMode {
    /// A containerd that has us as its content plugin
    Plugin,
    /// Clients of containerd, as if we were it
    Direct,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// Yes
    On,
    /// No
    Off,
}

/// How serious a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevelArg {
    /// What went wrong
    Error,
    /// What may go wrong
    Warn,
    /// What happens
    Info,
    /// All of it
    Debug,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_file_may_be_named_or_not() {
        let parse = |words: &[&str]| Args::try_parse_from(words).map(|args| args.command);
        assert!(matches!(
            parse(&["w", "serve"]),
            Ok(Command::Serve { config: None })
        ));
        assert!(matches!(
            parse(&["w", "serve", "c"]),
            Ok(Command::Serve { config: Some(_) })
        ));
        assert!(parse(&["w", "check", "c", "d"]).is_err());
    }

    #[test]
    fn garbage_is_collected_with_the_flags_of_distribution() {
        for words in [
            &["w", "garbage-collect", "c"][..],
            &["w", "garbage-collect", "-d", "-m", "-q", "c"],
            &[
                "w",
                "garbage-collect",
                "--dry-run",
                "--delete-untagged",
                "--quiet",
                "c",
            ],
            &["w", "garbage-collect", "-dm", "--delete-untagged=true", "c"][..3],
            &["w", "uploads", "list", "--json", "c"],
            &["w", "uploads", "purge", "-d", "--age", "1h30m", "c"],
        ] {
            assert!(Args::try_parse_from(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn what_is_not_a_command_does_not_succeed() {
        let purge = ["w", "uploads", "purge", "--age", "3"];
        for words in [
            &["w", "config.yml"][..],
            &["w", "serve", "--quiet"],
            &["w"],
            &["w", "uploads"],
            &purge,
        ] {
            assert_eq!(
                Args::try_parse_from(words).unwrap_err().exit_code(),
                2,
                "{words:?}"
            );
        }
        assert_eq!(
            Args::try_parse_from(["w", "--version"])
                .unwrap_err()
                .exit_code(),
            0
        );
    }
}
