//! Blobs at rest: links, damage, repair, aliases.

use std::fs;

use wharfinger_driver::ReadRange;
use wharfinger_oci::{Algorithm, Digest};
use wharfinger_store::{BlobRead, ErrorKind, Expected, Repository};

use crate::subject::{Subject, expect, finish, id, name, push, read, sample, sha256};

fn data_path(subject: &Subject, digest: &Digest) -> std::path::PathBuf {
    let hex = digest.hex();
    subject.path(&format!(
        "blobs/{}/{}/{hex}/data",
        digest.algorithm(),
        &hex[..2]
    ))
}

#[tokio::test]
async fn a_blob_is_only_there_for_whoever_has_a_link() {
    for subject in Subject::all() {
        let bytes = sample(1000, 1);
        let digest = push(&subject.repository(), 1, &bytes).await;
        let other = subject.store.repository(&name("other"));
        assert_eq!(
            *other.stat_blob(&digest).await.unwrap_err().kind(),
            ErrorKind::BlobUnknown
        );
        assert_eq!(
            *other
                .mount_blob(&digest, &name("third"))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::BlobUnknown
        );
        assert_eq!(
            other
                .mount_blob(&digest, &name("library/test"))
                .await
                .unwrap()
                .size_bytes,
            1000
        );
        assert_eq!(read(&other, &digest).await.unwrap(), bytes);
        subject.repository().delete_blob(&digest).await.unwrap();
        assert_eq!(
            *subject
                .repository()
                .stat_blob(&digest)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::BlobUnknown
        );
        assert_eq!(
            *subject
                .repository()
                .delete_blob(&digest)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::BlobUnknown
        );
        assert_eq!(
            read(&other, &digest).await.unwrap(),
            bytes,
            "the bytes stay for the other"
        );
    }
}

#[tokio::test]
async fn a_link_that_somebody_else_removes_is_gone_at_once() {
    let subject = Subject::filesystem();
    let digest = push(&subject.repository(), 1, &sample(1000, 2)).await;
    subject.repository().stat_blob(&digest).await.unwrap();
    let link = format!(
        "repositories/library/test/_layers/sha256/{}/link",
        digest.hex()
    );
    assert_eq!(
        fs::read_to_string(subject.path(&link)).unwrap(),
        digest.to_string()
    );
    fs::remove_file(subject.path(&link)).unwrap();
    assert!(
        subject.repository().stat_blob(&digest).await.is_err(),
        "the cache must not decide"
    );
}

#[tokio::test]
async fn ranges_give_what_they_say() {
    for subject in Subject::all() {
        let bytes = sample(300_000, 3);
        let repository = subject.repository();
        let digest = push(&repository, 1, &bytes).await;
        for (start, length) in [
            (0, Some(10)),
            (299_999, None),
            (5, Some(200_000)),
            (100, Some(u64::MAX)),
            (300_000, None),
        ] {
            let range = ReadRange { start, length };
            let BlobRead {
                length: given,
                bytes: stream,
                ..
            } = repository.read_blob(&digest, range).await.unwrap();
            let read: Vec<_> = futures_util::TryStreamExt::try_collect(stream)
                .await
                .unwrap();
            let read: Vec<u8> = read.concat();
            let end = length.map_or(300_000, |length| {
                (start.saturating_add(length)).min(300_000)
            });
            assert_eq!(
                read,
                &bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]
            );
            assert_eq!(given, end - start);
        }
    }
}

async fn repush(repository: &Repository, number: u32, bytes: &bytes::Bytes) {
    push(repository, number, bytes).await;
    assert_eq!(
        read(repository, &sha256(bytes)).await.unwrap(),
        *bytes,
        "a push repairs"
    );
}

