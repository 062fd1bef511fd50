//! The messages and calls of `containerd.services.content.v1.Content`, made by `cargo xtask codegen`
//! from `proto/content.proto`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::future_not_send,
    clippy::too_many_lines,
    clippy::use_self,
    reason = "generated code, of which any release of the generator may break other lints"
)]

include!("proto/content.rs");
