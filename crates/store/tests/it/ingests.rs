//! Uploads: every way in, and every way it can fail.

use bytes::Bytes;
use wharfinger_driver::DriverExt as _;
use wharfinger_oci::{Algorithm, Digest};
use wharfinger_store::{ErrorKind, Expected, Purpose};

use crate::subject::{
    Subject, expect, finish, id, patch, push, read, repository, runtime, sample, sha256, store_over,
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn uploads_that_are_open_are_counted_and_those_that_ended_are_not() {
    for subject in Subject::all() {
        let count = async || subject.store.count_uploads().await.unwrap();
        assert_eq!(count().await.open, 0, "{}", subject.name);
        for (repository, id) in [("a", "one"), ("a/b", "two"), ("c/d/e", "three")] {
            let repository = subject.store.repository(&repository.parse().unwrap());
            repository
                .uploads()
                .create(&id.parse().unwrap())
                .await
                .unwrap();
        }
        let repository = subject.store.repository(&"a/b".parse().unwrap());
        repository
            .uploads()
            .abort(&"two".parse().unwrap())
            .await
            .unwrap();
        let counted = count().await;
        assert_eq!(
            (counted.open, counted.complete),
            (2, true),
            "{}",
            subject.name
        );
        assert!(counted.oldest_started_at.is_some());
    }
}

#[tokio::test]
async fn a_blob_comes_back_byte_for_byte_whatever_its_length() {
    for subject in Subject::all() {
        let repository = subject.repository();
        for (number, length) in [0, 1, 63, 64, 65, 4096, 100_000, 3 * MIB + 1]
            .into_iter()
            .enumerate()
        {
            let bytes = sample(length, 1);
            let digest = push(&repository, u32::try_from(number).unwrap(), &bytes).await;
            assert_eq!(
                read(&repository, &digest).await.unwrap(),
                bytes,
                "{} {length}",
                subject.name
            );
            assert_eq!(
                repository.stat_blob(&digest).await.unwrap().size_bytes,
                length as u64
            );
        }
        assert_eq!(
            repository.uploads().list().await.unwrap(),
            [],
            "{}",
            subject.name
        );
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_left_also_in_another_process() {
    for subject in Subject::all() {
        let bytes = sample(20 * MIB, 2);
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        let mut offset = 0;
        for (process, chunk) in bytes.chunks(6 * MIB + 11).enumerate() {
            let store = if process % 2 == 0 {
                subject.again()
            } else {
                subject.store.clone()
            };
            let uploads = repository(&store).uploads();
            assert_eq!(
                uploads.status(&id(1)).await.unwrap().offset,
                offset,
                "{}",
                subject.name
            );
            offset = patch(&uploads, &id(1), &Bytes::copy_from_slice(chunk))
                .await
                .unwrap();
        }
        assert_eq!(
            finish(&uploads, &id(1), offset, &Bytes::new(), expect(&bytes))
                .await
                .unwrap(),
            bytes.len() as u64
        );
        assert_eq!(
            read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
            bytes
        );
    }
}

#[tokio::test]
async fn a_wrong_digest_or_size_keeps_the_upload_at_its_offset() {
    for subject in Subject::all() {
        let bytes = sample(70_000, 3);
        let repository = subject.repository();
        let uploads = repository.uploads();
        uploads.create(&id(1)).await.unwrap();
        let offset = patch(&uploads, &id(1), &bytes).await.unwrap();
        let wrong = Expected {
            digest: sha256(b"other"),
            size_bytes: None,
        };
        for _ in 0..2 {
            let error = finish(&uploads, &id(1), offset, &Bytes::new(), wrong)
                .await
                .unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::DigestMismatch { computed, .. } if *computed == sha256(&bytes))
            );
        }
        let short = Expected {
            size_bytes: Some(1),
            ..expect(&bytes)
        };
        let error = finish(&uploads, &id(1), offset, &Bytes::new(), short)
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SizeMismatch { .. }));
        for digest in [wrong.digest, sha256(&bytes)] {
            assert_eq!(
                *repository.stat_blob(&digest).await.unwrap_err().kind(),
                ErrorKind::BlobUnknown
            );
        }
        assert_eq!(uploads.status(&id(1)).await.unwrap().offset, offset);
        finish(&uploads, &id(1), offset, &Bytes::new(), expect(&bytes))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_direct_upload_leaves_nothing_unless_it_is_committed() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let bytes = sample(200_000, 4);
        let mut writer = repository.uploads().direct(&sha256(&bytes)).await.unwrap();
        writer.write(bytes.slice(..100_000)).await.unwrap();
        let error = writer.commit(expect(&bytes)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DigestMismatch { .. }));
        drop(repository.uploads().direct(&sha256(&bytes)).await.unwrap());
        assert!(repository.stat_blob(&sha256(&bytes)).await.is_err());
        let left = subject
            .driver
            .list_all(&"docker/registry/v2".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(left, [], "{}", subject.name);

        let mut writer = repository.uploads().direct(&sha256(&bytes)).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.commit(expect(&bytes)).await.unwrap();
        assert_eq!(read(&repository, &sha256(&bytes)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn the_second_writer_is_refused_at_once_and_the_first_goes_on() {
    for subject in Subject::all() {
        let bytes = sample(100_000, 5);
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        let mut first = uploads.open(&id(1), Purpose::Append).await.unwrap();
        first.write(bytes.slice(..50_000)).await.unwrap();
        for purpose in [Purpose::Append, Purpose::Finish { offset: 0 }] {
            let second = uploads.open(&id(1), purpose).await.unwrap_err();
            assert_eq!(*second.kind(), ErrorKind::UploadBusy, "{}", subject.name);
        }
        assert_eq!(
            *uploads.abort(&id(1)).await.unwrap_err().kind(),
            ErrorKind::UploadBusy
        );
        first.write(bytes.slice(50_000..)).await.unwrap();
        first.commit(expect(&bytes)).await.unwrap();
        assert_eq!(
            read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
            bytes
        );
    }
}

#[tokio::test]
async fn a_writer_that_is_refused_changes_nothing_of_what_is_known() {
    let subject = Subject::filesystem();
    let bytes = sample(20 * MIB, 14);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    let offset = patch(&uploads, &id(1), &bytes.slice(..1000)).await.unwrap();
    let mut first = uploads.open(&id(1), Purpose::Append).await.unwrap();
    for piece in bytes.slice(1000..).chunks(100_000) {
        first.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let second = uploads.open(&id(1), Purpose::Finish { offset }).await;
    assert_eq!(*second.unwrap_err().kind(), ErrorKind::UploadBusy);
    let marker = subject
        .path("repositories/library/test/_uploads/00000000-0000-4000-8000-000000000001/wharfinger");
    assert!(marker.exists(), "what the first has saved is there still");
    assert_eq!(first.close().await.unwrap(), bytes.len() as u64);
}

#[tokio::test]
async fn a_wrong_digest_of_one_algorithm_leaves_the_other_to_be_finished() {
    let [sha256, sha512] = [Algorithm::Sha256, Algorithm::Sha512];
    for (wrong, right) in [(sha512, sha256), (sha256, sha512), (sha512, sha512)] {
        for subject in Subject::all() {
            let bytes = sample(200_000, 15);
            let uploads = subject.repository().uploads();
            uploads.create(&id(1)).await.unwrap();
            let offset = patch(&uploads, &id(1), &bytes).await.unwrap();
            let expected = |algorithm, bytes: &[u8]| Expected {
                digest: Digest::of(algorithm, bytes),
                size_bytes: None,
            };
            let refused = expected(wrong, b"other");
            let error = finish(&uploads, &id(1), offset, &Bytes::new(), refused).await;
            assert!(matches!(
                error.unwrap_err().kind(),
                ErrorKind::DigestMismatch { .. }
            ));
            let uploads = repository(&subject.again()).uploads();
            let good = expected(right, &bytes);
            finish(&uploads, &id(1), offset, &Bytes::new(), good)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_removed_while_it_was_written_to_does_not_come_back() {
    let subject = Subject::filesystem();
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    let mut writer = uploads.open(&id(1), Purpose::Append).await.unwrap();
    writer.write(sample(100, 16)).await.unwrap();
    let directory =
        subject.path("repositories/library/test/_uploads/00000000-0000-4000-8000-000000000001");
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(
        *writer.close().await.unwrap_err().kind(),
        ErrorKind::UploadUnknown
    );
    assert!(!directory.exists());
}

#[tokio::test]
async fn truncating_starts_again_and_only_at_zero() {
    for subject in Subject::all() {
        let (old, new) = (sample(6 * MIB, 6), sample(10_000, 7));
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        patch(&uploads, &id(1), &old).await.unwrap();
        let mut writer = uploads.open(&id(1), Purpose::Append).await.unwrap();
        assert!(matches!(
            writer.truncate(5).await.unwrap_err().kind(),
            ErrorKind::OffsetInvalid { .. }
        ));
        writer.truncate(0).await.unwrap();
        writer.write(new.clone()).await.unwrap();
        assert_eq!(writer.close().await.unwrap(), new.len() as u64);
        finish(
            &uploads,
            &id(1),
            new.len() as u64,
            &Bytes::new(),
            expect(&new),
        )
        .await
        .unwrap();
        assert_eq!(
            read(&subject.repository(), &sha256(&new)).await.unwrap(),
            new
        );
    }
}

#[tokio::test]
async fn what_one_request_added_can_be_given_back() {
    for subject in Subject::all() {
        let (kept, dropped) = (sample(6 * MIB, 8), sample(40 * MIB, 9));
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        let offset = patch(&uploads, &id(1), &kept).await.unwrap();
        let mut writer = uploads.open(&id(1), Purpose::Append).await.unwrap();
        for piece in dropped.chunks(100_000) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.give_back().await.unwrap();
        assert_eq!(
            uploads.status(&id(1)).await.unwrap().offset,
            offset,
            "{}",
            subject.name
        );
        finish(&uploads, &id(1), offset, &Bytes::new(), expect(&kept))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_was_cancelled_or_finished_is_unknown() {
    for subject in Subject::all() {
        let uploads = subject.repository().uploads();
        let bytes = sample(100, 10);
        uploads.create(&id(1)).await.unwrap();
        patch(&uploads, &id(1), &bytes).await.unwrap();
        uploads.abort(&id(1)).await.unwrap();
        push(&subject.repository(), 2, &bytes).await;
        for gone in [id(1), id(2), id(3)] {
            assert_eq!(
                *uploads.status(&gone).await.unwrap_err().kind(),
                ErrorKind::UploadUnknown
            );
            let opened = uploads.open(&gone, Purpose::Append).await.unwrap_err();
            assert_eq!(*opened.kind(), ErrorKind::UploadUnknown);
            assert_eq!(
                *uploads.abort(&gone).await.unwrap_err().kind(),
                ErrorKind::UploadUnknown
            );
        }
        assert_eq!(uploads.list().await.unwrap(), [], "{}", subject.name);
    }
}

#[tokio::test]
async fn another_algorithm_costs_a_read_unless_it_was_announced() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let uploads = repository.uploads();
        for (number, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            let bytes = sample(300_000, number as u64);
            let digest = Digest::of(algorithm, &bytes);
            let number = u32::try_from(number).unwrap();
            let (told, late) = (id(2 * number), id(2 * number + 1));
            uploads.create(&told).await.unwrap();
            let mut writer = uploads
                .open(&told, Purpose::Finish { offset: 0 })
                .await
                .unwrap();
            writer.announce(algorithm).await;
            writer.write(bytes.clone()).await.unwrap();
            writer
                .commit(Expected {
                    digest,
                    size_bytes: None,
                })
                .await
                .unwrap();
            assert_eq!(read(&repository, &digest).await.unwrap(), bytes);

            uploads.create(&late).await.unwrap();
            let offset = patch(&uploads, &late, &bytes).await.unwrap();
            finish(
                &uploads,
                &late,
                offset,
                &Bytes::new(),
                Expected {
                    digest,
                    size_bytes: None,
                },
            )
            .await
            .unwrap();
            assert_eq!(
                repository.stat_blob(&digest).await.unwrap().size_bytes,
                300_000
            );
        }
    }
}

#[tokio::test]
async fn a_finish_goes_back_to_the_last_answered_offset() {
    let subject = Subject::filesystem();
    let bytes = sample(300_000, 11);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    let offset = patch(&uploads, &id(1), &bytes.slice(..100_000))
        .await
        .unwrap();
    // A finish whose process dies after its bytes were written, and before it was answered.
    let mut cut = uploads
        .open(&id(1), Purpose::Finish { offset })
        .await
        .unwrap();
    for piece in bytes.slice(100_000..).chunks(40_000) {
        cut.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    // The client pauses.
    assert!(cut.begin_early().await);
    drop(cut);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let uploads = repository(&subject.again()).uploads();
    assert!(
        uploads.status(&id(1)).await.unwrap().offset > offset,
        "some of it was written"
    );
    finish(
        &uploads,
        &id(1),
        offset,
        &bytes.slice(100_000..),
        expect(&bytes),
    )
    .await
    .unwrap();
    assert_eq!(
        read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
        bytes
    );
}

#[tokio::test]
async fn after_a_power_cut_an_upload_stands_at_its_last_synced_checkpoint() {
    let subject = Subject::filesystem();
    let bytes = sample(40 * MIB, 12);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    patch(&uploads, &id(1), &bytes.slice(..39 * MIB))
        .await
        .unwrap();
    let store = subject.after_power_cut();
    let uploads = repository(&store).uploads();
    let offset = uploads.status(&id(1)).await.unwrap().offset;
    assert!(
        (16 * MIB as u64..39 * MIB as u64).contains(&offset),
        "it stands at {offset}"
    );
    let rest = bytes.slice(usize::try_from(offset).unwrap()..);
    assert_eq!(
        patch(&uploads, &id(1), &rest).await.unwrap(),
        bytes.len() as u64
    );
    finish(
        &uploads,
        &id(1),
        bytes.len() as u64,
        &Bytes::new(),
        expect(&bytes),
    )
    .await
    .unwrap();
    assert_eq!(
        read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
        bytes
    );
}

#[tokio::test]
async fn a_marker_of_another_secret_costs_a_read_and_nothing_else() {
    let subject = Subject::filesystem();
    let bytes = sample(200_000, 13);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    let offset = patch(&uploads, &id(1), &bytes.slice(..150_000))
        .await
        .unwrap();
    let options =
        wharfinger_store::StoreOptions::new(wharfinger_runtime::Secret::new(b"another".to_vec()));
    let other = wharfinger_store::Store::new(
        std::sync::Arc::clone(&subject.driver),
        None,
        runtime(),
        options,
    );
    let uploads = repository(&other).uploads();
    finish(
        &uploads,
        &id(1),
        offset,
        &bytes.slice(150_000..),
        expect(&bytes),
    )
    .await
    .unwrap();
    assert_eq!(
        read(
            &repository(&store_over(
                std::sync::Arc::clone(&subject.driver),
                &subject.runtime
            )),
            &sha256(&bytes)
        )
        .await
        .unwrap(),
        bytes
    );
}
