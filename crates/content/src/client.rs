//! The client: a content store that is reached over gRPC.

mod channel;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::{Code, Request, Status as GrpcStatus};
use wharfinger_oci::Digest;
use wharfinger_runtime::Tasks;

use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filters;
use crate::proto;
use crate::proto::content_client::ContentClient;
use crate::store::{
    ContentStore, ContentStores, ContentWriter, Info, LabelUpdate, Namespace, Open, Pieces, Status,
};
use crate::wire::{digest, signed, time, unsigned};

pub use self::channel::Channel;
use self::writer::RemoteWriter;

/// 32 MiB: a list of ingests is one message, of any length.
const MOST_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// A content store behind a Unix socket: ours, or a containerd's.
///
/// It connects when it is needed and again when the other side was away; a call that cannot be made
/// fails with `Unavailable` at once.
#[derive(Debug, Clone)]
pub struct Remote {
    client: ContentClient<Channel>,
    namespace: Option<Namespace>,
}

impl Remote {
    /// The store at `socket`. What runs beside the calls runs among `tasks`.
    #[must_use]
    pub fn new(socket: &Path, tasks: Tasks) -> Self {
        let origin = http::Uri::from_static("http://localhost");
        let client = ContentClient::with_origin(Channel::new(socket, tasks), origin);
        Self {
            client: client
                .max_decoding_message_size(MOST_MESSAGE_BYTES)
                .max_encoding_message_size(MOST_MESSAGE_BYTES),
            namespace: None,
        }
    }

    /// Returns the same store with every call in `namespace`.
    #[must_use]
    pub fn in_namespace(&self, namespace: &Namespace) -> Self {
        Self {
            namespace: Some(namespace.clone()),
            ..self.clone()
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(namespace) = &self.namespace {
            let value = namespace.as_str().parse();
            let value = value.expect("a namespace is of letters, digits and dots");
            request.metadata_mut().insert("containerd-namespace", value);
        }
        request
    }
}

impl ContentStores for Remote {
    fn of(&self, namespace: Option<&Namespace>) -> Arc<dyn ContentStore> {
        match namespace {
            Some(namespace) => Arc::new(self.in_namespace(namespace)),
            None => Arc::new(self.clone()),
        }
    }
}

impl From<GrpcStatus> for Error {
    fn from(status: GrpcStatus) -> Self {
        let kind = match status.code() {
            Code::NotFound => ErrorKind::NotFound,
            Code::AlreadyExists => ErrorKind::AlreadyExists,
            Code::InvalidArgument => ErrorKind::InvalidArgument,
            Code::FailedPrecondition => ErrorKind::FailedPrecondition,
            Code::OutOfRange => ErrorKind::OutOfRange,
            Code::Unavailable => ErrorKind::Unavailable,
            Code::Aborted | Code::Cancelled => ErrorKind::Aborted,
            Code::DataLoss => ErrorKind::DataLoss,
            Code::ResourceExhausted => ErrorKind::Full,
            Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
            Code::Unimplemented => ErrorKind::Unsupported,
            Code::Ok | Code::Unknown | Code::Internal | Code::DeadlineExceeded => {
                ErrorKind::Unknown
            }
        };
        Self::new(kind, status.message())
    }
}

/// What the other side has left out.
fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Unknown, format!("the answer has no {what}"))
}

fn read_info(info: Option<proto::Info>) -> Result<Info> {
    let info = info.ok_or_else(|| missing("info"))?;
    Ok(Info {
        digest: digest(&info.digest)?,
        size_bytes: unsigned(info.size),
        created_at: time(info.created_at),
        updated_at: time(info.updated_at),
        labels: info.labels,
    })
}

fn read_status(status: proto::Status) -> Status {
    Status {
        reference: status.r#ref,
        offset: unsigned(status.offset),
        total_bytes: unsigned(status.total),
        started_at: time(status.started_at),
        updated_at: time(status.updated_at),
    }
}

