//! Garbage collection that fails, is not certain, or dies.

use std::sync::Arc;

use wharfinger_driver::{ErrorKind as DriverErrorKind, Fault, FaultPlan, Faulty};

use super::*;

/// Images, some of them garbage, one with an index and a signature.
async fn fill(subject: &Subject) -> Vec<Pushed> {
    let here = subject.repository();
    let mut kept = vec![
        push_image(&here, 1, Some("v1"), None).await,
        push_image(&here, 2, None, None).await,
    ];
    push_index(&here, &[&kept[1]], Some("index")).await;
    kept.push(push_image(&here, 3, None, Some(&kept[0].descriptor())).await);
    for seed in 4..7 {
        let gone = push_image(&here, seed, Some("gone"), None).await;
        if seed == 5 {
            here.delete_manifest(&gone.manifest).await.outcome.unwrap();
        }
    }
    here.delete_tag(&"gone".parse().unwrap()).await.unwrap();
    push(&here, 90, &sample(50, 90)).await;
    kept
}

async fn collect_over(
    faulty: &Faulty,
    subject: &Subject,
    options: GarbageOptions,
) -> Result<GarbageReport> {
    collect_garbage(faulty, &*subject.runtime.clock, options, &mut |_| {}).await
}

fn faulty(subject: &Subject, plan: FaultPlan) -> Faulty {
    Faulty::new(Arc::clone(&subject.driver), plan)
}

/// Every image is whole, and no repository has a link to a blob that is not there.
async fn assert_sound(subject: &Subject, kept: &[Pushed], context: &str) {
    let store = subject.again();
    for image in kept {
        assert!(
            is_whole(&store, "library/test", image).await,
            "{context}: {image:?}"
        );
    }
    let there = blobs(subject).await;
    let layers: DriverPath = "docker/registry/v2/repositories/library/test/_layers/sha256"
        .parse()
        .unwrap();
    for entry in subject.driver.list_all(&layers).await.unwrap() {
        let link = layers.join(&entry.name).unwrap().join("link").unwrap();
        if subject.driver.find(&link).await.unwrap().is_some() {
            let digest = format!("sha256:{}", entry.name).parse().unwrap();
            assert!(
                there.contains(&digest),
                "{context}: a link to {digest} leads nowhere"
            );
        }
    }
}

/// How many calls a run makes before anything is deleted.
async fn calls_of_marking(subject: &Subject, options: GarbageOptions) -> usize {
    let counting = faulty(subject, FaultPlan::new());
    let mut planned = 0;
    let mut events = |event: GarbageEvent<'_>| {
        if matches!(event, GarbageEvent::Planned { .. }) {
            planned = counting.calls().len();
        }
    };
    let dry = GarbageOptions {
        dry_run: true,
        ..options
    };
    let clock = &*subject.runtime.clock;
    collect_garbage(&counting, clock, dry, &mut events)
        .await
        .unwrap();
    assert!(planned > 30, "{planned} calls are not looked at closely");
    planned
}

