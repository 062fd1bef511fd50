//! The files that Distribution's packages ship, as they are: the binary serves by them, or says which key
//! is in the way. Only places and ports are others, by variables, as in a container.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_testkit::{
    Blob, Image, Process, Request, Scratch, Server, eventually, free_port, outer_address, run,
};

const BINARY: &str = env!("CARGO_BIN_EXE_wharfinger");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/stock")
        .join(name)
}

/// What `command` of the binary says to a file.
fn told(command: &str, file: &Path) -> Result<String, String> {
    let mut process = Command::new(BINARY);
    let told = run(process.arg(command).arg(file), Duration::from_secs(30));
    told.map_err(|error| error.to_string())
}

/// Serves by a file, with its data in `scratch` and these variables besides.
fn serve(name: &str, scratch: &Scratch, more: &[(&str, String)]) -> Server {
    let port = free_port();
    let root = scratch.join("data").display().to_string();
    let variables = [
        ("STORAGE_FILESYSTEM_ROOTDIRECTORY", root),
        ("HTTP_ADDR", format!(":{port}")),
    ];
    let variables = variables.iter().chain(more);
    let variables = variables.map(|(name, value)| (format!("REGISTRY_{name}"), value.clone()));
    let arguments = vec!["serve".into(), file(name).into()];
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let log = scratch.join("log");
    Server::start(BINARY, arguments, variables.collect(), address, &log).unwrap()
}

#[test]
fn the_file_of_debian_says_that_its_users_are_a_directory() {
    let installed = Path::new("/etc/docker/registry/config.yml");
    if let Ok(text) = fs::read_to_string(installed) {
        assert_eq!(text, fs::read_to_string(file("debian.yml")).unwrap());
    }
    // On a machine without the package it is not there at all; both are said with the key.
    for command in ["check", "serve"] {
        let told = told(command, &file("debian.yml")).unwrap_err();
        assert!(told.contains("exit status: 1"), "{told}");
        let lines = told
            .lines()
            .filter(|line| line.contains("debian.yml:") && !line.contains("warning"));
        let lines: Vec<_> = lines.filter(|line| !line.starts_with('"')).collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert!(
            lines[0].contains("debian.yml:19:11: `auth.htpasswd.path`: /etc/docker/registry"),
            "{told}"
        );
    }
}

#[test]
fn the_file_of_debian_serves_once_the_users_have_a_file() {
    let scratch = Scratch::new("debian").unwrap();
    let users = scratch.join("htpasswd");
    let hash = bcrypt::hash("secret", 4).unwrap();
    fs::write(&users, format!("alice:{hash}\n")).unwrap();
    let users = users.display().to_string();
    let server = serve("debian.yml", &scratch, &[("AUTH_HTPASSWD_PATH", users)]);
    let mut client = server.client();
    let refused = client.send(&Request::new("GET", "/v2/")).unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(r#"Basic realm="basic-realm""#)
    );
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    let blob = Blob::random(1, 5000);
    let login = format!("Basic {}", STANDARD.encode("alice:secret"));
    let push = format!("/v2/a/b/blobs/uploads/?digest={}", blob.digest);
    let push = Request::new("POST", push).header("Authorization", &login);
    client
        .send(&push.body(blob.bytes.clone()))
        .unwrap()
        .expect(201)
        .unwrap();
    // Deleting is on in this file.
    let delete = Request::new("DELETE", format!("/v2/a/b/blobs/{}", blob.digest));
    let deleted = client.send(&delete.header("Authorization", &login));
    deleted.unwrap().expect(202).unwrap();
}

#[test]
fn the_files_of_the_official_images_are_valid_and_serve() {
    for (name, deletes) in [("image-2.yml", 405), ("image-3.yml", 202)] {
        let told = told("check", &file(name)).unwrap();
        assert!(told.contains("is valid"), "{told}");
        let scratch = Scratch::new("stock").unwrap();
        let debug = free_port();
        let more = [("HTTP_DEBUG_ADDR", format!("127.0.0.1:{debug}"))];
        let more = if name == "image-3.yml" {
            &more[..]
        } else {
            &[]
        };
        let server = serve(name, &scratch, more);
        let mut registry = server.registry();
        let image = Image::build(1, &[2048, 70_000]);
        registry.push_image("a/b", "v1", &image).unwrap();
        registry.check_image("a/b", "v1", &image).unwrap();
        let manifest = format!("/v2/a/b/manifests/{}", image.manifest.digest);
        assert_eq!(registry.status("DELETE", &manifest).unwrap(), deletes);
        if !more.is_empty() {
            let mut operators =
                wharfinger_testkit::Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, debug)));
            eventually!({
                let metrics = operators.send(&Request::new("GET", "/metrics")).unwrap();
                metrics.status() == 200 && metrics.text().contains("registry_http_requests_total")
            });
        }
        let log = fs::read_to_string(server.log()).unwrap();
        assert_eq!(log.matches("no `auth` is given").count(), 1, "{log}");
    }
}

#[test]
fn without_a_file_only_this_machine_is_served_and_nobody_has_a_password() {
    let scratch = Scratch::new("bare").unwrap();
    let log = scratch.join("log");
    let mut command = Command::new(BINARY);
    command.arg("serve").current_dir(scratch.path());
    let mut process = Process::spawn(&mut command, &log).unwrap();
    // Somebody else may have the port, and then that is what is said of it.
    eventually!(fs::read_to_string(&log).unwrap().contains("127.0.0.1:5000"));
    if process.is_running()
        && let Some(address) = outer_address()
    {
        TcpStream::connect((address, 5000)).unwrap_err();
    }
    process.kill().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.to_lowercase().contains("password"), "{log}");
    let home = scratch.join("wharfinger-data");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(&home.join("secret"))), (0o700, 0o600));
    let names = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name == "htpasswd"));
}
