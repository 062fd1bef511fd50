//! Access control on the running binary: files of users good and bad, changed while it runs, guessed at,
//! and used by real clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clients;
mod files;
mod load;
mod oracles;
mod secrets;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_testkit::{RegistryConfig, Request, Scratch, Server};

/// The least cost there is, where time is no matter.
const CHEAP: u32 = 4;

/// A registry with a file of users.
struct Guarded {
    server: Server,
    users: PathBuf,
    scratch: Scratch,
}

impl Guarded {
    /// Starts the binary with `users` and their passwords, named by variables as in a container.
    fn start(users: &[(&str, &str)], cost: u32) -> Self {
        let scratch = Scratch::new("access").unwrap();
        let path = scratch.join("htpasswd");
        fs::write(&path, lines(users, cost)).unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let file = scratch.join("config.yml");
        config.write(&file).unwrap();
        let variables = [
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "the wharf"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", path.to_str().unwrap()),
            ("REGISTRY_LOG_LEVEL", "debug"),
            ("REGISTRY_WHARFINGER_ACCESSLOG", "structured"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments = vec!["serve".into(), file.into()];
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let binary = env!("CARGO_BIN_EXE_wharfinger");
        let log = scratch.join("log");
        let server = Server::start(binary, arguments, variables.into(), address, &log).unwrap();
        Self {
            server,
            users: path,
            scratch,
        }
    }

    /// Puts another file in the place of the users' file.
    fn replace(&self, text: &str) {
        let new = self.scratch.join("htpasswd.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.users).unwrap();
    }

    fn status(&self, request: &Request) -> u16 {
        self.server.client().send(request).unwrap().status()
    }

    /// Returns what `GET /v2/` answers to somebody.
    fn ping(&self, name: &str, password: &str) -> u16 {
        self.status(&signed(Request::new("GET", "/v2/"), name, password))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.server.log()).unwrap()
    }
}

fn lines(users: &[(&str, &str)], cost: u32) -> String {
    let line = |(name, password): &(&str, &str)| {
        format!("{name}:{}\n", bcrypt::hash(password, cost).unwrap())
    };
    users.iter().map(line).collect()
}

fn signed(request: Request, name: &str, password: &str) -> Request {
    let login = STANDARD.encode(format!("{name}:{password}"));
    request.header("Authorization", format!("Basic {login}"))
}
