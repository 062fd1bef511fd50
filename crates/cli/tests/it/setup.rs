//! What every suite starts with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use wharfinger_testkit::{RegistryConfig, Scratch, Server, Wharfinger};

/// One suite at a time has the machine, so that none is measured while another compresses layers.
static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other suite has the machine.
pub(crate) fn machine() -> MutexGuard<'static, ()> {
    // A suite that failed leaves nothing behind that the next could trip over.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the binary under test with `REGISTRY_…` variables over `config`.
pub(crate) fn wharfinger_with(
    config: &RegistryConfig,
    scratch: &Scratch,
    variables: &[(&str, String)],
) -> Result<Server> {
    let file = scratch.join("config.yml");
    config.write(&file)?;
    let variables = variables
        .iter()
        .map(|(name, value)| (format!("REGISTRY_{name}"), value.clone()))
        .collect();
    let arguments = vec!["serve".into(), file.into()];
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    Server::start(binary, arguments, variables, address, &scratch.join("log"))
}

/// Starts the binary under test with `config`; its file and log go into `scratch`.
pub(crate) fn wharfinger(config: &RegistryConfig, scratch: &Scratch) -> Result<Server> {
    Wharfinger::start(env!("CARGO_BIN_EXE_wharfinger"), config, scratch.path())
}
