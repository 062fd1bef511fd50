//! Unix sockets, and sockets that systemd hands down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;

use wharfinger_testkit::{Request, Scratch, Signal, eventually, free_port, run, tool};

use super::{Curl, REQUEST, Wharf, text, write_config};

fn serve(scratch: &Scratch, http: &str) -> Command {
    let config = write_config(scratch, http);
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command.arg("serve").arg(config);
    command
}

fn at(scratch: Scratch, socket: &Path) -> Wharf {
    let command = serve(
        &scratch,
        &format!("net: unix\n  addr: {}", socket.display()),
    );
    Wharf::run(command, 0, scratch)
}

#[test]
fn a_unix_socket_serves_its_owner_and_is_removed() {
    let Some(curl) = Curl::find() else { return };
    let scratch = Scratch::new("unix").unwrap();
    let socket = scratch.join("registry.sock");
    // One that nobody listens on any more.
    drop(UnixListener::bind(&socket).unwrap());
    let mut wharf = at(scratch, &socket);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let location = curl.round_trip("http://registry", &["--unix-socket", text(&socket)]);
    assert!(location.starts_with("http://registry/v2/"), "{location}");
    assert!(wharf.log().contains("@ - - ["), "{}", wharf.log());
    wharf.signal(Signal::TERM);
    assert!(wharf.process.wait(REQUEST).unwrap().success());
    assert!(!socket.exists());
}

#[test]
fn what_is_no_socket_of_nobody_is_left_alone() {
    let scratch = Scratch::new("unix").unwrap();
    let file = scratch.join("precious");
    fs::write(&file, "precious").unwrap();
    let refused = |path: &Path| {
        let mut command = serve(&scratch, &format!("net: unix\n  addr: {}", path.display()));
        format!("{:#}", run(&mut command, REQUEST).unwrap_err())
    };
    let error = refused(&file);
    assert!(
        error.contains("a file that is no socket is there"),
        "{error}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let socket = scratch.join("used.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let error = refused(&socket);
    assert!(error.contains("somebody listens there"), "{error}");
    assert!(socket.exists());
}

/// Starts the binary as systemd would, with these sockets.
fn activated(sockets: &[&str], scratch: Scratch) -> Option<Wharf> {
    let program = tool("systemd-socket-activate")?;
    let config = write_config(&scratch, "addr: 127.0.0.1:1");
    let mut command = Command::new(program);
    for socket in sockets {
        command.args(["-l", socket]);
    }
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    command.arg(binary).arg("serve").arg(config);
    let first = sockets[0].to_owned();
    // It starts the program when somebody connects.
    let knock = std::thread::spawn(move || {
        let address: std::net::SocketAddr = first.parse().unwrap();
        eventually!(std::net::TcpStream::connect(address).is_ok());
    });
    let wharf = Wharf::run(command, 0, scratch);
    knock.join().unwrap();
    Some(wharf)
}

#[test]
fn a_socket_of_systemd_comes_before_the_address() {
    let scratch = Scratch::new("systemd").unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let Some(wharf) = activated(&[&address], scratch) else {
        return;
    };
    let mut client = wharfinger_testkit::Client::new(address.parse().unwrap());
    let answer = client.send(&Request::new("GET", "/v2/")).unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        wharf.log().contains("`http.addr` does not count"),
        "{}",
        wharf.log()
    );
}

#[test]
fn several_sockets_of_systemd_are_all_listened_on() {
    let Some(curl) = Curl::find() else { return };
    let scratch = Scratch::new("systemd").unwrap();
    let socket = scratch.join("activated.sock");
    let address = format!("127.0.0.1:{}", free_port());
    let Some(mut wharf) = activated(&[&address, text(&socket)], scratch) else {
        return;
    };
    for arguments in [vec![], vec!["--unix-socket", text(&socket)]] {
        let url = format!("http://{address}/v2/");
        let all: Vec<_> = arguments.into_iter().chain([url.as_str()]).collect();
        assert_eq!(curl.ask(&all).unwrap().status, 200);
    }
    // The socket is somebody else's.
    wharf.signal(Signal::TERM);
    assert!(wharf.process.wait(REQUEST).unwrap().success());
    assert!(socket.exists());
}

#[test]
fn systemd_is_told_of_the_beginning_and_the_end() {
    let scratch = Scratch::new("systemd").unwrap();
    let told = UnixDatagram::bind(scratch.join("notify")).unwrap();
    told.set_read_timeout(Some(REQUEST)).unwrap();
    let hear = || {
        let mut word = [0; 100];
        let length = told.recv(&mut word).unwrap();
        String::from_utf8(word[..length].to_vec()).unwrap()
    };
    let mut command = serve(&scratch, "addr: 127.0.0.1:0");
    command.env("NOTIFY_SOCKET", scratch.join("notify"));
    let mut wharf = Wharf::run(command, 0, scratch);
    assert_eq!(hear(), "READY=1");
    wharf.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert!(wharf.process.wait(REQUEST).unwrap().success());
}

#[test]
fn sockets_of_systemd_that_are_none_are_refused() {
    let scratch = Scratch::new("systemd").unwrap();
    let mut command = serve(&scratch, "addr: 127.0.0.1:0");
    // Nothing was handed down.
    command.env("LISTEN_FDS", "1");
    let error = format!("{:#}", run(&mut command, REQUEST).unwrap_err());
    assert!(error.contains("socket 0 of LISTEN_FDS"), "{error}");
    let mut command = serve(&scratch, "addr: 127.0.0.1:0");
    command.env("LISTEN_FDS", "65");
    let error = format!("{:#}", run(&mut command, REQUEST).unwrap_err());
    assert!(error.contains("hands down 65 sockets"), "{error}");
}
