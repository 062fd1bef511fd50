//! The process dies, or a call fails, at every step of a push: what remains, and how it goes on.

use std::sync::Arc;

use bytes::Bytes;
use wharfinger_driver::{
    Driver, DriverExt as _, ErrorKind as DriverErrorKind, Fault, FaultPlan, Faulty,
};
use wharfinger_oci::Digest;
use wharfinger_store::{ErrorKind, Purpose, Store};

use crate::subject::{
    Subject, expect, finish, id, patch, read, repository, sample, sha256, store_over,
};

/// Two checkpoints long, so that saving them is among the steps.
const LENGTH: usize = 20 * 1024 * 1024;
const FIRST: usize = 18 * 1024 * 1024;

async fn whole_push(store: &Store, bytes: &Bytes) -> wharfinger_store::Result<()> {
    let uploads = repository(store).uploads();
    uploads.create(&id(1)).await?;
    let offset = patch(&uploads, &id(1), &bytes.slice(..FIRST)).await?;
    finish(
        &uploads,
        &id(1),
        offset,
        &bytes.slice(FIRST..),
        expect(bytes),
    )
    .await?;
    Ok(())
}

fn faulty(subject: &Subject, plan: FaultPlan) -> (Arc<Faulty>, Store) {
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.driver), plan));
    let store = store_over(Arc::clone(&faulty) as Arc<dyn Driver>, &subject.runtime);
    (faulty, store)
}

async fn steps(bytes: &Bytes) -> usize {
    let subject = Subject::filesystem();
    let (faulty, store) = faulty(&subject, FaultPlan::new());
    whole_push(&store, bytes).await.unwrap();
    let steps = faulty.calls().len();
    assert!(
        steps > 20,
        "a push of {steps} calls is not looked at closely"
    );
    steps
}

/// Nothing is visible that is not whole.
async fn assert_whole_or_absent(store: &Store, digest: &Digest, bytes: &Bytes, context: &str) {
    match repository(store).stat_blob(digest).await {
        Ok(_) => assert_eq!(
            read(&repository(store), digest).await.unwrap(),
            *bytes,
            "{context}"
        ),
        Err(error) => assert_eq!(*error.kind(), ErrorKind::BlobUnknown, "{context}"),
    }
}

