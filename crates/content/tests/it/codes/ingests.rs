//! Write short of the commit, Status, ListStatuses and Abort.

use bytes::Bytes;
use tonic::Code;
use wharfinger_content::proto::{AbortRequest, ListStatusesRequest, WriteContentRequest};

use super::Script;
use crate::probe::{Session, code, commit, message, write};
use crate::subject::{sample, sha256};

/// The ref that most questions are about.
const REF: &str = "lock-1";

fn total(total: i64, message: WriteContentRequest) -> WriteContentRequest {
    WriteContentRequest { total, ..message }
}

impl Script {
    pub(super) async fn ask_of_ingests(&mut self) {
        let no_ref = self.probe.ends(vec![message("")]).await;
        self.note("write/no-ref", no_ref);
        let closed = self.probe.ends(vec![]).await;
        self.note("write/half-close-at-once", closed);
        let data = sample(60, 3);
        let held = self.ask_while_open(&data).await;
        self.ask_for_statuses().await;
        self.ask_for_offsets(held).await;
        self.ask_for_odd_writes().await;
        self.ask_for_aborts().await;
        self.ask_for_aborts_of_open_ones().await;
        self.ask_for_cancelling().await;
    }

    async fn ask_while_open(&mut self, data: &Bytes) -> Session {
        let mut session = self.probe.session().await;
        let opened = session.send(total(100, message(REF))).await;
        let opened = self.note_answer("write/stat-opens-ref", opened).unwrap();
        assert_eq!((opened.offset, opened.total), (0, 100));
        assert_eq!(opened.digest, sha256(b"").to_string());
        let second = self.probe.ends(vec![message(REF)]).await;
        self.note("write/second-writer", second);
        for (question, message, offset) in [
            ("append-offset0", write(REF, 0, &data.slice(..40)), 40),
            ("append-offset40", write(REF, 40, &data.slice(40..)), 60),
            ("no-data-is-status", write(REF, 60, &Bytes::new()), 60),
            (
                "stat-ignores-offset",
                WriteContentRequest {
                    offset: 7,
                    ..message(REF)
                },
                60,
            ),
        ] {
            let answer = session.send(message).await;
            let answer = self
                .note_answer(&format!("write/{question}"), answer)
                .unwrap();
            assert_eq!(answer.offset, offset, "{question}");
            let so_far = usize::try_from(offset).unwrap();
            assert_eq!(answer.digest, sha256(&data[..so_far]).to_string());
        }
        let status = self.probe.status(REF).await;
        assert_eq!(self.note_answer("status/while-open", status), Some(60));
        session
    }

    async fn ask_for_statuses(&mut self) {
        for (question, filter, is_found) in [
            ("all", None, true),
            ("ref==", Some("ref==lock-1"), true),
            ("ref~=", Some("ref~=/^lock/"), true),
            ("ref-no-match", Some("ref==nothing"), false),
            ("presence", Some("ref"), true),
            ("bare-word-is-presence-of-a-field", Some("lock"), false),
            ("dash-in-bare-word", Some("some-field"), false),
            ("syntax-error", Some("ref="), false),
        ] {
            let filters = filter.into_iter().map(str::to_owned).collect();
            let request = self.probe.request(ListStatusesRequest { filters });
            let listed = self.probe.client.clone().list_statuses(request).await;
            let listed = listed.map_err(|status| status.code());
            let found = listed.as_ref().is_ok_and(|listed| {
                let mut statuses = listed.get_ref().statuses.iter();
                statuses.any(|status| status.r#ref == REF)
            });
            assert_eq!(found, is_found, "{question}");
            self.note_answer(&format!("liststatuses/{question}"), listed);
        }
    }

    async fn ask_for_offsets(&mut self, mut session: Session) {
        let data = sample(10, 4);
        let behind = session.send(write(REF, 10, &data)).await;
        self.note_answer("write/offset-behind", behind);
        drop(session);
        let (answers, code) = self.probe.stream(vec![message(REF)]).await;
        assert_eq!((answers[0].offset, answers[0].total), (60, 0));
        self.note("write/kept-after-OutOfRange", code);
        let ahead = self.probe.ends(vec![write(REF, 61, &data)]).await;
        self.note("write/offset-ahead", ahead);
        let (answers, code) = self.probe.stream(vec![total(999, message(REF))]).await;
        assert_eq!((answers[0].offset, answers[0].total), (0, 999));
        self.note("write/reopen-other-total", code);
        // Theirs forgets to cut the file, and tells the old length again.
        let status = self.probe.status(REF).await;
        assert_eq!(
            self.note_answer("status/after-other-total", status),
            Some(0)
        );
    }

    async fn ask_for_odd_writes(&mut self) {
        let data = sample(10, 5);
        let mut session = self.probe.session().await;
        session.send(write(REF, 0, &sample(20, 6))).await.unwrap();
        let action = |action, offset| WriteContentRequest {
            action,
            ..write(REF, offset, &data)
        };
        for (question, message, offset) in [
            ("offset0-truncates", write(REF, 0, &data), 10),
            ("offset0-nodata-truncates", write(REF, 0, &Bytes::new()), 0),
            ("past-total", total(5, write(REF, 0, &data)), 10),
            ("negative-offset", write(REF, -1, &data), 20),
            ("unknown-action", action(7, 20), 20),
            ("ref-changed-mid-stream", message("another"), 20),
        ] {
            let answer = session.send(message).await;
            let answer = self
                .note_answer(&format!("write/{question}"), answer)
                .unwrap();
            assert_eq!(answer.offset, offset, "{question}");
        }
    }

    async fn abort(&self, reference: &str) -> Code {
        let r#ref = reference.to_owned();
        let request = self.probe.request(AbortRequest { r#ref });
        code(self.probe.client.clone().abort(request).await)
    }

    async fn ask_for_aborts(&mut self) {
        for (question, reference) in [("present", REF), ("again", REF), ("empty-ref", "")] {
            let code = self.abort(reference).await;
            self.note(&format!("abort/{question}"), code);
        }
        for (question, reference) in [("missing", REF), ("empty-ref", "")] {
            let status = self.probe.status(reference).await;
            self.note_answer(&format!("status/{question}"), status);
        }
    }

    async fn ask_for_aborts_of_open_ones(&mut self) {
        let data = sample(100, 7);
        let mut sessions = [self.probe.session().await, self.probe.session().await];
        for (session, reference) in sessions.iter_mut().zip(["a", "b"]) {
            session.send(write(reference, 0, &data)).await.unwrap();
        }
        let aborted = self.abort("a").await;
        assert_eq!(self.abort("b").await, aborted);
        self.note("abort/while-locked", aborted);
        let [first, second] = &mut sessions;
        let written = first.send(write("a", 100, &data)).await;
        self.note_answer("abort/then-write", written);
        let committed = second.send(commit("b", &Bytes::new())).await;
        self.note_answer("abort/then-commit", committed);
        let (answers, code) = self.probe.stream(vec![message("a")]).await;
        assert_eq!(answers[0].offset, 0);
        self.note("abort/then-reopen", code);
    }

    async fn ask_for_cancelling(&mut self) {
        let mut session = self.probe.session().await;
        let data = sample(100, 8);
        session.send(write("cancelled", 0, &data)).await.unwrap();
        drop(session);
        // Nobody tells a client that its cancelling has arrived.
        let answers = loop {
            let (answers, code) = self.probe.stream(vec![message("cancelled")]).await;
            if code != Code::Unavailable {
                self.note("write/cancel-releases-and-keeps", code);
                break answers;
            }
        };
        assert_eq!(answers[0].offset, 100);
    }
}
