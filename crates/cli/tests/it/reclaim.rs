//! What keeps a storage in order: a read-only registry, garbage collection, purging; beside Distribution.

mod library;
mod oracle;
mod readonly;
mod uploads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use wharfinger_testkit::{Image, Process, RegistryConfig, Scratch, Server, run, wait_until};

use crate::setup::wharfinger;
use crate::tree::Tree;

/// No command here takes longer on a busy machine.
const LONG: Duration = Duration::from_secs(300);

const BINARY: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Writes the configuration for a command into `scratch`, with `more` below `storage`.
fn written(config: &RegistryConfig, scratch: &Scratch, name: &str, more: &str) -> Result<PathBuf> {
    let file = scratch.join(name);
    let text = config
        .text()
        .replace("  delete:", &format!("{more}  delete:"));
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    Ok(file)
}

/// Runs the binary to its end and returns what it printed.
fn command(arguments: &[&str], config: &Path) -> Result<String> {
    run(Command::new(BINARY).args(arguments).arg(config), LONG)
}

/// Runs the binary, which has to fail, and returns what it printed.
fn failing(arguments: &[&str], config: &Path) -> String {
    command(arguments, config)
        .expect_err("it succeeds")
        .to_string()
}

const READ_ONLY: &str = "  maintenance:\n    readonly:\n      enabled: true\n";

#[test]
fn garbage_is_not_collected_under_a_registry_that_writes() {
    let scratch = Scratch::new("held").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let [kept, gone] = [1, 2].map(|seed| Image::build(seed, &[3000]));
    let mut registry = server.registry();
    registry.push_image("a", "kept", &kept).unwrap();
    registry.push_image("a", "gone", &gone).unwrap();
    registry
        .delete_manifest("a", &gone.manifest.digest)
        .unwrap();
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    for arguments in [&["garbage-collect"][..], &["garbage-collect", "-d", "-q"]] {
        let refused = failing(arguments, &file);
        assert!(
            refused.contains("a registry is serving this storage"),
            "{refused}"
        );
    }
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 6);

    // A read-only one may serve meanwhile.
    server.terminate(LONG).unwrap();
    let read_only = written(&config, &scratch, "read-only.yml", READ_ONLY).unwrap();
    let arguments = vec!["serve".into(), read_only.into()];
    let server = Server::start(
        BINARY,
        arguments,
        Vec::new(),
        server.address(),
        &scratch.join("log"),
    );
    let server = server.unwrap();
    let mut registry = server.registry();
    registry.check_image("a", "kept", &kept).unwrap();
    let told = command(&["garbage-collect"], &file).unwrap();
    assert!(
        told.contains("\n3 blobs marked, 3 blobs and 0 manifests eligible"),
        "{told}"
    );
    registry.check_image("a", "kept", &kept).unwrap();
    let path = format!("/v2/a/blobs/{}", gone.layers[0].digest);
    assert_eq!(registry.status("HEAD", &path).unwrap(), 404);
    let tree = Tree::scan(&config.root).unwrap();
    assert_eq!((tree.blobs, tree.faults), (3, Vec::new()));
}

#[test]
fn a_registry_does_not_start_to_write_while_garbage_is_collected() {
    let scratch = Scratch::new("alone").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let lock = config.root.join("docker/registry/v2/_wharfinger/writers");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let lock = fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let refused = failing(&["serve"], &file);
    assert!(refused.contains("garbage is being collected"), "{refused}");
    drop(lock);
    wharfinger(&config, &scratch).unwrap();
}