/// A client goes on: with what the upload has, or anew when it is gone.
async fn goes_on(store: &Store, bytes: &Bytes, context: &str) {
    let uploads = repository(store).uploads();
    let status = uploads.status(&id(1)).await;
    match status {
        Ok(status) => {
            let offset = usize::try_from(status.offset).unwrap();
            assert!(offset <= bytes.len(), "{context}");
            let rest = bytes.slice(offset..);
            finish(&uploads, &id(1), status.offset, &rest, expect(bytes))
                .await
                .unwrap_or_else(|error| panic!("{context}, from {offset}: {error:?}"));
        }
        Err(error) => {
            assert_eq!(*error.kind(), ErrorKind::UploadUnknown, "{context}");
            if repository(store).stat_blob(&sha256(bytes)).await.is_err() {
                whole_push(store, bytes).await.unwrap();
            }
        }
    }
    assert_eq!(
        read(&repository(store), &sha256(bytes)).await.unwrap(),
        *bytes,
        "{context}"
    );
    assert_eq!(uploads.list().await.unwrap(), [], "{context}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_at_any_step_leaves_what_can_be_gone_on_with() {
    let bytes = sample(LENGTH, 1);
    for step in 0..steps(&bytes).await {
        let subject = Subject::filesystem();
        let (faulty, store) = faulty(&subject, FaultPlan::new().crash_from(step));
        let context = format!("died at call {step}");
        let outcome = whole_push(&store, &bytes).await;
        let call = faulty.calls().get(step).cloned();
        let context = format!("{context}, {call:?}");
        let again = subject.again();
        if outcome.is_ok() {
            // Only the clean-up failed.
            assert_eq!(
                read(&repository(&again), &sha256(&bytes)).await.unwrap(),
                bytes,
                "{context}"
            );
            continue;
        }
        assert_whole_or_absent(&again, &sha256(&bytes), &bytes, &context).await;
        goes_on(&again, &bytes, &context).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finish_that_was_cut_at_any_step_is_sent_again_and_succeeds() {
    let bytes = sample(300_000, 2);
    let offset = 200_000;
    for body in [false, true] {
        let (before, last) = if body {
            (bytes.slice(..offset), bytes.slice(offset..))
        } else {
            (bytes.clone(), Bytes::new())
        };
        for step in 0.. {
            let subject = Subject::filesystem();
            let uploads = subject.repository().uploads();
            uploads.create(&id(1)).await.unwrap();
            let at = patch(&uploads, &id(1), &before).await.unwrap();
            let (faulty, store) = faulty(&subject, FaultPlan::new().crash_from(step));
            let outcome = finish(
                &repository(&store).uploads(),
                &id(1),
                at,
                &last,
                expect(&bytes),
            )
            .await;
            if faulty.calls().len() <= step {
                outcome.unwrap();
                assert!(
                    step > 5,
                    "a finish of {step} calls is not looked at closely"
                );
                break;
            }
            let context = format!("body {body}, died at {:?}", faulty.calls().get(step));
            let again = subject.again();
            let repeated = finish(
                &repository(&again).uploads(),
                &id(1),
                at,
                &last,
                expect(&bytes),
            )
            .await;
            match repeated {
                Ok(_) => {}
                // It was through but for the answer; whoever repeats it finds the blob.
                Err(error) => assert_eq!(*error.kind(), ErrorKind::UploadUnknown, "{context}"),
            }
            assert_eq!(
                read(&repository(&again), &sha256(&bytes)).await.unwrap(),
                bytes,
                "{context}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_at_any_step_loses_nothing_and_the_same_process_goes_on() {
    let bytes = sample(LENGTH, 3);
    for kind in [
        DriverErrorKind::Full,
        DriverErrorKind::Unavailable,
        DriverErrorKind::Unsynced,
    ] {
        for step in 0..steps(&bytes).await {
            let subject = Subject::filesystem();
            let (faulty, store) = faulty(
                &subject,
                FaultPlan::new().at_call(step, Fault::Before(kind)),
            );
            let outcome = whole_push(&store, &bytes).await;
            let context = format!("{kind} at {:?}", faulty.calls().get(step));
            if outcome.is_err() {
                assert_whole_or_absent(&store, &sha256(&bytes), &bytes, &context).await;
                goes_on(&store, &bytes, &context).await;
            }
            assert_eq!(
                read(&repository(&subject.again()), &sha256(&bytes))
                    .await
                    .unwrap(),
                bytes,
                "{context}"
            );
        }
    }
}

#[tokio::test]
async fn a_full_disk_gives_back_what_was_not_acknowledged() {
    for subject in Subject::all() {
        let bytes = sample(12 * 1024 * 1024, 4);
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        let offset = patch(&uploads, &id(1), &bytes.slice(..6 * 1024 * 1024))
            .await
            .unwrap();
        let plan = FaultPlan::new().at(
            wharfinger_driver::Method::Append,
            0,
            Fault::Cut {
                after: 1000,
                kind: DriverErrorKind::Full,
            },
        );
        let (_, store) = faulty(&subject, plan);
        let full = repository(&store).uploads();
        let mut writer = full.open(&id(1), Purpose::Append).await.unwrap();
        let written = async {
            for piece in bytes.slice(6 * 1024 * 1024..).chunks(100_000) {
                writer.write(Bytes::copy_from_slice(piece)).await?;
            }
            Ok(())
        };
        let error: wharfinger_store::Error = match written.await {
            Ok(()) => writer.close().await.unwrap_err(),
            Err(error) => {
                writer.give_back().await.unwrap();
                error
            }
        };
        assert_eq!(*error.kind(), ErrorKind::Full, "{}", subject.name);
        assert_eq!(
            uploads.status(&id(1)).await.unwrap().offset,
            offset,
            "{}",
            subject.name
        );
        if subject.name == "filesystem" {
            let data = "docker/registry/v2/repositories/library/test/_uploads/00000000-0000-4000-8000-000000000001/data";
            assert_eq!(
                subject
                    .driver
                    .find(&data.parse().unwrap())
                    .await
                    .unwrap()
                    .unwrap()
                    .size_bytes,
                offset
            );
        }
        finish(
            &uploads,
            &id(1),
            offset,
            &bytes.slice(6 * 1024 * 1024..),
            expect(&bytes),
        )
        .await
        .unwrap();
    }
}
