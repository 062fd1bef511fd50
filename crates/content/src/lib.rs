//! containerd's content service.

pub mod proto;