#[test]
fn the_report_says_what_would_be_and_what_was_done() {
    let scratch = Scratch::new("report").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let [kept, gone] = [1, 2].map(|seed| Image::build(seed, &[3000]));
    let mut registry = server.registry();
    registry.push_image("a/b", "tag", &gone).unwrap();
    registry.push_image("a/b", "tag", &kept).unwrap();
    server.terminate(LONG).unwrap();
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let all = command(&["garbage-collect", "--dry-run"], &file).unwrap();
    assert!(
        all.ends_with("would free 0 bytes: 0 blobs, 0 untagged manifests and 0 links removed\n"),
        "{all}"
    );
    let dry = command(&["garbage-collect", "-d", "-m"], &file).unwrap();
    let bytes: usize = gone
        .blobs()
        .chain([&gone.manifest])
        .map(|blob| blob.bytes.len())
        .sum();
    for line in [
        "a/b".to_owned(),
        format!("a/b: marking manifest {}", kept.manifest.digest),
        format!("a/b: marking blob {}", kept.config.digest),
        "3 blobs marked, 3 blobs and 1 manifests eligible for deletion".to_owned(),
        format!(
            "a/b: manifest eligible for deletion: {}",
            gone.manifest.digest
        ),
        format!(
            "a/b: layer link eligible for deletion: {}",
            gone.config.digest
        ),
        format!(
            "blob eligible for deletion: {} ({} bytes)",
            gone.config.digest,
            gone.config.bytes.len()
        ),
        format!("would free {bytes} bytes: 3 blobs, 1 untagged manifests and 2 links removed"),
    ] {
        assert!(
            dry.lines().any(|found| found == line),
            "no {line:?} in\n{dry}"
        );
    }
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 6);
    let repository = config.root.join("docker/registry/v2/repositories/a/b");
    let temporary = repository.join("_layers/link.8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b0.tmp");
    let file_of_a_dead_writer = fs::File::create(&temporary).unwrap();
    file_of_a_dead_writer
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(
        command(&["garbage-collect", "-m", "--quiet"], &file).unwrap(),
        ""
    );
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 3);
    assert!(!temporary.exists());
}

#[test]
fn what_is_no_registry_is_left_alone() {
    let scratch = Scratch::new("nothing").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let missing = failing(&["garbage-collect"], &file);
    assert!(missing.contains("there is no directory"), "{missing}");
    assert!(!config.root.exists());
    fs::create_dir(&config.root).unwrap();
    let empty = failing(&["garbage-collect"], &file);
    assert!(empty.contains("there is no repository here"), "{empty}");
}

#[test]
fn a_manifest_that_cannot_be_read_is_named_and_nothing_is_deleted() {
    let scratch = Scratch::new("unsure").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let [bad, gone] = [1, 2].map(|seed| Image::build(seed, &[3000]));
    let mut registry = server.registry();
    registry.push_image("a", "bad", &bad).unwrap();
    registry.push_image("a", "gone", &gone).unwrap();
    registry
        .delete_manifest("a", &gone.manifest.digest)
        .unwrap();
    server.terminate(LONG).unwrap();
    let hex = bad.manifest.hex();
    let data = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    fs::remove_file(config.root.join(&data)).unwrap();
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let told = failing(&["garbage-collect", "-q"], &file);
    assert!(
        told.contains(&format!("{data}: the manifest is missing")),
        "{told}"
    );
    assert!(told.contains("exit status: 1"), "{told}");
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 5);
    // As it advises: deleted by its digest.
    server.restart().unwrap();
    server
        .registry()
        .delete_manifest("a", &bad.manifest.digest)
        .unwrap();
    server.terminate(LONG).unwrap();
    command(&["garbage-collect", "-q"], &file).unwrap();
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 0);
}

#[test]
fn a_collection_that_is_killed_at_any_time_loses_nothing() {
    let scratch = Scratch::new("gc-kills").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let images: Vec<Image> = (0..12).map(|seed| Image::build(seed, &[2048])).collect();
    let mut registry = server.registry();
    for (number, image) in images.iter().enumerate() {
        registry
            .push_image("a", &format!("t{number}"), image)
            .unwrap();
    }
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let mut kept: Vec<usize> = (0..images.len()).collect();
    for round in 0..6 {
        let mut registry = server.registry();
        for _ in 0..2 {
            let gone = kept.remove(round % kept.len());
            registry
                .delete_manifest("a", &images[gone].manifest.digest)
                .unwrap();
        }
        server.terminate(LONG).unwrap();
        // From before it opens the storage to somewhere in the sweep, or after it.
        let mut command = Command::new(BINARY);
        let mut process = Process::spawn(
            command.arg("garbage-collect").arg(&file),
            &scratch.join("gc.log"),
        )
        .unwrap();
        let patience = Duration::from_millis(4 + 9 * round as u64);
        wait_until(patience, || !process.is_running());
        process.kill().unwrap();
        server.restart().unwrap();
        let mut registry = server.registry();
        for &number in &kept {
            registry
                .check_image("a", &format!("t{number}"), &images[number])
                .unwrap();
        }
        let faults = Tree::scan(&config.root).unwrap().faults;
        assert_eq!(faults, [""; 0], "round {round}");
    }
    server.terminate(LONG).unwrap();
    self::command(&["garbage-collect", "-q"], &file).unwrap();
    assert_eq!(Tree::scan(&config.root).unwrap().blobs, 0);
}
