//! What systemd and a service have to say to each other: sockets that it hands down, and words that it
//! waits for.

use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::{Context, bail};
use listenfd::ListenFd;
use wharfinger_server::{Endpoint, Inherited};

/// 64: more sockets than any unit has; a larger number is a mistake.
const MAX_SOCKETS: usize = 64;

/// Takes the sockets that were handed down (`LISTEN_FDS`), in their order; all of them are listened on. Must be called
/// while there is one thread: the variables are taken away, so that no other program takes the sockets for its own.
///
/// # Errors
/// Fails if one of them is no stream socket.
pub(crate) fn sockets() -> anyhow::Result<Vec<Endpoint>> {
    let mut given = ListenFd::from_env();
    if given.len() > MAX_SOCKETS {
        bail!(
            "LISTEN_FDS hands down {} sockets; there can be {MAX_SOCKETS}",
            given.len()
        );
    }
    (0..given.len())
        .map(|index| socket(&mut given, index).map(Endpoint::Inherited))
        .collect()
}

fn socket(given: &mut ListenFd, index: usize) -> anyhow::Result<Inherited> {
    let socket = match given.take_tcp_listener(index) {
        Ok(listener) => listener.map(Inherited::Tcp),
        Err(_) => {
            let listener = given.take_unix_listener(index).with_context(|| {
                format!("socket {index} of LISTEN_FDS is neither a TCP nor a Unix stream socket")
            })?;
            listener.map(Inherited::Unix)
        }
    };
    socket.with_context(|| format!("socket {index} of LISTEN_FDS is not there"))
}

/// Tells whoever started this process how it is, such as `READY=1`, if they want to know (`NOTIFY_SOCKET`).
pub(crate) fn notify(state: &str) {
    if let Err(error) = try_notify(state) {
        tracing::warn!(%error, state, "cannot tell systemd");
    }
}

fn try_notify(state: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)?
        }
        path @ [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        // A socket of another kind, as between virtual machines.
        _ => return Ok(()),
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
