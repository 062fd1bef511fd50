//! A way to the registry that lets so many bytes pass and then holds everything, until it is opened.
//!
//! Whoever is killed while it holds is killed in the middle of a transfer, however fast the machine is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What passes at once.
const PIECE: usize = 64 << 10;

pub(super) struct Sluice {
    address: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many bytes may still pass; `None` when open.
    left: Option<usize>,
    waiting: usize,
    /// Nobody comes any more.
    ended: bool,
}

impl Sluice {
    /// Begins to pass on to `server` what comes; open at first.
    pub(super) fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate::default());
        let passed = Arc::clone(&gate);
        thread::spawn(move || {
            for client in listener.incoming() {
                if passed.state().ended {
                    return;
                }
                // A connection that fails is the client's to notice.
                drop(client.and_then(|client| join(&client, server, &passed)));
            }
        });
        Ok(Self { address, gate })
    }

    /// `127.0.0.1:PORT`, in place of the server's own.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Holds everything once `bytes` more have passed, in either direction.
    pub(super) fn hold_after(&self, bytes: usize) {
        self.gate.state().left = Some(bytes);
    }

    /// Whether something waits to pass.
    pub(super) fn holds(&self) -> bool {
        self.gate.state().waiting > 0
    }

    /// Lets everything pass again.
    pub(super) fn open(&self) {
        self.gate.state().left = None;
        self.gate.changed.notify_all();
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        self.gate.state().ended = true;
        self.gate.changed.notify_all();
        // Wakes the thread that waits for clients.
        drop(TcpStream::connect(self.address));
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `bytes` may pass.
    fn pass(&self, bytes: usize) {
        let mut state = self.state();
        loop {
            match state.left {
                Some(left) if left < bytes && !state.ended => {}
                Some(left) => {
                    state.left = Some(left.saturating_sub(bytes));
                    return;
                }
                None => return,
            }
            state.waiting += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }
}

/// Joins a client's connection to one of the server's, both ways.
fn join(client: &TcpStream, server: SocketAddr, gate: &Arc<Gate>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let gate = Arc::clone(gate);
        thread::spawn(move || {
            // However it ends, the other side has to hear of it, and may have gone already.
            drop(flow(&mut from, &mut to, &gate));
            drop(to.shutdown(Shutdown::Write));
        });
    }
    Ok(())
}

fn flow(from: &mut TcpStream, to: &mut TcpStream, gate: &Gate) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        gate.pass(length);
        to.write_all(&piece[..length])?;
    }
}
