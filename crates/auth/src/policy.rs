//! The rule that decides.

use std::fmt::Debug;

use crate::{Access, Principal};

/// Decides what principals may do.
///
/// # Contract
/// A decision is about all the accesses together, and depends on nothing else about the request.
/// No accesses at all is the question whether the principal may talk to the registry.
pub trait Policy: Debug + Send + Sync + 'static {
    /// Tells whether `principal` has every one of `accesses`.
    ///
    /// # Errors
    /// Why not.
    fn decide(&self, principal: &Principal, accesses: &[Access]) -> Result<(), Denial>;
}

/// Why an action is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// Nobody knows who asks. Give credentials.
    Unauthenticated,
    /// Whoever asks is known, and may not do it. Give up.
    Forbidden,
}

/// Allows everything to everybody: the registry without access control.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Policy for Open {
    fn decide(&self, _principal: &Principal, _accesses: &[Access]) -> Result<(), Denial> {
        Ok(())
    }
}

/// Allows everything to everybody who is known, and nothing to others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known;

impl Policy for Known {
    fn decide(&self, principal: &Principal, _accesses: &[Access]) -> Result<(), Denial> {
        match principal {
            Principal::Anonymous => Err(Denial::Unauthenticated),
            Principal::User(_) => Ok(()),
        }
    }
}
