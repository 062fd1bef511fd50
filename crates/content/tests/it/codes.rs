//! What containerds answer to a long row of questions, held against what we do: in mode direct the codes
//! of a containerd 2, in mode plugin those of its bare store.
//!
//! One thing is meant to differ: when an ingest is aborted that somebody is writing to, theirs goes on
//! into a file without a name and fails at the commit, with `Unknown`; ours fails at once, with `Aborted`.

mod blobs;
mod commits;
mod ingests;
mod lists;

use std::fmt::Write as _;

use bytes::Bytes;
use tonic::Code;
use wharfinger_content::Mode;

use crate::probe::{Probe, commit};
use crate::subject::sample;

/// Each question and its two answers, in the order in which they are asked.
const CODES: &str = include_str!("codes.txt");

/// What is asked, and what was answered.
struct Script {
    probe: Probe,
    told: String,
}

impl Script {
    async fn run(mode: Mode) -> Self {
        let probe = Probe::new(mode);
        let told = String::new();
        let mut script = Self { probe, told };
        script.ask_of_blobs().await;
        script.ask_for_lists().await;
        script.ask_of_ingests().await;
        script.ask_of_commits().await;
        script
    }

    fn note(&mut self, question: &str, code: Code) {
        writeln!(self.told, "{question} {code:?}").unwrap();
    }

    /// Notes an answer, and returns it when it is one.
    fn note_answer<T>(&mut self, question: &str, answer: Result<T, Code>) -> Option<T> {
        let code = answer.as_ref().map_or_else(|code| *code, |_| Code::Ok);
        self.note(question, code);
        answer.ok()
    }

    /// Writes a blob and returns it.
    async fn blob(&self, reference: &str, length: usize, seed: u64) -> Bytes {
        let bytes = sample(length, seed);
        let ended = self.probe.ends(vec![commit(reference, &bytes)]).await;
        assert_eq!(ended, Code::Ok);
        bytes
    }
}

/// The column of a mode, without what is not asked in it.
fn wanted(mode: Mode) -> String {
    let mut wanted = String::new();
    for row in CODES.lines().filter(|row| !row.starts_with('#')) {
        // No answer has a space in it; a question may end in a colon and nothing.
        let mut words = row.split_whitespace();
        let (Some(question), Some(direct), Some(plugin)) =
            (words.next(), words.next(), words.next())
        else {
            panic!("{row:?} is no row");
        };
        let answer = match mode {
            Mode::Direct => direct,
            Mode::Plugin => plugin,
        };
        if answer != "-" {
            writeln!(wanted, "{question} {answer}").unwrap();
        }
    }
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_calls_are_answered_as_a_containerd_does() {
    let script = Script::run(Mode::Direct).await;
    assert_eq!(script.told, wanted(Mode::Direct));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_plugin_are_answered_as_the_store_of_a_containerd_does() {
    let script = Script::run(Mode::Plugin).await;
    assert_eq!(script.told, wanted(Mode::Plugin));
}
