//! The list of repositories: order, pages, completeness.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wharfinger_oci::RepositoryName;

use crate::subject::{Subject, name};

fn make(subject: &Subject, names: &BTreeSet<RepositoryName>) {
    for name in names {
        std::fs::create_dir_all(subject.path(&format!("repositories/{name}/_manifests"))).unwrap();
    }
}

async fn pages(subject: &Subject, limit: usize) -> Vec<RepositoryName> {
    let mut all: Vec<RepositoryName> = Vec::new();
    loop {
        let after = all.last().map(|name| name.as_str().to_owned());
        let page = subject
            .store
            .catalog(after.as_deref(), limit)
            .await
            .unwrap();
        assert!(page.names.len() <= limit);
        all.extend(page.names.clone());
        if !page.more {
            return all;
        }
    }
}

#[tokio::test]
async fn names_come_component_by_component() {
    let subject = Subject::filesystem();
    let names: BTreeSet<_> = ["a-b", "a/b", "a", "a/b/c", "a.b", "a0", "b"]
        .map(name)
        .into();
    make(&subject, &names);
    // Without a manifest it is no repository.
    std::fs::create_dir_all(subject.path("repositories/c/_layers")).unwrap();
    std::fs::create_dir_all(subject.path("repositories/d/_uploads/x")).unwrap();
    let expected = ["a", "a/b", "a/b/c", "a-b", "a.b", "a0", "b"].map(name);
    for limit in 1..=8 {
        assert_eq!(pages(&subject, limit).await, expected, "pages of {limit}");
    }
    let after_gone = subject.store.catalog(Some("a/b/b"), 1).await.unwrap();
    assert_eq!(after_gone.names, [name("a/b/c")]);
    // A name that no repository can have cuts where it would stand.
    assert_eq!(
        subject
            .store
            .catalog(Some("../.."), 10)
            .await
            .unwrap()
            .names,
        expected
    );
    assert_eq!(
        subject.store.catalog(Some("zzz"), 10).await.unwrap().names,
        []
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_pages_together_are_everything_in_order(
        names in prop::collection::btree_set("(a|b|ab)([-.0/_]?(a|b0|z)){0,3}", 0..30),
        limit in 1_usize..7,
    ) {
        let names: BTreeSet<RepositoryName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listed = runtime.block_on(async {
            let subject = Subject::filesystem();
            make(&subject, &names);
            pages(&subject, limit).await
        });
        prop_assert_eq!(listed, names.into_iter().collect::<Vec<_>>());
    }
}
