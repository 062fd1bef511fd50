//! Who may do what.
//!
//! A request is an [`action`] of a [`Principal`]. The [`Gate`] has an [`Authenticator`] find out from the
//! [`Credentials`] who that is: [`Htpasswd`] with a file of passwords, [`Silly`] without looking. It
//! then asks a [`Policy`] whether the principal has every [`Access`] that the action needs, and if so
//! gives back a [`Granted`] action.
//! There is no other way to get one: code that takes a `Granted` action as an argument cannot be
//! reached without the question having been asked. And an action without a rule has no
//! [`Guarded`] implementation, so that nothing can grant it.
//!
//! ```
//! use std::sync::Arc;
//! use wharfinger_auth::{Gate, Granted, Open, Principal, action};
//!
//! fn list_tags(granted: Granted<action::ListTags>) -> String {
//!     format!("the tags of {}", granted.action().name)
//! }
//!
//! let gate = Gate::new(Arc::new(Open));
//! let action = action::ListTags { name: "library/alpine".parse()? };
//! let granted = gate.grant(&Principal::Anonymous, action)?;
//! assert_eq!(list_tags(granted), "the tags of library/alpine");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
pub mod action;
mod authenticator;
mod credentials;
mod error;
mod gate;
mod htpasswd;
mod policy;
mod principal;
mod silly;

pub use crate::access::{Access, Verb};
pub use crate::action::Guarded;
pub use crate::authenticator::{Authenticator, Refusal};
pub use crate::credentials::{Credentials, Login};
pub use crate::error::{Error, ErrorKind};
pub use crate::gate::{Denied, Gate, Granted};
pub use crate::htpasswd::{Htpasswd, check as check_htpasswd};
pub use crate::policy::{Denial, Known, Open, Policy};
pub use crate::principal::{Principal, UserName};
pub use crate::silly::Silly;
