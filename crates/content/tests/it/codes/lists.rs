//! List, whose filters are those of ListStatuses as well.

use tonic::Code;
use wharfinger_content::proto::ListContentRequest;

use super::Script;
use crate::subject::{sample, sha256};

impl Script {
    /// Asks about the blob of a thousand bytes and its labels.
    pub(super) async fn ask_for_lists(&mut self) {
        let digest = sha256(&sample(1000, 1)).to_string();
        let exact = format!("digest=={digest}");
        let prefix = format!("digest~=^{}", &digest[..20]);
        let quoted = format!("digest~=/^{}/", &digest[..20]);
        let both = format!("digest=={digest},labels.k==v");
        let neither = format!("digest=={digest},labels.k==w");
        let other = format!("digest!={}", sha256(b"other"));
        for (question, filters, is_found) in [
            ("all", vec![], true),
            ("empty-string", vec![""], true),
            ("digest==", vec![exact.as_str()], true),
            ("digest~=", vec![&prefix], true),
            ("digest~=alt-quotes", vec![&quoted], true),
            ("label-present", vec!["labels.k"], true),
            (
                "label-quoted",
                vec![r#"labels."containerd.io/gc.root"==x"#],
                true,
            ),
            (
                "label-unquoted-slash",
                vec!["labels.containerd.io/gc.root==x"],
                false,
            ),
            ("and", vec![&both], true),
            ("and-false", vec![&neither], false),
            ("or", vec!["digest==nothing", &exact], true),
            ("not-equal", vec![&other], true),
            ("size-unsupported", vec!["size==1000"], false),
            ("unknown-field", vec!["nothing==1"], false),
            ("syntax-error", vec!["digest="], false),
            ("syntax-error2", vec!["==x"], false),
            ("bad-regex", vec!["digest~=/(/"], false),
        ] {
            let (code, found) = self.list(&filters, &digest).await;
            assert_eq!(found, is_found, "{question}");
            self.note(&format!("list/{question}"), code);
        }
    }

    /// Tells whether a list has `digest`.
    async fn list(&self, filters: &[&str], digest: &str) -> (Code, bool) {
        let filters = filters.iter().map(ToString::to_string).collect();
        let request = self.probe.request(ListContentRequest { filters });
        let mut found = false;
        let mut answers = match self.probe.client.clone().list(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (status.code(), found),
        };
        loop {
            match answers.message().await {
                Ok(Some(answer)) => found |= answer.info.iter().any(|info| info.digest == digest),
                Ok(None) => return (Code::Ok, found),
                Err(status) => return (status.code(), found),
            }
        }
    }
}
