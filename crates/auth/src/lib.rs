//! Who may do what.
//!
//! A request is an [`action`] of a [`Principal`]. The [`Gate`] asks a [`Policy`] whether the
//! principal has every [`Access`] that the action needs, and if so gives back a [`Granted`] action.
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
mod gate;
mod policy;
mod principal;

pub use crate::access::{Access, Verb};
pub use crate::action::Guarded;
pub use crate::gate::{Denied, Gate, Granted};
pub use crate::policy::{Denial, Open, Policy};
pub use crate::principal::Principal;
