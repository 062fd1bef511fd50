//! Messages of the wire, sent as they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tonic::{Code, Request, Status, Streaming};
use wharfinger_content::proto::content_client::ContentClient;
use wharfinger_content::proto::{
    Info, InfoRequest, ReadContentRequest, StatusRequest, UpdateRequest, WriteContentRequest,
    WriteContentResponse,
};
use wharfinger_content::{Channel, Mode};
use wharfinger_runtime::Runtime;

use crate::subject::{local, serve};

pub(crate) const WRITE: i32 = 1;
pub(crate) const COMMIT: i32 = 2;

/// A stream of writes that stays open.
pub(crate) struct Session {
    messages: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
}

impl Session {
    /// Sends a message and waits for its answer.
    pub(crate) async fn send(
        &mut self,
        message: WriteContentRequest,
    ) -> Result<WriteContentResponse, Code> {
        // Whoever has ended says why in the answer.
        self.messages.send(message).await.ok();
        match self.answers.message().await {
            Ok(answer) => answer.ok_or(Code::Ok),
            Err(status) => Err(status.code()),
        }
    }
}

/// A socket, and a client that sends whatever it is told to.
pub(crate) struct Probe {
    pub(crate) client: ContentClient<Channel>,
    pub(crate) mode: Mode,
    _scratch: tempfile::TempDir,
}

pub(crate) fn both() -> [Probe; 2] {
    [Probe::new(Mode::Direct), Probe::new(Mode::Plugin)]
}

pub(crate) fn code<T>(result: Result<T, Status>) -> Code {
    result.map_or_else(|status| status.code(), |_| Code::Ok)
}

pub(crate) fn message(reference: &str) -> WriteContentRequest {
    WriteContentRequest {
        r#ref: reference.to_owned(),
        ..WriteContentRequest::default()
    }
}

pub(crate) fn write(reference: &str, offset: i64, data: &Bytes) -> WriteContentRequest {
    WriteContentRequest {
        action: WRITE,
        offset,
        data: data.clone(),
        ..message(reference)
    }
}

pub(crate) fn commit(reference: &str, data: &Bytes) -> WriteContentRequest {
    WriteContentRequest {
        action: COMMIT,
        ..write(reference, 0, data)
    }
}

pub(crate) fn labels(length: usize) -> BTreeMap<String, String> {
    [("k".to_owned(), "v".repeat(length - 1))].into()
}

impl Probe {
    pub(crate) fn new(mode: Mode) -> Self {
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

    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if self.mode == Mode::Direct {
            let namespace = "default".parse().unwrap();
            request
                .metadata_mut()
                .insert("containerd-namespace", namespace);
        }
        request
    }

    /// Which of two this mode gives.
    pub(crate) fn either<T>(&self, direct: T, plugin: T) -> T {
        match self.mode {
            Mode::Direct => direct,
            Mode::Plugin => plugin,
        }
    }

    pub(crate) async fn info(&self, digest: &str) -> Code {
        let digest = digest.to_owned();
        let request = self.request(InfoRequest { digest });
        code(self.client.clone().info(request).await)
    }

    /// Sends messages on one stream, closes it, and returns all answers and how it ended.
    pub(crate) async fn stream(
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

    /// Opens a stream.
    pub(crate) async fn session(&self) -> Session {
        let (messages, sent) = mpsc::channel(4);
        let sent = stream::unfold(sent, |mut sent| async move {
            sent.recv().await.map(|message| (message, sent))
        });
        let answers = self.client.clone().write(self.request(sent)).await;
        let answers = answers.unwrap().into_inner();
        Session { messages, answers }
    }

    pub(crate) async fn ends(&self, messages: Vec<WriteContentRequest>) -> Code {
        self.stream(messages).await.1
    }

    pub(crate) async fn status(&self, reference: &str) -> Result<i64, Code> {
        let r#ref = reference.to_owned();
        let request = self.request(StatusRequest { r#ref });
        let answer = self.client.clone().status(request).await;
        let answer = answer.map_err(|status| status.code())?;
        Ok(answer.into_inner().status.unwrap().offset)
    }

    pub(crate) async fn update(&self, info: Info, paths: Option<&[&str]>) -> Code {
        let request = self.request(UpdateRequest {
            info: Some(info),
            update_mask: paths.map(|paths| prost_types::FieldMask {
                paths: paths.iter().map(ToString::to_string).collect(),
            }),
        });
        code(self.client.clone().update(request).await)
    }

    pub(crate) async fn read(&self, digest: &str, offset: i64, size: i64) -> (usize, Code) {
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
