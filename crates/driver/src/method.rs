//! The calls of a driver and its ingests, by name: for counting them and for choosing some of them.

/// A call of [`crate::Driver`] or [`crate::Ingest`] that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// [`crate::Driver::stat`]
    Stat,
    /// [`crate::Driver::get`]
    Get,
    /// [`crate::Driver::read`]
    Read,
    /// [`crate::Driver::put`]
    Put,
    /// [`crate::Driver::list`]
    List,
    /// [`crate::Driver::delete`]
    Delete,
    /// [`crate::Driver::begin`]
    Begin,
    /// [`crate::Driver::resume`]
    Resume,
    /// [`crate::Driver::mark_verified`]
    MarkVerified,
    /// [`crate::Driver::settle`]
    Settle,
    /// [`crate::Driver::link`]
    Link,
    /// [`crate::Driver::redirect`]
    Redirect,
    /// [`crate::Ingest::append`]
    Append,
    /// [`crate::Ingest::checkpoint`]
    Checkpoint,
    /// [`crate::Ingest::rewind`]
    Rewind,
    /// [`crate::Ingest::read_back`]
    ReadBack,
    /// [`crate::Ingest::commit`]
    Commit,
    /// [`crate::Ingest::close`]
    Close,
    /// [`crate::Ingest::abort`]
    Abort,
}

impl Method {
    /// All methods, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Stat,
        Self::Get,
        Self::Read,
        Self::Put,
        Self::List,
        Self::Delete,
        Self::Begin,
        Self::Resume,
        Self::MarkVerified,
        Self::Settle,
        Self::Link,
        Self::Redirect,
        Self::Append,
        Self::Checkpoint,
        Self::Rewind,
        Self::ReadBack,
        Self::Commit,
        Self::Close,
        Self::Abort,
    ];

    /// Returns the method's name, as a label of metrics and spans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Get => "get",
            Self::Read => "read",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Begin => "begin",
            Self::Resume => "resume",
            Self::MarkVerified => "mark_verified",
            Self::Settle => "settle",
            Self::Link => "link",
            Self::Redirect => "redirect",
            Self::Append => "append",
            Self::Checkpoint => "checkpoint",
            Self::Rewind => "rewind",
            Self::ReadBack => "read_back",
            Self::Commit => "commit",
            Self::Close => "close",
            Self::Abort => "abort",
        }
    }
}