/// The update in the words of the wire.
fn update_request(digest: &Digest, update: LabelUpdate) -> proto::UpdateRequest {
    let (labels, paths) = match update {
        LabelUpdate::Replace(labels) => (labels, Vec::new()),
        LabelUpdate::Set(keys) => {
            let paths = keys.keys().map(|key| format!("labels.{key}")).collect();
            let set = keys.into_iter();
            let set = set.filter_map(|(key, value)| Some((key, value?)));
            (set.collect(), paths)
        }
    };
    proto::UpdateRequest {
        info: Some(proto::Info {
            digest: digest.to_string(),
            labels,
            ..proto::Info::default()
        }),
        update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
    }
}

#[async_trait]
impl ContentStore for Remote {
    async fn info(&self, digest: &Digest) -> Result<Info> {
        let digest = digest.to_string();
        let request = self.request(proto::InfoRequest { digest });
        let answer = self.client.clone().info(request).await?;
        read_info(answer.into_inner().info)
    }

    async fn update(&self, digest: &Digest, update: LabelUpdate) -> Result<Info> {
        if matches!(&update, LabelUpdate::Set(keys) if keys.is_empty()) {
            // An empty mask would mean all labels.
            return self.info(digest).await;
        }
        let request = self.request(update_request(digest, update));
        let answer = self.client.clone().update(request).await?;
        read_info(answer.into_inner().info)
    }

    fn list(&self, filters: Filters) -> BoxStream<'static, Result<Info>> {
        let filters = filters.texts().to_vec();
        let request = self.request(proto::ListContentRequest { filters });
        let mut client = self.client.clone();
        let answers = async move { client.list(request).await };
        let blocks = stream::once(answers).map_ok(tonic::Response::into_inner);
        let blocks = blocks.try_flatten().map_err(Error::from);
        blocks
            .map_ok(|block| stream::iter(block.info.into_iter().map(|info| read_info(Some(info)))))
            .try_flatten()
            .boxed()
    }

    async fn delete(&self, digest: &Digest) -> Result<()> {
        let digest = digest.to_string();
        let request = self.request(proto::DeleteContentRequest { digest });
        self.client.clone().delete(request).await?;
        Ok(())
    }

    async fn read(&self, digest: &Digest, offset: u64, length: Option<u64>) -> Result<Pieces> {
        if length == Some(0) {
            // On the wire this means to the end.
            self.info(digest).await?;
            return Ok(stream::empty().boxed());
        }
        let request = self.request(proto::ReadContentRequest {
            digest: digest.to_string(),
            offset: signed(offset),
            size: length.map_or(0, signed),
        });
        let mut answers = self.client.clone().read(request).await?.into_inner();
        // Some servers tell only with the first piece that there is none.
        let Some(first) = answers.message().await? else {
            return Ok(stream::empty().boxed());
        };
        let rest = answers.map_ok(|answer| answer.data).map_err(Error::from);
        let first = stream::once(std::future::ready(Ok::<Bytes, Error>(first.data)));
        Ok(first.chain(rest).boxed())
    }

    async fn status(&self, reference: &str) -> Result<Status> {
        let request = self.request(proto::StatusRequest {
            r#ref: reference.to_owned(),
        });
        let answer = self.client.clone().status(request).await?;
        let status = answer.into_inner().status;
        Ok(read_status(status.ok_or_else(|| missing("status"))?))
    }

    async fn statuses(&self, filters: &Filters) -> Result<Vec<Status>> {
        let filters = filters.texts().to_vec();
        let request = self.request(proto::ListStatusesRequest { filters });
        let answer = self.client.clone().list_statuses(request).await?;
        let statuses = answer.into_inner().statuses;
        Ok(statuses.into_iter().map(read_status).collect())
    }

    async fn abort(&self, reference: &str) -> Result<()> {
        let request = self.request(proto::AbortRequest {
            r#ref: reference.to_owned(),
        });
        self.client.clone().abort(request).await?;
        Ok(())
    }

    async fn open(&self, open: Open) -> Result<Box<dyn ContentWriter>> {
        Ok(Box::new(RemoteWriter::open(self.clone(), open).await?))
    }
}
