//! Addresses to listen on, as Distribution writes them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// No host before the colon: every interface, IPv6 and IPv4.
    All,
    Ip(IpAddr),
    Name(String),
}

impl ListenAddress {
    /// The socket addresses that this stands for, in the order to try: the first that can be bound is
    /// the one to use. A name is looked up, and its IPv4 addresses come first.
    ///
    /// # Errors
    /// Fails if the name has no address.
    pub(crate) fn candidates(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port;
        match &self.host {
            // Linux lets an IPv6 socket take IPv4 as well; IPv4 alone is for kernels without IPv6.
            Host::All => Ok(vec![
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            ]),
            Host::Ip(ip) => Ok(vec![SocketAddr::from((*ip, port))]),
            Host::Name(name) => {
                let look_up = (name.as_str(), port).to_socket_addrs();
                let mut found: Vec<_> = look_up
                    .map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))?
                    .collect();
                found.sort_by_key(SocketAddr::is_ipv6);
                Ok(found)
            }
        }
    }
}

impl ListenAddress {
    /// Whether no other machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match &self.host {
            Host::All => false,
            Host::Ip(ip) => ip.to_canonical().is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::All => write!(f, ":{port}"),
            Host::Ip(ip) => write!(f, "{}", SocketAddr::from((*ip, port))),
            Host::Name(name) => write!(f, "{name}:{port}"),
        }
    }
}

/// What keeps a text from being an address, with the way out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressFault(pub(crate) String);

impl FromStr for ListenAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        let Some((host, port)) = text.rsplit_once(':') else {
            let hint = if text.parse::<u16>().is_ok() {
                format!("write `:{text}` for all interfaces or `127.0.0.1:{text}` for this machine")
            } else {
                "write it as `HOST:PORT`".to_owned()
            };
            return Err(AddressFault(format!("has no port; {hint}")));
        };
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let Some(port) = port.parse().ok().filter(|_| digits) else {
            return Err(AddressFault(
                "has no port number between 0 and 65535".to_owned(),
            ));
        };
        let host = if host.is_empty() {
            Host::All
        } else if let Some(v6) = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            match v6.parse::<Ipv6Addr>() {
                Ok(ip) => Host::Ip(IpAddr::V6(ip)),
                Err(_) => return Err(AddressFault("holds a broken IPv6 address".to_owned())),
            }
        } else if let Ok(ip) = host.parse::<Ipv4Addr>() {
            Host::Ip(IpAddr::V4(ip))
        } else if host.contains(':') {
            let hint = "an IPv6 address stands in brackets, as in `[::1]:5000`";
            return Err(AddressFault(format!("is ambiguous; {hint}")));
        } else if host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        {
            Host::Name(host.to_owned())
        } else {
            return Err(AddressFault("holds no host name".to_owned()));
        };
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_read() {
        for text in [
            ":5000",
            "127.0.0.1:5000",
            "0.0.0.0:0",
            "[::1]:5000",
            "localhost:5000",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        let fault = |text: &str| text.parse::<ListenAddress>().unwrap_err().0;
        assert!(fault("5000").contains("write `:5000`"));
        assert!(fault("localhost").contains("`HOST:PORT`"));
        assert!(fault("::1:5000").contains("brackets"));
        for text in [":http", ":65536", ":", ":+5", "host:-1"] {
            assert!(fault(text).contains("port number"), "{text}");
        }
        assert!(fault("[::g]:1").contains("IPv6"));
        assert!(fault("a b:1").contains("host name"));
        assert!(fault("/run/registry.sock:1").contains("host name"));
    }

    #[test]
    fn no_host_is_every_interface_and_names_are_looked_up() {
        let all = ":7".parse::<ListenAddress>().unwrap().candidates().unwrap();
        assert_eq!(
            all,
            ["[::]:7".parse().unwrap(), "0.0.0.0:7".parse().unwrap()]
        );
        let local = "localhost:7"
            .parse::<ListenAddress>()
            .unwrap()
            .candidates()
            .unwrap();
        assert!(local[0].ip().is_loopback());
    }
}
