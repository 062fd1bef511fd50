//! The disk is full: a file system of a few MiB, filled for real.

use std::path::{Path, PathBuf};
use std::process::Command;

use wharfinger_testkit::{Blob, Image, Scratch, run, tell};

use super::{REPOSITORY, Subject, TIMEOUT, assert_error, finish, patch};

/// A small file system in memory, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mebibytes}m,mode=0755"),
                "tmpfs",
            ])
            .arg(at);
        match run(&mut mount, TIMEOUT) {
            Ok(_) => Some(Self(at.to_owned())),
            Err(error) if wharfinger_testkit::setting("CI").is_some() => {
                panic!("cannot mount: {error:#}")
            }
            Err(_) => {
                tell("skipped: only root may mount a small disk");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may not have gone yet.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.0), TIMEOUT) {
            tell(&format!("cannot unmount {}: {error:#}", self.0.display()));
        }
    }
}

#[test]
fn a_full_disk_takes_nothing_that_was_acknowledged_and_heals_without_a_restart() {
    let scratch = Scratch::new("full").unwrap();
    let root = scratch.make("disk").unwrap();
    let Some(_disk) = SmallDisk::mount(&root, 6) else {
        return;
    };
    let mut subject = Subject::start_in(scratch, &root);
    let before = Image::build(1, &[2048, 10_000]);
    subject
        .registry
        .push_image(REPOSITORY, "before", &before)
        .unwrap();

    let blob = Blob::random(2, 8_000_000);
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let location = subject
        .registry
        .append(&location, &blob.bytes[..2_000_000])
        .unwrap();
    for attempt in 0..2 {
        let full = subject.send(&patch(&location, &blob.bytes[2_000_000..]));
        assert_error(&full, 507, "STORAGE_FULL");
        assert!(full.header("retry-after").is_some());
        // What was not acknowledged was given back, and what was is kept.
        assert_eq!(subject.status(&location).0, 2_000_000, "attempt {attempt}");
    }
    subject
        .registry
        .check_image(REPOSITORY, "before", &before)
        .unwrap();

    // Filled to the last block: nothing can be written at all.
    let filler = root.join("filler");
    let mut dd = Command::new("dd");
    dd.arg("if=/dev/zero")
        .arg(format!("of={}", filler.display()))
        .args(["bs=4096"])
        .stderr(std::process::Stdio::null());
    assert!(
        !dd.status().unwrap().success(),
        "the disk takes more than it has"
    );
    let finished = finish(
        &location,
        &wharfinger_testkit::sha256(&blob.bytes[..2_000_000]),
    );
    let answer = subject.send(&finished);
    assert!([201, 507].contains(&answer.status()), "{}", answer.text());
    let after = Image::build(3, &[2048]);
    let failed = subject.registry.push_image(REPOSITORY, "after", &after);
    assert!(
        failed.is_err(),
        "an image was acknowledged that has no room"
    );
    assert!(
        !subject
            .registry
            .tags(REPOSITORY)
            .unwrap()
            .contains(&"after".to_owned())
    );
    subject
        .registry
        .check_image(REPOSITORY, "before", &before)
        .unwrap();

    std::fs::remove_file(&filler).unwrap();
    subject.send(&finished).expect(201).unwrap();
    subject
        .registry
        .push_image(REPOSITORY, "after", &after)
        .unwrap();
    for (tag, image) in [("before", &before), ("after", &after)] {
        subject
            .registry
            .check_image(REPOSITORY, tag, image)
            .unwrap();
    }
    subject.tree();
}
