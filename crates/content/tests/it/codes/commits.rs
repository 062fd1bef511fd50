//! COMMIT: what it is refused for, and what is left then.

use bytes::Bytes;
use tonic::Code;
use wharfinger_content::Mode;
use wharfinger_content::proto::WriteContentRequest;
use wharfinger_oci::{Algorithm, Digest};

use super::Script;
use crate::probe::{COMMIT, commit, labels, message, write};
use crate::subject::{sample, sha256};

fn expected(expected: &str, message: WriteContentRequest) -> WriteContentRequest {
    let expected = expected.to_owned();
    WriteContentRequest {
        expected,
        ..message
    }
}

fn total(total: i64, message: WriteContentRequest) -> WriteContentRequest {
    WriteContentRequest { total, ..message }
}

/// A commit of what is there.
fn commit_at(reference: &str, offset: i64) -> WriteContentRequest {
    WriteContentRequest {
        offset,
        ..commit(reference, &Bytes::new())
    }
}

fn sha512(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha512, bytes).to_string()
}

impl Script {
    pub(super) async fn ask_of_commits(&mut self) {
        let data = sample(500, 9);
        self.ask_for_refusals(&data).await;
        self.ask_for_labels(&data).await;
        let gone = self.probe.status("B").await;
        self.note_answer("commit/ref-gone", gone);
        self.ask_for_what_exists(&data).await;
        self.ask_for_expectations().await;
        self.ask_for_totals().await;
        let digest = sha256(&data).to_string();
        let deleted = self.delete(&digest).await;
        self.note("delete/present", deleted);
        let after = self.probe.info(&digest).await;
        self.note("delete/info-after", after);
    }

    async fn ask_for_refusals(&mut self, data: &Bytes) {
        let written = self.probe.ends(vec![write("B", 0, data)]).await;
        assert_eq!(written, Code::Ok);
        let other = sha256(b"other").to_string();
        for (question, refused) in [
            ("wrong-total", total(501, commit_at("B", 500))),
            ("wrong-digest", expected(&other, commit_at("B", 500))),
        ] {
            let refused = self.probe.ends(vec![refused]).await;
            self.note(&format!("commit/{question}"), refused);
            let (answers, code) = self.probe.stream(vec![message("B")]).await;
            assert_eq!(answers[0].offset, 500);
            self.note(&format!("commit/{question}-keeps-data"), code);
        }
        let status = self.probe.status("B").await;
        self.note_answer("status/expected-shown", status);
    }

    async fn ask_for_labels(&mut self, data: &Bytes) {
        let long = WriteContentRequest {
            labels: labels(5003),
            ..commit_at("B", 500)
        };
        let labelled = self.probe.ends(vec![long]).await;
        self.note("commit/label-too-big", labelled);
        let (answers, code) = self.probe.stream(vec![message("B")]).await;
        self.note("commit/after-label-too-big", code);
        if self.probe.mode == Mode::Plugin {
            assert_eq!(answers[0].offset, 0, "it was committed");
            let missing = self.probe.info(&sha256(data).to_string()).await;
            self.note("commit/label-limit-not-enforced", missing);
            let begun = self.probe.ends(vec![commit("B", &sample(5, 10))]).await;
            assert_eq!(begun, Code::Ok);
            return;
        }
        assert_eq!(answers[0].offset, 500);
        let (answers, code) = self.probe.stream(vec![commit_at("B", 500)]).await;
        self.note("commit/ok", code);
        assert_eq!((answers[0].action, answers[0].offset), (COMMIT, 500));
        assert_eq!(answers[0].digest, sha256(data).to_string());
        // Theirs says it twice.
        self.note("commit/ok-tail", code);
    }

    async fn ask_for_what_exists(&mut self, data: &Bytes) {
        let known = sha256(data).to_string();
        let opened = self.probe.ends(vec![expected(&known, message("B2"))]).await;
        self.note("write/open-with-existing-expected", opened);
        for (question, after, reference, messages) in [
            (
                "commit/existing-with-expected",
                "commit/existing-aborts-ingest",
                "B3",
                vec![message("B3"), expected(&known, commit("B3", data))],
            ),
            (
                "commit/existing-without-expected",
                "commit/existing-no-exp-aborts-ingest",
                "B4",
                vec![commit("B4", data)],
            ),
            (
                "write/stat-existing-expected-midway",
                "write/midway-aborts-ingest",
                "B5",
                vec![write("B5", 0, data), expected(&known, message("B5"))],
            ),
        ] {
            let code = self.probe.ends(messages).await;
            self.note(question, code);
            let status = self.probe.status(reference).await;
            self.note_answer(after, status);
        }
        let messages = vec![write("B6", 0, data), commit("B6", &Bytes::new())];
        let emptied = self.probe.ends(messages).await;
        self.note("commit/offset0-nodata-truncates", emptied);
    }

    async fn ask_for_expectations(&mut self) {
        let opened = self
            .probe
            .ends(vec![expected("sha256:zzz", message("B7"))])
            .await;
        self.note("write/bad-expected", opened);
        let data = sample(10, 11);
        let committed = expected("sha256:zzz", commit("B8", &data));
        let committed = self.probe.ends(vec![committed]).await;
        self.note("commit/bad-expected", committed);

        let data = sample(100, 12);
        let digest = sha512(&data);
        let mut session = self.probe.session().await;
        let opened = session.send(expected(&digest, message("S1"))).await;
        let opened = self.note_answer("sha512/open", opened).unwrap();
        let running = self.probe.either("sha256:", "sha512:");
        assert!(opened.digest.starts_with(running), "{}", opened.digest);
        session.send(write("S1", 0, &data)).await.unwrap();
        let committed = session.send(expected(&digest, commit_at("S1", 100))).await;
        let committed = self.note_answer("sha512/commit", committed).unwrap();
        assert_eq!(committed.digest, digest);
        let data = sample(100, 13);
        let digest = sha512(&data);
        let mut session = self.probe.session().await;
        session.send(write("S2", 0, &data)).await.unwrap();
        let committed = session.send(expected(&digest, commit_at("S2", 100))).await;
        let committed = self.note_answer("sha512/commit-only", committed).unwrap();
        assert_eq!(committed.digest, digest);
    }

    async fn ask_for_totals(&mut self) {
        let (old, new) = (sample(60, 14), sample(100, 15));
        let begun = self.probe.ends(vec![total(60, write("T", 0, &old))]).await;
        assert_eq!(begun, Code::Ok);
        let mut session = self.probe.session().await;
        let opened = session.send(total(100, message("T"))).await;
        let opened = self.note_answer("total-changed/open", opened).unwrap();
        assert_eq!(opened.offset, 0);
        let committed = session.send(total(100, commit("T", &new))).await;
        let committed = self.note_answer("total-changed/commit", committed).unwrap();
        assert_eq!(
            committed.digest,
            sha256(&new).to_string(),
            "nothing of the old is left"
        );
        let messages = vec![total(50, write("T2", 0, &new)), commit_at("T2", 100)];
        let refused = self.probe.ends(messages).await;
        self.note("total-changed/commit-same-session", refused);
    }
}
