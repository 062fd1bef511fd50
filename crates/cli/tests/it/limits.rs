//! What the process may have open at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use wharfinger_testkit::{RegistryConfig, Scratch, Server};

/// Starts the binary under limits of open files, and returns it with its log.
fn start(soft: u32, hard: u32) -> (Server, String, Scratch) {
    let scratch = Scratch::new("limits").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let file = scratch.join("config.yml");
    config.write(&file).unwrap();
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    let script = format!(
        "ulimit -Sn {soft} && ulimit -Hn {hard} && exec {binary} serve {}",
        file.display()
    );
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let arguments = vec!["-c".into(), script.into()];
    let log = scratch.join("log");
    let server = Server::start("sh", arguments, Vec::new(), address, &log).unwrap();
    let log = fs::read_to_string(log).unwrap();
    (server, log, scratch)
}

#[test]
fn the_limit_of_open_files_is_raised_and_bounds_the_connections() {
    let (mut server, log, _scratch) = start(64, 300);
    let id = server.process().unwrap().id();
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let files = limits.lines().find(|line| line.contains("open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["300", "300"]);
    assert!(
        log.contains("connections=100 open_files=300 wanted=10000"),
        "{log}"
    );
}
