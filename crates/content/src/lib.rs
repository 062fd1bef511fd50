//! containerd's content service.
//!
//! [`ContentStore`] is the trait; [`Local`] implements it over a tenant of a
//! [`wharfinger_store::Store`], [`Remote`] over the service of somebody else. [`Service`] is the gRPC service over any of them, and [`Server`] the
//! Unix socket that it is reached at. [`write_blob`] writes a whole blob to any of them.

mod client;
mod copy;
mod error;
mod filter;
mod local;
pub mod proto;
mod server;
mod socket;
mod store;
mod wire;

pub use client::{Channel, Remote};
pub use copy::{BlobSource, BlobWrite, Forward, ReadAt, ReadingAt, Seeking, write_blob};
pub use error::{Error, ErrorKind, Result};
pub use filter::{Fields, Filters};
pub use local::Local;
pub use server::{Mode, Service};
pub use socket::{Server, SocketError};
pub use store::{
    Commit, ContentStore, ContentStores, ContentWriter, Info, LabelUpdate, Labels, Namespace, Open,
    Pieces, Status,
};
