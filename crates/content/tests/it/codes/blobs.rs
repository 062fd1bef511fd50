//! Info, Update, Delete and Read.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream;
use tonic::{Code, Request};
use wharfinger_content::proto::{DeleteContentRequest, Info, InfoRequest};

use super::Script;
use crate::probe::{code, commit, message};
use crate::subject::{sample, sha256};

const UPPER: &str = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

impl Script {
    pub(super) async fn ask_of_blobs(&mut self) {
        let blob = self.blob("blob", 1000, 1).await;
        let digest = sha256(&blob).to_string();
        self.ask_info(&digest).await;
        self.ask_update(&digest).await;
        for (question, digest) in [("missing", missing().as_str()), ("bad-digest", "zzz")] {
            let code = self.delete(digest).await;
            self.note(&format!("delete/{question}"), code);
        }
        self.ask_read(&digest).await;
    }

    async fn ask_info(&mut self, digest: &str) {
        let present = self.probe.info(digest).await;
        self.note("info/present", present);
        let missing = self.probe.info(&missing()).await;
        self.note("info/missing", missing);
        for (question, bad) in [
            ("", ""),
            ("sha256:xyz", "sha256:xyz"),
            ("md5:d41d8cd9", "md5:d41d8cd98f00b204e9800998ecf8427e"),
            ("sha256:AAAAA", UPPER),
            ("nocolon", "nocolon"),
        ] {
            let code = self.probe.info(bad).await;
            self.note(&format!("info/bad-digest/{question}"), code);
        }
        for (question, header) in [
            ("no-namespace-header", None),
            (
                "bad-namespace",
                Some(("containerd-namespace", "bad/ns name")),
            ),
            ("other-namespace", Some(("containerd-namespace", "other"))),
        ] {
            let digest = digest.to_owned();
            let mut request = Request::new(InfoRequest { digest });
            if let Some((name, value)) = header {
                request.metadata_mut().insert(name, value.parse().unwrap());
            }
            let code = code(self.probe.client.clone().info(request).await);
            self.note(&format!("info/{question}"), code);
        }
        let digest = digest.to_owned();
        let mut leased = self.probe.request(InfoRequest { digest });
        let lease = || "nowhere".parse().unwrap();
        leased.metadata_mut().insert("containerd-lease", lease());
        let answered = code(self.probe.client.clone().info(leased).await);
        self.note("info/unknown-lease", answered);
        let mut leased = self.probe.request(stream::iter([message("leased")]));
        leased.metadata_mut().insert("containerd-lease", lease());
        let answered = match self.probe.client.clone().write(leased).await {
            Ok(answers) => code(answers.into_inner().message().await),
            Err(status) => status.code(),
        };
        self.note("write/unknown-lease", answered);
    }

    async fn ask_update(&mut self, digest: &str) {
        let gone = missing();
        let long = |length: usize| map(&[("k", "v".repeat(length - 1).as_str())]);
        let kept = map(&[("a", "1"), ("b", "2")]);
        let root = map(&[("containerd.io/gc.root", "x"), ("k", "v")]);
        for (question, digest, labels, mask) in [
            ("no-mask-replaces-all", digest, kept.clone(), None),
            (
                "empty-mask-replaces-all",
                digest,
                kept.clone(),
                Some(&[][..]),
            ),
            (
                "mask-labels.a-set",
                digest,
                map(&[("a", "9")]),
                Some(&["labels.a"]),
            ),
            (
                "mask-labels.b-absent-deletes",
                digest,
                map(&[]),
                Some(&["labels.b"]),
            ),
            (
                "mask-labels.with.dots",
                digest,
                map(&[("containerd.io/x.y.z", "1")]),
                Some(&["labels.containerd.io/x.y.z"]),
            ),
            ("mask-size", digest, map(&[]), Some(&["size"])),
            (
                "mask-labels+size",
                digest,
                kept.clone(),
                Some(&["labels.a", "size"]),
            ),
            ("mask-created_at", digest, map(&[]), Some(&["created_at"])),
            ("mask-empty-string", digest, map(&[]), Some(&[""])),
            ("immutable-fields-without-mask", digest, map(&[]), None),
            ("missing-digest", gone.as_str(), kept.clone(), None),
            ("bad-digest", "zzz", kept.clone(), None),
            ("label-4096-exact", digest, long(4096), None),
            ("label-4097", digest, long(4097), None),
            ("back", digest, root, None),
        ] {
            let info = Info {
                digest: digest.to_owned(),
                size: 77,
                labels,
                ..Info::default()
            };
            let code = self.probe.update(info, mask).await;
            self.note(&format!("update/{question}"), code);
        }
    }

    async fn ask_read(&mut self, digest: &str) {
        let gone = missing();
        for (question, digest, offset, size, length) in [
            ("whole", digest, 0, 0, 1000),
            ("neg-offset", digest, -5, 0, 1000),
            ("neg-size", digest, 0, -1, 1000),
            ("range", digest, 10, 20, 20),
            ("size-past-end", digest, 990, 100, 10),
            ("offset-at-end", digest, 1000, 0, 0),
            ("offset-at-end+size", digest, 1000, 10, 0),
            ("offset-past-end", digest, 1001, 0, 0),
            ("huge-size-overflow", digest, 10, i64::MAX, 990),
            ("missing", gone.as_str(), 0, 0, 0),
            ("bad-digest", "zzz", 0, 0, 0),
        ] {
            let (read, code) = self.probe.read(digest, offset, size).await;
            assert_eq!(read, length, "{question}");
            self.note(&format!("read/{question}"), code);
        }
        let big = self.blob("big", (3 << 20) + 17, 2).await;
        let digest = sha256(&big).to_string();
        for (question, offset, size, length) in [
            ("big", 0, 0, big.len()),
            ("big-range", 1000, 2 << 20, 2 << 20),
        ] {
            let (read, code) = self.probe.read(&digest, offset, size).await;
            assert_eq!(read, length, "{question}");
            self.note(&format!("read/{question}"), code);
        }
        let empty = self.probe.ends(vec![commit("empty", &Bytes::new())]).await;
        self.note("write/commit-empty-blob", empty);
        let (read, code) = self.probe.read(&sha256(b"").to_string(), 0, 0).await;
        assert_eq!(read, 0);
        self.note("read/empty-blob", code);
    }

    pub(super) async fn delete(&self, digest: &str) -> Code {
        let digest = digest.to_owned();
        let request = self.probe.request(DeleteContentRequest { digest });
        code(self.probe.client.clone().delete(request).await)
    }
}

/// The digest of a blob that nobody has written.
fn missing() -> String {
    sha256(&sample(10, 999)).to_string()
}
