//! Many manifests that refer to one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use wharfinger_testkit::{Blob, Client, Request, Stopwatch, media_types, setting, tell};

use crate::setup::machine;
use crate::spec::{Subject, index};

/// What clients read of an index.
const MOST_PAGE_BYTES: usize = 4 << 20;

/// 64 MiB: what listing may cost in memory.
const MOST_KIB: u64 = 64 << 10;

const FIRST_LOOK: Duration = Duration::from_secs(300);

fn how_many() -> usize {
    setting("WHARFINGER_REFERRERS").map_or(3000, |count| count.parse().unwrap())
}

/// Puts a manifest into the tree, as another node would have pushed it.
pub(super) fn plant(root: &Path, repository: &str, manifest: &Blob) {
    let hex = manifest.digest.strip_prefix("sha256:").unwrap();
    let data = root.join(format!("blobs/sha256/{}/{hex}", &hex[..2]));
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("data"), &manifest.bytes).unwrap();
    let link = root.join(format!(
        "repositories/{repository}/_manifests/revisions/sha256/{hex}"
    ));
    fs::create_dir_all(&link).unwrap();
    fs::write(link.join("link"), &manifest.digest).unwrap();
}

#[test]
fn a_subject_with_very_many_referrers_is_listed_in_pages() {
    let _machine = machine();
    let mut subject = Subject::alone("hostile/referrers", &[]);
    let target = subject.push_index("v1", json!({"annotations": {"the": "subject"}}));
    let count = how_many();
    for number in 0..count {
        let fields = json!({
            "subject": target.descriptor(),
            "annotations": {"number": number.to_string(), "text": "x".repeat(200)},
        });
        plant(&subject.root(), "hostile/referrers", &index(fields));
    }
    // The first look goes through all of them, which a binary without optimisation takes long for.
    subject.client = Client::new(subject.client.address()).with_timeout(FIRST_LOOK);
    let watch = Stopwatch::start();
    let first = subject.target(&format!("referrers/{}", target.digest));
    subject
        .send(&Request::new("GET", first.as_str()))
        .expect(200)
        .unwrap();
    let looked = watch.elapsed();
    let before = subject.resident_kib();
    let (mut found, mut pages, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut next = Some(first);
    while let Some(target) = next {
        let watch = Stopwatch::start();
        let page = subject
            .send(&Request::new("GET", target))
            .expect(200)
            .unwrap();
        slowest = slowest.max(watch.elapsed());
        pages += 1;
        assert!(
            page.body.len() <= MOST_PAGE_BYTES,
            "{} bytes",
            page.body.len()
        );
        assert_eq!(page.header("content-type"), Some(media_types::INDEX));
        let list: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        let listed = list["manifests"].as_array().unwrap();
        found.extend(
            listed
                .iter()
                .map(|it| it["digest"].as_str().unwrap().to_owned()),
        );
        next = page.header("link").map(|link| {
            let (target, rel) = link.split_once('>').unwrap();
            assert_eq!(rel, "; rel=\"next\"");
            target.trim_start_matches('<').to_owned()
        });
    }
    let more = subject.resident_kib().saturating_sub(before);
    tell(&format!(
        "referrers: {count} looked at in {looked:?}; {pages} pages, the slowest in {slowest:?}; {more} KiB more"
    ));
    assert_eq!(found.len(), count);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), count, "some are listed twice");
    assert!(more < MOST_KIB, "{more} KiB more");
}
