//! Several tags with one push: all of them, or none.

use std::sync::Arc;

use wharfinger_driver::{Driver, ErrorKind as DriverErrorKind, Fault, FaultPlan, Faulty, Method};
use wharfinger_oci::{Algorithm, Digest, Manifest, Reference, Tag};
use wharfinger_store::Repository;

use crate::subject::{Subject, repository, store_over};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn index(number: usize) -> Manifest {
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"n":"{number}"}}}}"#
    );
    Manifest::parse(json, Some(INDEX)).unwrap()
}

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn push(repository: &Repository, manifest: &Manifest, names: &[&str]) -> Option<Digest> {
    let reference = Reference::Digest(manifest.digest(Algorithm::Sha256));
    let tags = tags(names);
    let pushed = repository.put_manifest_under(&reference, &tags, manifest);
    pushed.await.ok()
}

/// Every tag, and what it points at.
async fn state(repository: &Repository) -> Vec<(String, Digest)> {
    let mut state = Vec::new();
    for tag in repository.tags(None, 100).await.unwrap().tags.iter() {
        let found = repository.get_manifest(&tag.parse().unwrap()).await;
        state.push((tag.to_string(), found.unwrap().digest));
    }
    state
}

#[tokio::test]
async fn all_tags_point_at_the_manifest() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let names: Vec<String> = (0..20).map(|number| format!("t{number:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let digest = push(&repository, &index(1), &names).await.unwrap();
        let expected: Vec<_> = names
            .iter()
            .map(|name| ((*name).to_owned(), digest))
            .collect();
        assert_eq!(state(&repository).await, expected, "{}", subject.name);
    }
}

#[tokio::test]
async fn a_push_that_fails_after_any_write_leaves_every_tag_as_it_was() {
    // The manifest, its link, and two writes for each tag.
    for after in 0..8 {
        let subject = Subject::filesystem();
        let before = push(&subject.repository(), &index(1), &["old", "same"]).await;
        let full = DriverErrorKind::Full;
        let plan = FaultPlan::new().at(Method::Put, 0, Fault::Cut { after, kind: full });
        let faulty = Arc::new(Faulty::new(Arc::clone(&subject.driver), plan));
        let store = store_over(faulty as Arc<dyn Driver>, &subject.runtime);
        let failing = repository(&store);
        assert_eq!(
            push(&failing, &index(2), &["new", "old", "zero"]).await,
            None
        );
        let expected = ["old", "same"].map(|name| (name.to_owned(), before.unwrap()));
        assert_eq!(state(&failing).await, expected, "after {after} writes");
        let tags = subject.path("repositories/library/test/_manifests/tags");
        let names = std::fs::read_dir(tags).unwrap().count();
        assert_eq!(names, 2, "whatever lies there is a tag to others");
        // And the same push succeeds once it can.
        let digest = push(&failing, &index(2), &["new", "old", "zero"]).await;
        assert_eq!(
            state(&failing).await[0],
            ("new".to_owned(), digest.unwrap())
        );
    }
}

#[tokio::test]
async fn pushes_that_share_tags_do_not_wait_for_each_other_for_ever() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let mut tasks = Vec::new();
    for number in 0..16 {
        let repository = repository.clone();
        tasks.push(subject.runtime.tasks.spawn(async move {
            let names = if number % 2 == 0 {
                ["a", "b", "c"]
            } else {
                ["c", "b", "a"]
            };
            push(&repository, &index(number), &names).await.unwrap()
        }));
    }
    let mut digests = Vec::new();
    for task in tasks {
        digests.push(task.await.unwrap());
    }
    let state = state(&repository).await;
    // Whoever came last has all three.
    assert!(state.iter().all(|(_, digest)| *digest == state[0].1));
    assert!(digests.contains(&state[0].1));
}

#[tokio::test]
async fn a_delete_that_fails_half_way_tells_which_tags_are_gone() {
    let subject = Subject::filesystem();
    let digest = push(&subject.repository(), &index(1), &["a", "b", "c"]).await;
    let digest = digest.unwrap();
    let down = DriverErrorKind::Unavailable;
    let plan = FaultPlan::new().fail(Method::Delete, 1, down);
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.driver), plan));
    let store = store_over(faulty as Arc<dyn Driver>, &subject.runtime);
    let failing = repository(&store);
    let removed = failing.delete_manifest(&digest).await;
    assert!(removed.outcome.is_err());
    assert_eq!(removed.tags, tags(&["a"]));
    // The manifest goes last, so that the rest can be asked for again.
    let again = failing.delete_manifest(&digest).await;
    again.outcome.unwrap();
    assert_eq!(again.tags, tags(&["b", "c"]));
}