#[tokio::test]
async fn a_run_that_dies_at_any_call_loses_nothing_and_can_be_repeated() {
    for options in [ALL, UNTAGGED] {
        for kind in 0..Subject::all().len() {
            let mut first = None;
            for number in 0.. {
                let subject = Subject::all().swap_remove(kind);
                let kept = fill(&subject).await;
                let first = match first {
                    Some(first) => first,
                    None => *first.insert(calls_of_marking(&subject, options).await),
                };
                let dying = faulty(&subject, FaultPlan::new().crash_from(first + number));
                let outcome = collect_over(&dying, &subject, options).await;
                if dying.calls().len() <= first + number {
                    outcome.unwrap();
                    assert!(number > 20, "{number} calls are not looked at closely");
                    break;
                }
                let call = dying.calls()[first + number].clone();
                let context = format!("{}, died at {call:?}", subject.name);
                outcome.unwrap_err();
                assert_sound(&subject, &kept, &context).await;
                collect(&subject, options).await.unwrap();
                assert_sound(&subject, &kept, &context).await;
                let nothing = collect(&subject, options).await.unwrap();
                let found = (nothing.blobs, nothing.links, nothing.untagged);
                assert_eq!(found, (0, 0, 0), "{context}");
                let left = if options.delete_untagged { 10 } else { 16 };
                assert_eq!(blobs(&subject).await.len(), left, "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_while_marking_deletes_nothing() {
    let kinds = [
        DriverErrorKind::Unavailable,
        DriverErrorKind::NotFound,
        DriverErrorKind::Refused,
    ];
    for options in [ALL, UNTAGGED] {
        let subject = Subject::filesystem();
        fill(&subject).await;
        let before = blobs(&subject).await;
        let marking = calls_of_marking(&subject, options).await;
        for kind in kinds {
            for number in 0..marking {
                let plan = FaultPlan::new().at_call(number, Fault::Before(kind));
                let failing = faulty(&subject, plan);
                let dry = GarbageOptions {
                    dry_run: true,
                    ..options
                };
                let outcome = collect_over(&failing, &subject, dry).await;
                let call = failing.calls()[number].clone();
                // Whether a blob that nothing needs is there, or the place for blobs, may be answered
                // by no: then less is deleted.
                let is_harmless = call.path.as_str().starts_with("docker/registry/v2/blobs")
                    && call.method == wharfinger_driver::Method::Stat;
                if !is_harmless || kind == DriverErrorKind::Unavailable {
                    assert!(
                        outcome.is_err(),
                        "{kind:?} at {call:?} was taken for an answer"
                    );
                }
            }
        }
        assert_eq!(blobs(&subject).await, before);
    }
}

/// Collects, and returns what stood in the way.
async fn faults(subject: &Subject, options: GarbageOptions) -> Vec<String> {
    let mut told = Vec::new();
    let mut events = |event: GarbageEvent<'_>| {
        if let GarbageEvent::Unsure { path, why } = event {
            told.push(format!("{path}: {why}"));
        }
    };
    let before = blobs(subject).await;
    let clock = &*subject.runtime.clock;
    let error = collect_garbage(&*subject.driver, clock, options, &mut events)
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsure, "{error}");
    assert_eq!(blobs(subject).await, before);
    told
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_nothing_is_deleted() {
    for options in [ALL, UNTAGGED] {
        let subject = Subject::filesystem();
        fill(&subject).await;
        let here = subject.repository();
        let revisions = "repositories/library/test/_manifests/revisions";
        let images = [
            push_image(&here, 20, None, None).await,
            push_image(&here, 21, None, None).await,
            push_image(&here, 22, None, None).await,
            push_image(&here, 23, None, None).await,
        ];
        let [missing, damaged, empty, wrong] = images.map(|image| image.manifest.hex());
        let data = |hex: &str| subject.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
        let link = |hex: &str| subject.path(&format!("{revisions}/sha256/{hex}/link"));
        std::fs::remove_file(data(&missing)).unwrap();
        std::fs::write(data(&damaged), "{}").unwrap();
        std::fs::write(link(&empty), "").unwrap();
        std::fs::write(link(&wrong), sha256(b"another").to_string()).unwrap();
        let blob = push(&here, 91, &Bytes::from_static(b"no manifest")).await;
        let no_manifest = link(&blob.hex());
        std::fs::create_dir_all(no_manifest.parent().unwrap()).unwrap();
        std::fs::write(no_manifest, blob.to_string()).unwrap();
        std::fs::create_dir_all(subject.path(&format!("{revisions}/blake3/00"))).unwrap();
        // Who has made this means to keep something, and a digest it is not.
        let odd = link(&"AB".repeat(32));
        std::fs::create_dir_all(odd.parent().unwrap()).unwrap();
        std::fs::write(odd, blob.to_string()).unwrap();
        let told = faults(&subject, options).await;
        assert_eq!(told.len(), 7, "{told:#?}");
        for path in [
            missing,
            damaged,
            empty,
            wrong,
            blob.hex(),
            "blake3".to_owned(),
            "AB".repeat(32),
        ] {
            let about = told.iter().filter(|line| line.contains(&path));
            assert_eq!(about.count(), 1, "{path} in {told:#?}");
        }
    }
}

#[tokio::test]
async fn a_link_out_of_the_tree_deletes_nothing() {
    // Distribution follows such links, so what they lead to may be needed.
    for place in [
        "repositories/linked",
        "repositories/library/test/_layers/sha512",
        "blobs/sha256/zz",
    ] {
        let subject = Subject::filesystem();
        fill(&subject).await;
        let before = blobs(&subject).await;
        let target = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(target.path(), subject.path(place)).unwrap();
        let error = collect(&subject, ALL).await.unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
        assert_eq!(blobs(&subject).await, before);
    }
}

#[tokio::test]
async fn a_repository_that_no_client_can_name_keeps_what_it_holds() {
    let subject = Subject::filesystem();
    let image = push_image(&subject.repository(), 1, Some("v1"), None).await;
    let odd = subject.path("repositories/Odd+Name");
    std::fs::rename(subject.path("repositories/library/test"), &odd).unwrap();
    let report = collect(&subject, UNTAGGED).await.unwrap();
    assert_eq!(
        (report.repositories, report.manifests, report.blobs),
        (1, 1, 0)
    );
    assert_eq!(blobs(&subject).await, set(&image.digests()));
}

#[tokio::test]
async fn what_others_put_there_meanwhile_stays() {
    let subject = Subject::filesystem();
    fill(&subject).await;
    let here = subject.repository();
    // As if it came after the start: its time lies ahead.
    let blob = push(&here, 91, &Bytes::from_static(b"late")).await;
    let hex = blob.hex();
    let data = subject.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    let file = std::fs::File::options().write(true).open(data).unwrap();
    file.set_modified(subject.runtime.clock.now() + Duration::from_secs(60))
        .unwrap();
    let report = collect(&subject, ALL).await.unwrap();
    assert_eq!(report.young, 1);
    assert!(here.stat_blob(&blob).await.is_ok());
}
