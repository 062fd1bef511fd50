//! Looking at uploads, and removing those that nobody goes on with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const OLD: Duration = Duration::from_secs(8 * 24 * 3600);

/// Makes every file of an upload as old as its start.
fn age(directory: &Path) {
    let then = fs::metadata(directory).unwrap().modified().unwrap() - OLD;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            if path.ends_with("startedat") {
                fs::write(&path, "2020-01-02T03:04:05Z").unwrap();
            }
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        let directory = fs::File::open(directory).unwrap();
        directory.set_modified(then).unwrap();
    }
}

fn id_of(location: &str) -> &str {
    let path = location.split('?').next().unwrap();
    path.rsplit('/').next().unwrap()
}

#[test]
fn uploads_tell_what_they_hold_and_old_ones_are_purged() {
    let scratch = Scratch::new("uploads").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let server = wharfinger(&config, &scratch).unwrap();
    let mut registry = server.registry();
    let uploads = config
        .root
        .join("docker/registry/v2/repositories/a/b/_uploads");
    let started: Vec<String> = (0..4)
        .map(|_| registry.start_upload("a/b").unwrap())
        .collect();
    let [empty, begun, refused, young] = &started[..] else {
        panic!()
    };
    registry.append(begun, &[1; 5000]).unwrap();
    let after = registry.append(refused, &[2; 7000]).unwrap();
    let wrong = wharfinger_testkit::sha256(b"something else");
    registry.finish_upload(&after, &wrong, b"").unwrap_err();
    let young_after = registry.append(young, &[3; 9000]).unwrap();
    // What Distribution leaves of a finished upload, and of one that it could not remove whole.
    let left = uploads.join("8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b0");
    fs::create_dir_all(left.join("hashstates/sha256")).unwrap();
    fs::write(left.join("hashstates/sha256/0"), [0; 108]).unwrap();
    let hollow = uploads.join("1a9f5ce5-7b53-4f86-b1c5-02e5c2a2fbb4");
    fs::create_dir_all(&hollow).unwrap();
    let strange = uploads.join("no upload at all");
    fs::create_dir_all(&strange).unwrap();
    for directory in [id_of(empty), id_of(begun), id_of(refused)].map(|id| uploads.join(id)) {
        age(&directory);
    }
    age(&left);
    age(&hollow);

    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let told = command(&["uploads", "list"], &file).unwrap();
    for (id, bytes, state) in [
        (id_of(empty), 0, "empty"),
        (id_of(begun), 5000, "unfinished"),
        (id_of(refused), 7000, "refused"),
        (id_of(young), 9000, "unfinished"),
        ("8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b0", 0, "left behind"),
        ("1a9f5ce5-7b53-4f86-b1c5-02e5c2a2fbb4", 0, "left behind"),
    ] {
        let line = told
            .lines()
            .find(|line| line.starts_with(id))
            .unwrap_or_else(|| panic!("{told}"));
        assert!(
            line.contains(&format!(" {bytes}  {state} ")) && line.contains("a/b"),
            "{line}"
        );
    }
    assert!(
        told.contains(&format!("its bytes are not {wrong}")),
        "{told}"
    );
    assert!(
        told.contains("2020-01-02T03:04:05Z") && told.ends_with("6 uploads\n"),
        "{told}"
    );
    let json = command(&["uploads", "list", "--json"], &file).unwrap();
    for line in json.lines() {
        let upload: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(upload["repository"], "a/b");
        assert!(
            upload["lastWritten"].is_string() && upload["sizeBytes"].is_u64(),
            "{line}"
        );
    }

    purged_when_old(&uploads, &file, id_of(begun));
    assert!(strange.exists());
    // The young one goes on.
    let bytes = [3; 9000];
    registry
        .finish_upload(&young_after, &wharfinger_testkit::sha256(&bytes), b"")
        .unwrap();
}

/// Purges what is older than a week, and only that.
fn purged_when_old(uploads: &Path, file: &Path, begun: &str) {
    let dry = command(&["uploads", "purge", "--dry-run"], file).unwrap();
    assert!(
        dry.ends_with("5 of 6 uploads would be purged, 12000 bytes\n"),
        "{dry}"
    );
    let none = command(&["uploads", "purge", "--age", "100000h"], file).unwrap();
    assert!(none.starts_with("0 of 6 uploads purged"), "{none}");
    assert!(uploads.join(begun).exists());
    let purged = command(&["uploads", "purge"], file).unwrap();
    assert!(
        purged.ends_with("5 of 6 uploads purged, 12000 bytes\n"),
        "{purged}"
    );
    let names: Vec<_> = fs::read_dir(uploads)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn an_old_upload_that_somebody_writes_to_stays() {
    let scratch = Scratch::new("busy").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let server = wharfinger(&config, &scratch).unwrap();
    let mut registry = server.registry();
    let location = registry.start_upload("a").unwrap();
    let location = registry.append(&location, b"some").unwrap();
    let directory = config
        .root
        .join("docker/registry/v2/repositories/a/_uploads")
        .join(id_of(&location));
    age(&directory);
    // As a request does that sends nothing for a long while.
    let data = fs::File::open(directory.join("data")).unwrap();
    data.lock().unwrap();
    let file = written(&config, &scratch, "command.yml", "").unwrap();
    let told = command(&["uploads", "purge"], &file).unwrap();
    assert!(
        told.ends_with("0 of 1 uploads purged, 0 bytes; 1 old ones are being written to\n"),
        "{told}"
    );
    drop(data);
    registry
        .finish_upload(&location, &wharfinger_testkit::sha256(b"some"), b"")
        .unwrap();
}
