//! What tests of a registry need: scratch directories, real processes, images, and an HTTP client that may misbehave.
//!
//! Nothing here uses the code under test: digests, images and HTTP are made by other means, so that a test
//! never asks a crate to judge itself. Only tests depend on this crate.
//!
//! # Examples
//!
//! An image is made, and comes out the same whenever it is made again:
//!
//! ```
//! use wharfinger_testkit::Image;
//!
//! let image = Image::build(7, &[2048, 100_000]);
//! assert_eq!(image.layers.len(), 2);
//! assert_eq!(image.manifest.digest, Image::build(7, &[2048, 100_000]).manifest.digest);
//! ```

mod archive;
mod authority;
mod client;
mod command;
mod env;
pub mod frames;
mod images;
mod port;
mod process;
mod random;
mod registry;
mod scratch;
mod server;
mod time;

pub use crate::authority::{Authority, Signed};
pub use crate::client::{Client, Connection, Head, Request, Response};
pub use crate::command::run;
pub use crate::env::{setting, tell, tool};
pub use crate::images::{Blob, Image, Index, media_types, sha256};
pub use crate::port::{free_port, outer_address};
pub use crate::process::Process;
pub use crate::random::Random;
pub use crate::registry::Registry;
pub use crate::scratch::Scratch;
pub use crate::server::{Distribution, DockerRegistry, RegistryConfig, Server, Wharfinger};
pub use crate::time::{Stopwatch, wait_until};

/// A signal to send to a [`Process`].
pub use rustix::process::Signal;
