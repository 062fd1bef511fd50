//! What an action needs.

use std::fmt;

use wharfinger_oci::RepositoryName;

/// One thing that a principal must be allowed for an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// To do something within a repository.
    Repository {
        /// The repository.
        name: RepositoryName,
        /// What is done there.
        verb: Verb,
    },
    /// To see the names of all repositories.
    Catalog,
}

impl Access {
    pub(crate) fn repository(name: &RepositoryName, verb: Verb) -> Self {
        Self::Repository {
            name: name.clone(),
            verb,
        }
    }
}

/// The three words of an access as a client reads them: `repository:library/alpine:pull`.
impl Access {
    /// Returns what kind of thing it is about.
    #[must_use]
    pub fn resource(&self) -> &'static str {
        match self {
            Self::Repository { .. } => "repository",
            Self::Catalog => "registry",
        }
    }

    /// Returns which one.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Repository { name, .. } => name.as_str(),
            Self::Catalog => "catalog",
        }
    }

    /// Returns what is done with it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Repository { verb, .. } => verb.word(),
            Self::Catalog => "*",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.resource(), self.name(), self.action())
    }
}

/// What is done within a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Remove.
    Delete,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
