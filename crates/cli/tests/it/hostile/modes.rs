//! Who may read what is kept.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use wharfinger_testkit::{Blob, Image, RegistryConfig, Scratch, Server};

/// Pushes a bit of everything under a mask, to a root of `config`.
fn push_under(mask: &str, config: &RegistryConfig, scratch: &Scratch) {
    let file = scratch.join("config.yml");
    config.write(&file).unwrap();
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    let script = format!("umask {mask} && exec {binary} serve {}", file.display());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let arguments = vec!["-c".into(), script.into()];
    let log = scratch.join("log");
    let server = Server::start("sh", arguments, Vec::new(), address, &log).unwrap();
    let mut registry = server.registry();
    let blob = Blob::random(1, 200_000);
    registry.push_blob("a/b", &blob).unwrap();
    let image = Image::build(1, &[2048]);
    registry.push_image("a/b", "v1", &image).unwrap();
    registry.start_upload("a/b").unwrap();
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).unwrap();
    metadata.permissions().mode() & 0o777
}

/// Asserts that all directories at and below `path` have one mode, and all files another one.
fn assert_modes(path: &Path, directories: u32, files: u32) {
    let is_directory = fs::symlink_metadata(path).unwrap().is_dir();
    let wanted = if is_directory { directories } else { files };
    assert_eq!(
        format!("{:o}", mode(path)),
        format!("{wanted:o}"),
        "{}",
        path.display()
    );
    if is_directory {
        for entry in fs::read_dir(path).unwrap() {
            assert_modes(&entry.unwrap().path(), directories, files);
        }
    }
}

#[test]
fn a_new_root_is_for_its_owner_alone_whatever_the_mask() {
    for mask in ["000", "077"] {
        let scratch = Scratch::new("modes").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        push_under(mask, &config, &scratch);
        assert_modes(&config.root, 0o700, 0o600);
    }
}

#[test]
fn a_tree_that_others_may_enter_keeps_the_modes_of_distribution() {
    let scratch = Scratch::new("modes").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    fs::create_dir(&config.root).unwrap();
    fs::set_permissions(&config.root, fs::Permissions::from_mode(0o755)).unwrap();
    push_under("022", &config, &scratch);
    let tree = config.root.join("docker/registry/v2");
    for part in ["blobs", "repositories"] {
        assert_modes(&tree.join(part), 0o755, 0o644);
    }
}
