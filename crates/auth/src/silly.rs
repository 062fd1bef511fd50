//! Access control for the tests of clients: whoever sends anything at all is let in.

use std::net::IpAddr;

use async_trait::async_trait;
use wharfinger_oci::Challenge;

use crate::{Access, Authenticator, Credentials, Principal, Refusal, UserName};

/// Takes any credentials that are not empty, as Distribution's `silly` does.
#[derive(Debug)]
pub struct Silly {
    realm: String,
    service: String,
    /// Who everybody is.
    user: UserName,
}

impl Silly {
    /// Sends clients to `realm` for a token for `service`.
    #[must_use]
    pub fn new(realm: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            realm: realm.into(),
            service: service.into(),
            user: UserName::new("silly"),
        }
    }
}

#[async_trait]
impl Authenticator for Silly {
    async fn authenticate(
        &self,
        _credentials: &Credentials,
        _peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        Ok(Principal::User(self.user.clone()))
    }

    fn challenge(&self, accesses: &[Access]) -> Challenge {
        let scopes: Vec<_> = accesses.iter().map(Access::to_string).collect();
        Challenge::bearer(&self.realm, &self.service, &scopes.join(" "))
    }
}
