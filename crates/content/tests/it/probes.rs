//! What the wire answers to odd questions: the codes that containerd gives its clients in mode direct, and
//! those of its bare store in mode plugin.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream;
use tonic::{Code, Request, Status};
use wharfinger_content::proto::content_client::ContentClient;
use wharfinger_content::proto::{
    AbortRequest, DeleteContentRequest, Info, InfoRequest, ListContentRequest, ListStatusesRequest,
    ReadContentRequest, StatusRequest, UpdateRequest, WriteContentRequest, WriteContentResponse,
};
use wharfinger_content::{Channel, Mode};
use wharfinger_runtime::Runtime;

use crate::subject::{local, sample, serve, sha256};

const WRITE: i32 = 1;
const COMMIT: i32 = 2;

struct Probe {
    client: ContentClient<Channel>,
    mode: Mode,
    _scratch: tempfile::TempDir,
}

fn both() -> [Probe; 2] {
    [Probe::new(Mode::Direct), Probe::new(Mode::Plugin)]
}

fn code<T>(result: Result<T, Status>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn message(reference: &str) -> WriteContentRequest {
    WriteContentRequest {
        r#ref: reference.to_owned(),
        ..WriteContentRequest::default()
    }
}

fn write(reference: &str, offset: i64, data: &Bytes) -> WriteContentRequest {
    WriteContentRequest {
        action: WRITE,
        offset,
        data: data.clone(),
        ..message(reference)
    }
}

fn commit(reference: &str, data: &Bytes) -> WriteContentRequest {
    WriteContentRequest {
        action: COMMIT,
        ..write(reference, 0, data)
    }
}

fn labels(length: usize) -> BTreeMap<String, String> {
    [("k".to_owned(), "v".repeat(length - 1))].into()
}

impl Probe {
    fn new(mode: Mode) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(8);
        let local = local(scratch.path(), &runtime, false);
        let socket = serve(scratch.path(), "socket", local, mode, &runtime);
        let channel = Channel::new(&socket, runtime.tasks);
        let origin = http::Uri::from_static("http://localhost");
        let client = ContentClient::with_origin(channel, origin);
        Self {
            client: client.max_encoding_message_size(64 << 20),
            mode,
            _scratch: scratch,
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if self.mode == Mode::Direct {
            let namespace = "default".parse().unwrap();
            request
                .metadata_mut()
                .insert("containerd-namespace", namespace);
        }
        request
    }

    /// Which of two codes this mode gives.
    fn either(&self, direct: Code, plugin: Code) -> Code {
        match self.mode {
            Mode::Direct => direct,
            Mode::Plugin => plugin,
        }
    }

    async fn info(&self, digest: &str) -> Code {
        let digest = digest.to_owned();
        let request = self.request(InfoRequest { digest });
        code(self.client.clone().info(request).await)
    }

    /// Sends messages on one stream, closes it, and returns all answers and how it ended.
    async fn stream(
        &self,
        messages: Vec<WriteContentRequest>,
    ) -> (Vec<WriteContentResponse>, Code) {
        let request = self.request(stream::iter(messages));
        let mut answers = match self.client.clone().write(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (Vec::new(), status.code()),
        };
        let mut answered = Vec::new();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => answered.push(answer),
                Ok(None) => return (answered, Code::Ok),
                Err(status) => return (answered, status.code()),
            }
        }
    }

    async fn ends(&self, messages: Vec<WriteContentRequest>) -> Code {
        self.stream(messages).await.1
    }

    async fn status(&self, reference: &str) -> Result<i64, Code> {
        let r#ref = reference.to_owned();
        let request = self.request(StatusRequest { r#ref });
        let answer = self.client.clone().status(request).await;
        let answer = answer.map_err(|status| status.code())?;
        Ok(answer.into_inner().status.unwrap().offset)
    }

    async fn update(&self, info: Info, paths: Option<&[&str]>) -> Code {
        let request = self.request(UpdateRequest {
            info: Some(info),
            update_mask: paths.map(|paths| prost_types::FieldMask {
                paths: paths.iter().map(ToString::to_string).collect(),
            }),
        });
        code(self.client.clone().update(request).await)
    }

    async fn read(&self, digest: &str, offset: i64, size: i64) -> (usize, Code) {
        let digest = digest.to_owned();
        let request = self.request(ReadContentRequest {
            digest,
            offset,
            size,
        });
        let mut answers = match self.client.clone().read(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (0, status.code()),
        };
        let mut length = 0;
        loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    assert_eq!(answer.offset, i64::try_from(length).unwrap());
                    assert!(answer.data.len() <= 1 << 20);
                    length += answer.data.len();
                }
                Ok(None) => return (length, Code::Ok),
                Err(status) => return (length, status.code()),
            }
        }
    }
}

