//! Free ports, and the addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections (32768 and above), so that none of those
/// takes a server's port between two of its starts.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Ports handed out by this process.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// Returns a port on 127.0.0.1 where nobody listens, and another one each time.
///
/// # Panics
///
/// When every port of the range is taken.
pub fn free_port() -> u16 {
    // Test binaries that run at the same time begin at different places.
    let offset = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + offset.wrapping_mul(37).wrapping_add(given) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

/// Returns an address of this machine that is not a loopback address; `None` where there is none.
pub fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: this only asks by which address one would leave for a documentation address.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ports_differ() {
        assert_ne!(free_port(), free_port());
    }
}
