//! The one place where it is found out who asks, and where actions are granted.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use wharfinger_oci::Challenge;

use crate::{Access, Authenticator, Credentials, Denial, Guarded, Policy, Principal, Refusal};

/// Finds out who asks, and grants actions as its policy decides.
#[derive(Debug, Clone)]
pub struct Gate {
    authenticator: Option<Arc<dyn Authenticator>>,
    policy: Arc<dyn Policy>,
}

impl Gate {
    /// Makes a gate that asks `policy`, and takes everybody for anonymous.
    #[must_use]
    pub fn new(policy: Arc<dyn Policy>) -> Self {
        Self {
            authenticator: None,
            policy,
        }
    }

    /// Has `authenticator` find out who asks.
    #[must_use]
    pub fn with_authenticator(self, authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            authenticator: Some(authenticator),
            ..self
        }
    }

    /// Returns who sends `credentials` from `peer`. Without an authenticator, credentials mean nothing.
    ///
    /// # Errors
    /// Fails if there are credentials and they are not taken: whoever sends wrong ones is not anonymous.
    pub async fn identify(
        &self,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        match (&self.authenticator, credentials) {
            (None, _) | (_, Credentials::None) => Ok(Principal::Anonymous),
            (Some(authenticator), _) => authenticator.authenticate(credentials, peer).await,
        }
    }

    /// Grants `action` to `principal`.
    ///
    /// # Errors
    /// Fails if the policy does not allow every access that the action needs.
    pub fn grant<A: Guarded>(
        &self,
        principal: &Principal,
        action: A,
    ) -> Result<Granted<A>, Denied> {
        let accesses = action.accesses();
        match self.policy.decide(principal, &accesses) {
            Ok(()) => Ok(Granted {
                action,
                principal: principal.clone(),
            }),
            Err(denial) => Err(self.denied(denial, accesses)),
        }
    }

    /// Denies `accesses` to somebody whose credentials were not taken.
    #[must_use]
    pub fn deny(&self, accesses: Vec<Access>) -> Denied {
        self.denied(Denial::Unauthenticated, accesses)
    }

    fn denied(&self, denial: Denial, accesses: Vec<Access>) -> Denied {
        let challenge = match (denial, &self.authenticator) {
            (Denial::Unauthenticated, Some(authenticator)) => {
                Some(authenticator.challenge(&accesses))
            }
            (Denial::Unauthenticated, None) | (Denial::Forbidden, _) => None,
        };
        Denied {
            denial,
            accesses,
            challenge,
        }
    }
}

/// An action together with the proof that its principal may do it.
///
/// Only [`Gate::grant`] makes one; the fields cannot be filled in by hand:
///
/// ```compile_fail,E0451
/// use wharfinger_auth::{Granted, Principal, action};
///
/// let forged = Granted { action: action::Ping, principal: Principal::Anonymous };
/// ```
///
/// An action that is no [`Guarded`] one is not granted either:
///
/// ```compile_fail,E0277
/// use std::sync::Arc;
/// use wharfinger_auth::{Gate, Open, Principal};
///
/// struct Unruled;
/// let granted = Gate::new(Arc::new(Open)).grant(&Principal::Anonymous, Unruled);
/// ```
#[derive(Debug)]
pub struct Granted<A> {
    action: A,
    principal: Principal,
}

impl<A> Granted<A> {
    /// Returns what may be done.
    pub fn action(&self) -> &A {
        &self.action
    }

    /// Returns who may do it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Takes the proof apart, when the action begins.
    pub fn into_action(self) -> A {
        self.action
    }
}

/// An action was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    denial: Denial,
    accesses: Vec<Access>,
    challenge: Option<Challenge>,
}

impl Denied {
    /// Returns why.
    #[must_use]
    pub fn denial(&self) -> Denial {
        self.denial
    }

    /// Returns what would have been needed, all of it.
    #[must_use]
    pub fn accesses(&self) -> &[Access] {
        &self.accesses
    }

    /// Returns how the client may prove who it is, if that is what is missing.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.denial {
            Denial::Unauthenticated => "credentials needed for",
            Denial::Forbidden => "no right to",
        })?;
        if self.accesses.is_empty() {
            return f.write_str(" the registry");
        }
        self.accesses
            .iter()
            .try_for_each(|access| write!(f, " {access}"))
    }
}

impl std::error::Error for Denied {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verb, action};

    /// Allows pulling from `pub/…`, and nothing else.
    #[derive(Debug)]
    struct PullPublic;

    impl Policy for PullPublic {
        fn decide(&self, _principal: &Principal, accesses: &[Access]) -> Result<(), Denial> {
            let allowed = |access: &Access| {
                matches!(access, Access::Repository { name, verb: Verb::Pull }
                    if name.as_str().starts_with("pub/"))
            };
            if accesses.iter().all(allowed) {
                Ok(())
            } else {
                Err(Denial::Forbidden)
            }
        }
    }

    #[test]
    fn an_action_is_granted_only_with_all_its_accesses() {
        let gate = Gate::new(Arc::new(PullPublic));
        let tags = |name: &str| action::ListTags {
            name: name.parse().unwrap(),
        };
        assert!(gate.grant(&Principal::Anonymous, tags("pub/a")).is_ok());
        let denied = gate
            .grant(&Principal::Anonymous, tags("priv/a"))
            .unwrap_err();
        assert_eq!(denied.denial(), Denial::Forbidden);
        assert_eq!(denied.to_string(), "no right to repository:priv/a:pull");
    }

    #[test]
    fn a_mount_needs_the_source_too() {
        let gate = Gate::new(Arc::new(crate::Open));
        let digest = wharfinger_oci::Digest::of(wharfinger_oci::Algorithm::Sha256, b"");
        let start = |from: Option<&str>| action::StartUpload {
            name: "pub/a".parse().unwrap(),
            mount: from.map(|from| action::Mount {
                digest,
                from: Some(from.parse().unwrap()),
            }),
        };
        let needs = |action: &action::StartUpload| {
            action
                .accesses()
                .iter()
                .map(Access::to_string)
                .collect::<Vec<_>>()
        };
        let target = ["repository:pub/a:pull", "repository:pub/a:push"];
        assert_eq!(needs(&start(None)), target);
        let with_source = needs(&start(Some("priv/b")));
        assert_eq!(with_source[..2], target);
        assert_eq!(with_source[2], "repository:priv/b:pull");
        assert!(
            gate.grant(&Principal::Anonymous, start(Some("priv/b")))
                .is_ok()
        );
    }
}
