//! Removing manifests that no tag leads to.

use super::*;

#[tokio::test]
async fn what_a_tag_leads_to_stays() {
    for subject in Subject::all() {
        let here = subject.repository();
        let children = [
            push_image(&here, 1, None, None).await,
            push_image(&here, 2, None, None).await,
        ];
        let inner = push_index(&here, &[&children[0]], None).await;
        let size = {
            let found = here.get_manifest(&Reference::Digest(inner)).await.unwrap();
            found.manifest.bytes().len()
        };
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[
            {{"mediaType":"{INDEX}","digest":"{inner}","size":{size}}},{}]}}"#,
            children[1].descriptor()
        );
        let outer = put(&here, json, INDEX, Some("multi")).await;
        // A signature of a child, and one of the signature; neither has a tag.
        let signature = push_image(&here, 3, None, Some(&children[0].descriptor())).await;
        let second = push_image(&here, 4, None, Some(&signature.descriptor())).await;
        // A tagged referrer keeps its subject.
        let subject_alone = push_image(&here, 5, None, None).await;
        let report = push_image(&here, 6, Some("report"), Some(&subject_alone.descriptor())).await;
        // These hang together, and nothing tagged leads to them.
        let old = push_image(&here, 7, Some("moved"), None).await;
        let old_signature = push_image(&here, 8, None, Some(&old.descriptor())).await;
        let old_index = push_index(&here, &[&old], None).await;
        let new = push_image(&here, 9, Some("moved"), None).await;

        let dry = GarbageOptions {
            dry_run: true,
            ..UNTAGGED
        };
        let planned = collect(&subject, dry).await.unwrap();
        let collected = collect(&subject, UNTAGGED).await.unwrap();
        assert_eq!(planned, collected, "{}", subject.name);
        assert_eq!(
            (collected.manifests, collected.untagged),
            (9, 3),
            "{}",
            subject.name
        );

        let kept = [
            &children[0],
            &children[1],
            &signature,
            &second,
            &subject_alone,
            &report,
            &new,
        ];
        let mut expected = set(kept.map(Pushed::digests).as_flattened());
        expected.extend([inner, outer]);
        assert_eq!(blobs(&subject).await, expected, "{}", subject.name);
        for image in kept {
            assert!(
                is_whole(&subject.again(), "library/test", image).await,
                "{image:?}"
            );
        }
        for digest in [old.manifest, old_signature.manifest, old_index] {
            let error = here
                .get_manifest(&Reference::Digest(digest))
                .await
                .unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::ManifestUnknown);
        }
        if subject.name == "filesystem" {
            let history = "repositories/library/test/_manifests/tags/moved/index/sha256";
            assert!(
                !subject
                    .path(&format!("{history}/{}", old.manifest.hex()))
                    .exists()
            );
            assert!(
                subject
                    .path(&format!("{history}/{}", new.manifest.hex()))
                    .exists()
            );
        }
    }
}

#[tokio::test]
async fn each_repository_counts_for_itself() {
    for subject in Subject::all() {
        let here = subject.repository();
        let other = subject.store.repository(&name("other"));
        let image = push_image(&here, 1, None, None).await;
        push_image(&here, 2, Some("v1"), None).await;
        push_image(&other, 1, Some("v1"), None).await;
        let report = collect(&subject, UNTAGGED).await.unwrap();
        assert_eq!((report.untagged, report.blobs), (1, 0));
        assert!(is_whole(&subject.again(), "other", &image).await);
        assert!(!is_whole(&subject.again(), "library/test", &image).await);
    }
}

#[tokio::test]
async fn manifests_that_name_each_other_are_gone_through_once() {
    // Digests cannot go in a circle, but subjects and children can be shared by any number of ways.
    for subject in Subject::all() {
        let here = subject.repository();
        let leaf = push_image(&here, 1, None, None).await;
        let (mut below, mut size) = (leaf.manifest, leaf.size);
        let mut kind = TYPE;
        for level in 0..40 {
            let child = format!(r#"{{"mediaType":"{kind}","digest":"{below}","size":{size}}}"#);
            let json = format!(
                r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{child},{child}],
                "subject":{child},"annotations":{{"level":"{level}"}}}}"#
            );
            (size, kind) = (json.len(), INDEX);
            below = put(&here, json, INDEX, (level == 39).then_some("top")).await;
        }
        let report = collect(&subject, UNTAGGED).await.unwrap();
        assert_eq!(
            (report.manifests, report.untagged, report.blobs),
            (41, 0, 0)
        );
    }
}

#[tokio::test]
async fn a_tag_that_was_pushed_halfway_leads_nowhere() {
    let subject = Subject::filesystem();
    let here = subject.repository();
    let kept = push_image(&here, 1, Some("v1"), None).await;
    let gone = push_image(&here, 2, None, None).await;
    let tags = "repositories/library/test/_manifests/tags";
    std::fs::create_dir_all(subject.path(&format!("{tags}/empty"))).unwrap();
    std::fs::create_dir_all(subject.path(&format!("{tags}/half/current"))).unwrap();
    // Points at what was never there.
    std::fs::create_dir_all(subject.path(&format!("{tags}/dangling/current"))).unwrap();
    let link = subject.path(&format!("{tags}/dangling/current/link"));
    std::fs::write(link, sha256(b"nothing").to_string()).unwrap();
    // No client can use this name, but it points somewhere.
    let odd = push_image(&here, 3, None, None).await;
    std::fs::create_dir_all(subject.path(&format!("{tags}/+odd+/current"))).unwrap();
    let link = subject.path(&format!("{tags}/+odd+/current/link"));
    std::fs::write(link, odd.manifest.to_string()).unwrap();
    let report = collect(&subject, UNTAGGED).await.unwrap();
    assert_eq!((report.manifests, report.untagged), (2, 1));
    assert!(is_whole(&subject.again(), "library/test", &kept).await);
    assert!(is_whole(&subject.again(), "library/test", &odd).await);
    assert!(!is_whole(&subject.again(), "library/test", &gone).await);
}
