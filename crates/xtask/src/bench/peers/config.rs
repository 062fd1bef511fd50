//! How each server is configured and called. What all have in common: no access log, errors only,
//! and nothing acknowledged before it is synced, where a server has a switch for it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::Kind;

/// Writes what `kind` needs into `directory` and returns the command that starts it there, over
/// the content in `data`.
pub(super) fn command(
    kind: Kind,
    program: &Path,
    address: SocketAddr,
    directory: &Path,
    data: &Path,
) -> Result<Command> {
    let config = directory.join("config");
    let text = match kind {
        Kind::Wharfinger | Kind::Distribution | Kind::DockerRegistry => distribution(address, data),
        Kind::Zot => zot(address, data),
        Kind::Angos => angos(address, data),
        Kind::Nginx => nginx(address, directory, data, "on"),
        Kind::NginxCopy => nginx(address, directory, data, "off"),
        Kind::Floor => String::new(),
    };
    fs::write(&config, text).with_context(|| config.display().to_string())?;
    let mut command = Command::new(program);
    match kind {
        Kind::Wharfinger | Kind::Distribution | Kind::DockerRegistry | Kind::Zot => {
            command.arg("serve").arg(&config)
        }
        Kind::Angos => command.arg("-c").arg(&config).arg("server"),
        Kind::Nginx | Kind::NginxCopy => command.arg("-p").arg(directory).arg("-c").arg(&config),
        Kind::Floor => command.arg("floor").arg(address.to_string()).arg(data),
    };
    command
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("RUST_LOG", "error");
    Ok(command)
}

/// One text for the three that read it. The cache is the one that Distribution's own images have.
fn distribution(address: SocketAddr, data: &Path) -> String {
    format!(
        "version: 0.1\n\
         log:\n  level: error\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         \x20 cache:\n    blobdescriptor: inmemory\n\
         http:\n  addr: {address}\n  secret: the-same-for-every-run-of-the-bench\n",
        data.display()
    )
}

fn zot(address: SocketAddr, data: &Path) -> String {
    json!({
        "distSpecVersion": "1.1.1",
        "storage": { "rootDirectory": data, "commit": true },
        "http": { "address": address.ip().to_string(), "port": address.port().to_string() },
        "log": { "level": "error" },
    })
    .to_string()
}

fn angos(address: SocketAddr, data: &Path) -> String {
    format!(
        "[server]\nbind_address = \"{}\"\nport = {}\n\
         [global.access_policy]\ndefault = \"allow\"\n\
         [blob_store.fs]\nroot_dir = {data:?}\nsync_to_disk = true\n\
         [metadata_store.fs]\nroot_dir = {data:?}\nsync_to_disk = true\n\
         [repository.bench]\n",
        address.ip(),
        address.port(),
    )
}

fn nginx(address: SocketAddr, directory: &Path, data: &Path, sendfile: &str) -> String {
    format!(
        "user root;\nworker_processes auto;\ndaemon off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  sendfile {sendfile};\n  tcp_nopush on;\n  open_file_cache max=1000;\n  access_log off;\n\
         \x20 keepalive_requests 1000000000;\n  client_body_temp_path {directory}/tmp;\n\
         \x20 server {{ listen {address}; root {data}; default_type application/octet-stream; }}\n}}\n",
        directory = directory.display(),
        data = data.display(),
    )
}
