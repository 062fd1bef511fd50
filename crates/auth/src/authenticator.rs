//! Finding out who asks.

use std::fmt::Debug;
use std::net::IpAddr;

use async_trait::async_trait;
use wharfinger_oci::Challenge;

use crate::{Access, Credentials, Principal};

/// Finds out who sends credentials.
///
/// # Contract
/// Nothing that it writes anywhere shows any part of the credentials.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync + 'static {
    /// Returns who `credentials`, which came from `peer`, belong to. They are never
    /// [`Credentials::None`].
    ///
    /// # Errors
    /// Why that cannot be told.
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind.
    async fn authenticate(
        &self,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<Principal, Refusal>;

    /// Returns what to tell a client that needs `accesses` and has not proved who it is.
    fn challenge(&self, accesses: &[Access]) -> Challenge;
}

/// Why credentials were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// They are nobody's. Give others.
    #[error("the credentials are nobody's")]
    Unknown,
    /// Too many wait to be checked. Send them again after a moment.
    #[error("too many credentials wait to be checked")]
    Busy,
}
