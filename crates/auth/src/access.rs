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

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, verb } => write!(f, "repository:{name}:{verb}"),
            Self::Catalog => f.write_str("registry:catalog:*"),
        }
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

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        })
    }
}
