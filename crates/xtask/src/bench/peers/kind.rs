//! Which servers can be measured, and where their programs are.

use std::path::{Path, PathBuf};

/// What a server is to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Ours.
    Wharfinger,
    /// Distribution v3.
    Distribution,
    /// Distribution 2.8, as Debian has it.
    DockerRegistry,
    /// zot.
    Zot,
    /// Angos.
    Angos,
    /// nginx with static files under the same URLs; it takes part where something is read.
    Nginx,
    /// nginx that reads files into memory and writes them, as whoever has TLS must: `sendfile off`.
    NginxCopy,
    /// Our own bare program: what a push costs that is hashed, written and synced, and nothing else.
    Floor,
}

impl Kind {
    /// Every kind, in the order of the report.
    pub(crate) const ALL: [Self; 8] = [
        Self::Wharfinger,
        Self::Distribution,
        Self::DockerRegistry,
        Self::Zot,
        Self::Angos,
        Self::Nginx,
        Self::NginxCopy,
        Self::Floor,
    ];

    /// Returns its name: of its directory, in the report and behind `--peer`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wharfinger => "wharfinger",
            Self::Distribution => "distribution",
            Self::DockerRegistry => "docker-registry",
            Self::Zot => "zot",
            Self::Angos => "angos",
            Self::Nginx => "nginx",
            Self::NginxCopy => "nginx-copy",
            Self::Floor => "floor",
        }
    }

    /// Returns the variable that names its program, of those that packages seldom bring.
    pub(crate) fn variable(self) -> Option<&'static str> {
        match self {
            Self::Distribution => Some("WHARFINGER_BENCH_DISTRIBUTION"),
            Self::Zot => Some("WHARFINGER_BENCH_ZOT"),
            Self::Angos => Some("WHARFINGER_BENCH_ANGOS"),
            Self::Wharfinger | Self::DockerRegistry | Self::Nginx | Self::NginxCopy => None,
            Self::Floor => None,
        }
    }

    /// Finds its program where packages put theirs.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        let program = match self {
            Self::DockerRegistry => "docker-registry",
            Self::Zot => "zot",
            Self::Angos => "angos",
            Self::Nginx | Self::NginxCopy => "nginx",
            // Its program is called `registry` or `distribution`, as many others may be.
            Self::Distribution | Self::Wharfinger | Self::Floor => return None,
        };
        ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"]
            .iter()
            .map(|directory| Path::new(directory).join(program))
            .find(|path| path.is_file())
    }

    /// Whether it serves files that are put into its directory under the URLs asked for.
    pub(crate) fn is_static(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxCopy)
    }

    /// Whether it is a registry.
    pub(crate) fn is_registry(self) -> bool {
        !self.is_static() && self != Self::Floor
    }

    /// Whether it keeps content in Distribution's layout, which can then be laid out beside it.
    pub(crate) fn has_distributions_layout(self) -> bool {
        matches!(
            self,
            Self::Wharfinger | Self::Distribution | Self::DockerRegistry
        )
    }
}
