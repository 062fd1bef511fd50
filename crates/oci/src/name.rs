//! The names in a registry's paths: repositories, tags and upload sessions.
//!
//! All three become part of paths on disk, so each is checked when it is parsed and holds nothing
//! but the characters of its grammar.

mod repository;
mod tag;
mod upload_id;

pub use self::repository::{NameError, RepositoryName};
pub use self::tag::{Tag, TagError};
pub use self::upload_id::{UploadId, UploadIdError};