#[tokio::test]
async fn damage_never_makes_a_complete_read_and_a_push_repairs_it() {
    let bytes = sample(500_000, 4);
    let mut flipped = bytes.to_vec();
    flipped[499_999] ^= 1;
    let longer = [&bytes[..], b"x"].concat();
    for (case, damage) in [
        ("flipped", &flipped[..]),
        ("short", &bytes[..400_000]),
        ("longer", &longer),
        ("empty", b""),
    ] {
        let subject = Subject::filesystem();
        let repository = subject.repository();
        let digest = push(&repository, 1, &bytes).await;
        let path = data_path(&subject, &digest);
        fs::write(&path, damage).unwrap();
        if let Ok(mut read) = repository.read_blob(&digest, ReadRange::WHOLE).await {
            let mut given = 0;
            let outcome = loop {
                match futures_util::StreamExt::next(&mut read.bytes).await {
                    Some(Ok(piece)) => given += piece.len(),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            assert_eq!(
                outcome.map(|error| error.kind().clone()),
                Some(ErrorKind::Damaged),
                "{case}"
            );
            assert!(
                given + 64 * 1024 <= damage.len(),
                "{case}: the end is held back"
            );
        }
        assert!(
            repository.stat_blob(&digest).await.is_err(),
            "{case}: once found, it is not there"
        );
        repush(&repository, 2, &bytes).await;
    }
}

#[tokio::test]
async fn a_push_repairs_also_what_nobody_has_looked_at() {
    for damage in ["file", "directory", "symlink", "fifo"] {
        let subject = Subject::filesystem();
        let bytes = sample(200_000, 5);
        let path = data_path(&subject, &sha256(&bytes));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match damage {
            "file" => fs::write(&path, sample(200_000, 6)).unwrap(),
            "directory" => fs::create_dir_all(path.join("in/the/way")).unwrap(),
            "symlink" => std::os::unix::fs::symlink("/etc/passwd", &path).unwrap(),
            _ => drop(
                std::process::Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap(),
            ),
        }
        repush(&subject.repository(), 1, &bytes).await;
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{damage}");
    }
}

#[tokio::test]
async fn what_distribution_wrote_is_hashed_once_and_then_trusted() {
    let subject = Subject::filesystem();
    let bytes = sample(300_000, 7);
    let digest = sha256(&bytes);
    let path = data_path(&subject, &digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &bytes).unwrap();
    let link = subject.path(&format!(
        "repositories/library/test/_layers/sha256/{}",
        digest.hex()
    ));
    fs::create_dir_all(&link).unwrap();
    fs::write(link.join("link"), digest.to_string()).unwrap();
    let blob: wharfinger_driver::DriverPath = format!(
        "docker/registry/v2/blobs/sha256/{}/{}/data",
        &digest.hex()[..2],
        digest.hex()
    )
    .parse()
    .unwrap();
    assert!(!subject.driver.stat(&blob).await.unwrap().verified);
    assert_eq!(read(&subject.repository(), &digest).await.unwrap(), bytes);
    assert!(subject.driver.stat(&blob).await.unwrap().verified);
    fs::write(&path, &bytes).unwrap();
    assert!(
        !subject.driver.stat(&blob).await.unwrap().verified,
        "another version is another matter"
    );
}

#[tokio::test]
async fn a_blob_of_another_algorithm_lies_under_its_own_digest() {
    for subject in Subject::all() {
        let bytes = sample(100_000, 8);
        let repository = subject.repository();
        let digest = Digest::of(Algorithm::Sha512, &bytes);
        repository.uploads().create(&id(1)).await.unwrap();
        finish(
            &repository.uploads(),
            &id(1),
            0,
            &bytes,
            Expected {
                digest,
                size_bytes: None,
            },
        )
        .await
        .unwrap();
        assert_eq!(read(&repository, &digest).await.unwrap(), bytes);
        let other = subject.store.repository(&name("other"));
        assert_eq!(
            other
                .mount_blob(&digest, &name("library/test"))
                .await
                .unwrap()
                .digest,
            digest
        );
        assert_eq!(read(&other, &digest).await.unwrap(), bytes);
        repository.delete_blob(&digest).await.unwrap();
        assert!(repository.stat_blob(&digest).await.is_err());
    }
}

#[tokio::test]
async fn an_alias_that_distribution_wrote_is_followed() {
    let subject = Subject::filesystem();
    let bytes = sample(100_000, 9);
    let repository = subject.repository();
    let canonical = push(&repository, 1, &bytes).await;
    let alias = Digest::of(Algorithm::Sha512, &bytes);
    let link = subject.path(&format!(
        "repositories/library/test/_layers/sha512/{}",
        alias.hex()
    ));
    fs::create_dir_all(&link).unwrap();
    fs::write(link.join("link"), canonical.to_string()).unwrap();
    let info = repository.stat_blob(&alias).await.unwrap();
    assert_eq!((info.digest, info.size_bytes), (alias, 100_000));
    assert_eq!(read(&repository, &alias).await.unwrap(), bytes);
    let other = subject.store.repository(&name("other"));
    other
        .mount_blob(&alias, &name("library/test"))
        .await
        .unwrap();
    assert_eq!(read(&other, &alias).await.unwrap(), bytes);
    assert_eq!(read(&other, &canonical).await.unwrap(), bytes);
    repository.delete_blob(&alias).await.unwrap();
    assert!(repository.stat_blob(&alias).await.is_err());
    assert!(
        repository.stat_blob(&canonical).await.is_err(),
        "the right has ended under either name"
    );
}

#[tokio::test]
async fn two_uploads_of_the_same_bytes_both_end_well() {
    for subject in Subject::all() {
        let bytes = sample(2_000_000, 10);
        let pushes = (1..=8).map(|number| {
            let (repository, bytes) = (subject.repository(), bytes.clone());
            subject.runtime.tasks.spawn(async move {
                repository.uploads().create(&id(number)).await.unwrap();
                finish(
                    &repository.uploads(),
                    &id(number),
                    0,
                    &bytes,
                    expect(&bytes),
                )
                .await
                .unwrap();
            })
        });
        for push in pushes.collect::<Vec<_>>() {
            push.await.unwrap();
        }
        assert_eq!(
            read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
            bytes
        );
    }
}