const BAD_DIGESTS: [&str; 6] = [
    "",
    "sha256:xyz",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "nocolon",
    "zzz",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_digest_is_an_invalid_argument() {
    for probe in both() {
        for bad in BAD_DIGESTS {
            let digest = bad.to_owned();
            assert_eq!(probe.info(bad).await, Code::InvalidArgument, "{bad}");
            assert_eq!(probe.read(bad, 0, 0).await.1, Code::InvalidArgument);
            let delete = probe.request(DeleteContentRequest {
                digest: digest.clone(),
            });
            let deleted = probe.client.clone().delete(delete).await;
            assert_eq!(code(deleted), Code::InvalidArgument);
            let info = Info {
                digest,
                ..Info::default()
            };
            assert_eq!(probe.update(info, None).await, Code::InvalidArgument);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_direct_calls_need_a_namespace_and_may_name_no_lease() {
    for probe in both() {
        let digest = sha256(b"x").to_string();
        let bare = Request::new(InfoRequest {
            digest: digest.clone(),
        });
        let wanted = probe.either(Code::FailedPrecondition, Code::NotFound);
        assert_eq!(code(probe.client.clone().info(bare).await), wanted);
        let mut odd = Request::new(InfoRequest {
            digest: digest.clone(),
        });
        let name = "bad/ns name".parse().unwrap();
        odd.metadata_mut().insert("containerd-namespace", name);
        let wanted = probe.either(Code::InvalidArgument, Code::NotFound);
        assert_eq!(code(probe.client.clone().info(odd).await), wanted);
        let mut leased = probe.request(stream::iter([message("ref")]));
        let lease = "nowhere".parse().unwrap();
        leased.metadata_mut().insert("containerd-lease", lease);
        let answered = match probe.client.clone().write(leased).await {
            Ok(answers) => code(answers.into_inner().message().await),
            Err(status) => status.code(),
        };
        assert_eq!(answered, probe.either(Code::NotFound, Code::Ok));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_removed_already_for_a_plugin() {
    for probe in both() {
        let wanted = probe.either(Code::NotFound, Code::Ok);
        let digest = sha256(b"x").to_string();
        let delete = probe.request(DeleteContentRequest { digest });
        assert_eq!(code(probe.client.clone().delete(delete).await), wanted);
        for reference in ["", "missing"] {
            let r#ref = reference.to_owned();
            let abort = probe.request(AbortRequest { r#ref });
            assert_eq!(code(probe.client.clone().abort(abort).await), wanted);
            assert_eq!(probe.status(reference).await, Err(Code::NotFound));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_cut_to_the_blob() {
    for probe in both() {
        let data = sample((3 << 20) + 17, 1);
        assert_eq!(probe.ends(vec![commit("ref", &data)]).await, Code::Ok);
        let (digest, length) = (sha256(&data).to_string(), data.len());
        let size = i64::try_from(length).unwrap();
        for (offset, wanted_size, wanted) in [
            (0, 0, (length, Code::Ok)),
            (-5, 0, (length, Code::Ok)),
            (0, -1, (length, Code::Ok)),
            (10, 20, (20, Code::Ok)),
            (size - 10, 100, (10, Code::Ok)),
            (size, 0, (0, Code::Ok)),
            (size, 10, (0, Code::Ok)),
            (size + 1, 0, (0, Code::OutOfRange)),
            (10, i64::MAX, (length - 10, Code::Ok)),
        ] {
            let read = probe.read(&digest, offset, wanted_size).await;
            assert_eq!(read, wanted, "{offset} {wanted_size}");
        }
        let missing = sha256(b"missing").to_string();
        assert_eq!(probe.read(&missing, 0, 0).await.1, Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_of_labels_and_of_bounded_ones_in_mode_direct() {
    for probe in both() {
        let data = sample(1000, 2);
        assert_eq!(probe.ends(vec![commit("ref", &data)]).await, Code::Ok);
        let info = |labels| Info {
            digest: sha256(&data).to_string(),
            size: 77,
            labels,
            ..Info::default()
        };
        for (paths, wanted) in [
            (None, Code::Ok),
            (Some(&[][..]), Code::Ok),
            (Some(&["labels.k"]), Code::Ok),
            (Some(&["labels.with.dots"]), Code::Ok),
            (Some(&["size"]), Code::InvalidArgument),
            (Some(&["labels.k", "size"]), Code::InvalidArgument),
            (Some(&["created_at"]), Code::InvalidArgument),
            (Some(&[""]), Code::InvalidArgument),
        ] {
            assert_eq!(probe.update(info(labels(10)), paths).await, wanted);
        }
        assert_eq!(probe.update(info(labels(4096)), None).await, Code::Ok);
        let wanted = probe.either(Code::InvalidArgument, Code::Ok);
        assert_eq!(probe.update(info(labels(4097)), None).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_take_filters_and_refuse_what_is_none() {
    for probe in both() {
        for (filter, wanted) in [
            ("", Code::Ok),
            ("digest~=/^sha256/", Code::Ok),
            ("digest~=/(/", Code::Ok),
            ("size==1", Code::Ok),
            ("labels.containerd.io/gc.root==x", Code::InvalidArgument),
            ("digest=", Code::InvalidArgument),
            ("==x", Code::InvalidArgument),
            ("some-field", Code::InvalidArgument),
        ] {
            let filters = vec![filter.to_owned()];
            let list = probe.request(ListContentRequest {
                filters: filters.clone(),
            });
            let listed = code(probe.client.clone().list(list).await);
            assert_eq!(listed, wanted, "{filter}");
            let list = probe.request(ListStatusesRequest { filters });
            let listed = code(probe.client.clone().list_statuses(list).await);
            assert_eq!(listed, wanted, "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_where_it_says() {
    for probe in both() {
        assert_eq!(probe.ends(vec![]).await, Code::Unknown);
        let no_reference = probe.ends(vec![message("")]).await;
        assert_eq!(no_reference, Code::InvalidArgument);
        let data = sample(40, 3);
        let (answers, end) = probe
            .stream(vec![
                write("ref", 0, &data),
                // Another ref in mid-stream means nothing.
                write("other", 40, &data),
                message("ref"),
                WriteContentRequest {
                    action: 7,
                    offset: 3,
                    ..message("ref")
                },
                write("ref", -1, &data),
            ])
            .await;
        let offsets: Vec<i64> = answers.iter().map(|answer| answer.offset).collect();
        assert_eq!((offsets, end), (vec![40, 80, 80, 80, 120], Code::Ok));
        assert_eq!(answers[3].action, 7);
        assert_eq!(answers[1].digest, sha256(&data.repeat(2)).to_string());
        assert_eq!(probe.status("other").await, Err(Code::NotFound));
        for wrong in [10, 121] {
            let ended = probe.ends(vec![write("ref", wrong, &data)]).await;
            assert_eq!(ended, Code::OutOfRange);
            assert_eq!(probe.status("ref").await, Ok(120), "it is kept");
        }
        let (answers, _) = probe.stream(vec![write("ref", 0, &data)]).await;
        assert_eq!(answers[0].offset, 40, "at 0 it begins anew");
        let (answers, _) = probe.stream(vec![write("ref", 0, &Bytes::new())]).await;
        assert_eq!(answers[0].offset, 0, "also without data");
        assert_eq!(answers[0].digest, sha256(b"").to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_of_what_was_announced() {
    for probe in both() {
        let data = sample(500, 4);
        assert_eq!(probe.ends(vec![write("ref", 0, &data)]).await, Code::Ok);
        let last = |total, expected: &str| WriteContentRequest {
            total,
            expected: expected.to_owned(),
            offset: 500,
            ..commit("ref", &Bytes::new())
        };
        let other = sha256(b"other").to_string();
        let bad = probe.either(Code::FailedPrecondition, Code::InvalidArgument);
        for (total, expected, wanted) in [
            (501, "", Code::FailedPrecondition),
            (0, other.as_str(), Code::FailedPrecondition),
            (0, "sha256:zzz", bad),
        ] {
            let ended = probe.ends(vec![last(total, expected)]).await;
            assert_eq!(ended, wanted, "{total} {expected}");
            assert_eq!(probe.status("ref").await, Ok(500), "it is kept");
        }
        if probe.mode == Mode::Direct {
            let labelled = WriteContentRequest {
                labels: labels(4097),
                ..last(0, "")
            };
            assert_eq!(probe.ends(vec![labelled]).await, Code::InvalidArgument);
            assert_eq!(probe.status("ref").await, Ok(500), "it is kept");
        }
        let (answers, end) = probe.stream(vec![last(500, "")]).await;
        assert_eq!((answers.len(), end), (1, Code::Ok));
        assert_eq!((answers[0].action, answers[0].offset), (COMMIT, 500));
        assert!(answers[0].started_at.is_some());
        assert_eq!(probe.status("ref").await, Err(Code::NotFound));

        let known = sha256(&data).to_string();
        let with = |message, expected: &str| WriteContentRequest {
            expected: expected.to_owned(),
            ..message
        };
        let opened = probe.ends(vec![with(message("new"), &known)]).await;
        assert_eq!(opened, Code::AlreadyExists);
        for again in [commit("new", &data), with(commit("new", &data), &known)] {
            assert_eq!(
                probe.ends(vec![message("new"), again]).await,
                Code::AlreadyExists
            );
            assert_eq!(probe.status("new").await, Err(Code::NotFound));
        }
        let midway = vec![write("new", 0, &data), with(message("new"), &known)];
        assert_eq!(probe.ends(midway).await, Code::AlreadyExists);
        assert_eq!(probe.status("new").await, Err(Code::NotFound));
        let bad = probe.ends(vec![with(message("bad"), "zzz")]).await;
        assert_eq!(bad, probe.either(Code::Ok, Code::InvalidArgument));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_remembered_within_a_stream() {
    for probe in both() {
        let total = |total, message| WriteContentRequest { total, ..message };
        let data = sample(100, 5);
        let wrong = vec![total(50, write("ref", 0, &data)), {
            WriteContentRequest {
                offset: 100,
                ..commit("ref", &Bytes::new())
            }
        }];
        assert_eq!(probe.ends(wrong).await, Code::FailedPrecondition);
        let (answers, _) = probe.stream(vec![message("ref")]).await;
        assert_eq!(answers[0].total, 0, "this stream has said nothing");
        let (answers, _) = probe.stream(vec![total(999, message("ref"))]).await;
        assert_eq!((answers[0].offset, answers[0].total), (0, 999));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_at_most_16_mib() {
    for probe in both() {
        let most = sample((16 << 20) - 100, 6);
        assert_eq!(probe.ends(vec![write("ref", 0, &most)]).await, Code::Ok);
        let more = sample(17 << 20, 7);
        let refused = probe.ends(vec![write("ref", 0, &more)]).await;
        assert!(refused != Code::Ok, "{refused:?}");
        let length = i64::try_from(most.len()).unwrap();
        assert_eq!(probe.status("ref").await, Ok(length), "it is kept");
    }
}
