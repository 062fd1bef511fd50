//! Directories that Distribution has written for years, and aliases.

use std::fs;

use wharfinger_oci::Algorithm;

use super::*;

/// Puts bytes where a blob of their digest lies.
fn plant(subject: &Subject, bytes: &[u8]) -> Digest {
    let digest = sha256(bytes);
    let hex = digest.hex();
    write(
        subject,
        &format!("blobs/sha256/{}/{hex}/data", &hex[..2]),
        bytes,
    );
    digest
}

fn write(subject: &Subject, path: &str, bytes: &[u8]) {
    let path = subject.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn schema_1_and_tarsum_links_keep_what_they_name() {
    for options in [ALL, UNTAGGED] {
        let subject = Subject::filesystem();
        let old = "repositories/library/old";
        let layer = plant(&subject, b"a layer of schema 1");
        let under_tarsum = plant(&subject, b"a layer under a tarsum digest");
        let signature = plant(&subject, b"a signature");
        let garbage = plant(&subject, b"garbage");
        let json = format!(
            r#"{{"schemaVersion":1,"name":"library/old","tag":"1","architecture":"amd64",
            "fsLayers":[{{"blobSum":"{layer}"}},{{"blobSum":"tarsum.v1+sha256:00"}}],"history":[]}}"#
        );
        let manifest = plant(&subject, json.as_bytes());
        let revision = format!("{old}/_manifests/revisions/sha256/{}", manifest.hex());
        write(
            &subject,
            &format!("{revision}/link"),
            manifest.to_string().as_bytes(),
        );
        let link = format!("{revision}/signatures/sha256/{}/link", signature.hex());
        write(&subject, &link, signature.to_string().as_bytes());
        let tag = format!("{old}/_manifests/tags/1/current/link");
        write(&subject, &tag, manifest.to_string().as_bytes());
        for digest in [layer, garbage] {
            let link = format!("{old}/_layers/sha256/{}/link", digest.hex());
            write(&subject, &link, digest.to_string().as_bytes());
        }
        let tarsum = format!("{old}/_layers/tarsum/v1/sha256/00/link");
        write(&subject, &tarsum, under_tarsum.to_string().as_bytes());
        // What a proxy of Distribution writes, and what file systems and people leave.
        fs::write(subject.path("../../../scheduler-state.json"), "{}").unwrap();
        fs::create_dir_all(subject.path("repositories/empty/_uploads")).unwrap();
        fs::create_dir_all(subject.path(&format!("{old}/_layers/sha256/nonsense"))).unwrap();
        fs::create_dir_all(subject.path("repositories/lost+found")).unwrap();
        write(&subject, "repositories/.DS_Store", b"x");

        let report = collect(&subject, options).await.unwrap();
        assert_eq!((report.manifests, report.blobs, report.links), (1, 1, 1));
        let expected = [layer, under_tarsum, signature, manifest];
        assert_eq!(blobs(&subject).await, set(&expected));
        for kept in [&link, &tarsum, "../../../scheduler-state.json"] {
            assert!(subject.path(kept).exists(), "{kept}");
        }
    }
}

#[tokio::test]
async fn a_deleted_manifest_of_schema_1_goes_with_its_signatures() {
    let subject = Subject::filesystem();
    push_image(&subject.repository(), 1, Some("v1"), None).await;
    let signature = plant(&subject, b"a signature");
    let gone = format!(
        "repositories/library/test/_manifests/revisions/sha256/{}",
        sha256(b"gone").hex()
    );
    let link = format!("{gone}/signatures/sha256/{}/link", signature.hex());
    write(&subject, &link, signature.to_string().as_bytes());
    let report = collect(&subject, ALL).await.unwrap();
    assert_eq!(report.blobs, 1);
    assert!(!subject.path(&gone).exists());
}

#[tokio::test]
async fn bytes_under_another_digest_than_they_were_pushed_by_stay() {
    for options in [ALL, UNTAGGED] {
        let subject = Subject::filesystem();
        let here = subject.repository();
        let bytes = b"pushed to Distribution under sha512";
        let canonical = plant(&subject, bytes);
        let alias = Digest::of(Algorithm::Sha512, bytes);
        let root = "repositories/library/test";
        for digest in [canonical, alias] {
            let (algorithm, hex) = (digest.algorithm(), digest.hex());
            let link = format!("{root}/_layers/{algorithm}/{hex}/link");
            write(&subject, &link, canonical.to_string().as_bytes());
        }
        let json = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a","digest":"{alias}","size":{}}},"layers":[]}}"#,
            bytes.len()
        );
        let manifest = put(&here, json.clone(), TYPE, Some("v1")).await;
        // And a manifest under two digests, with its tag at the second.
        let second = plant(&subject, (json + " ").as_bytes());
        let name = sha256(b"only for its length").hex().repeat(2);
        for link in [
            format!("{root}/_manifests/revisions/sha256/{}/link", second.hex()),
            format!("{root}/_manifests/revisions/sha512/{name}/link"),
        ] {
            write(&subject, &link, second.to_string().as_bytes());
        }
        let tag = format!("{root}/_manifests/tags/v2/current/link");
        write(&subject, &tag, format!("sha512:{name}").as_bytes());
        let report = collect(&subject, options).await.unwrap();
        assert_eq!((report.blobs, report.links, report.untagged), (0, 0, 0));
        assert_eq!(blobs(&subject).await, set(&[canonical, manifest, second]));
        assert_eq!(read(&here, &alias).await.unwrap(), &bytes[..]);
        here.delete_manifest(&manifest).await.outcome.unwrap();
        here.delete_manifest(&second).await.outcome.unwrap();
        here.delete_tag(&"v2".parse().unwrap()).await.unwrap();
        std::fs::remove_dir_all(subject.path(&format!("{root}/_manifests/revisions/sha512")))
            .unwrap();
        let report = collect(&subject, options).await.unwrap();
        assert_eq!((report.blobs, report.links), (3, 2));
    }
}
