//! The service: each call of the wire on a [`ContentStore`].

mod reading;
mod update;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status as GrpcStatus, Streaming};
use wharfinger_runtime::Runtime;

use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filters;
use crate::proto;
use crate::proto::content_server::Content;
use crate::store::{ContentStore, ContentStores, Namespace};
use crate::wire::{digest, unsigned};

pub(crate) use self::reading::body;

/// 100 blobs go into one message of a list: more make it long, fewer make it slow.
const LISTED_AT_ONCE: usize = 100;

/// Whom a socket serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A containerd, which keeps namespaces, labels and leases itself and uses us as the place for its
    /// bytes. Nothing in a call tells a caller from another. What is not there is removed already.
    Plugin,
    /// Clients of containerd, who speak to us as if we were it: each call names its namespace.
    Direct,
}

/// The content service over some stores.
#[derive(Debug, Clone)]
pub struct Service {
    stores: Arc<dyn ContentStores>,
    mode: Mode,
    runtime: Runtime,
}

impl Service {
    /// Serves `stores` in a mode.
    #[must_use]
    pub fn new(stores: Arc<dyn ContentStores>, mode: Mode, runtime: Runtime) -> Self {
        Self {
            stores,
            mode,
            runtime,
        }
    }

    /// Returns the store that a call is about.
    fn store(&self, metadata: &MetadataMap) -> Result<Arc<dyn ContentStore>> {
        match self.mode {
            Mode::Plugin => Ok(self.stores.of(None)),
            Mode::Direct => Ok(self.stores.of(Some(&namespace(metadata)?))),
        }
    }

    /// In plugin mode what is not there is removed already: any error would end the garbage
    /// collection of the containerd that we serve.
    fn removed(&self, result: Result<()>) -> Result<Response<()>, GrpcStatus> {
        match result {
            Err(error) if error.kind() == ErrorKind::NotFound && self.mode == Mode::Plugin => {}
            other => other?,
        }
        Ok(Response::new(()))
    }
}

/// The namespace that a call names.
fn namespace(metadata: &MetadataMap) -> Result<Namespace> {
    let Some(value) = metadata.get("containerd-namespace") else {
        let message = "namespace is required: failed precondition";
        return Err(Error::new(ErrorKind::FailedPrecondition, message));
    };
    let invalid = |why: String| {
        let message = format!("namespace validation: {why}: invalid argument");
        Error::new(ErrorKind::InvalidArgument, message)
    };
    let text = value.to_str().map_err(|error| invalid(error.to_string()))?;
    text.parse::<Namespace>()
        .map_err(|error| invalid(error.to_string()))
}

/// A stream of answers.
type Answers<T> = BoxStream<'static, Result<T, GrpcStatus>>;

#[async_trait]
impl Content for Service {
    async fn info(
        &self,
        request: Request<proto::InfoRequest>,
    ) -> Result<Response<proto::InfoResponse>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let info = store.info(&digest(&request.get_ref().digest)?).await?;
        let info = Some(info.into());
        Ok(Response::new(proto::InfoResponse { info }))
    }

    async fn update(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::UpdateResponse>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let (digest, update) = update::read(request.into_inner())?;
        if self.mode == Mode::Direct {
            update::check_lengths(update.labels())?;
        }
        let info = Some(store.update(&digest, update).await?.into());
        Ok(Response::new(proto::UpdateResponse { info }))
    }

    type ListStream = Answers<proto::ListContentResponse>;

    async fn list(
        &self,
        request: Request<proto::ListContentRequest>,
    ) -> Result<Response<Self::ListStream>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let filters = Filters::parse(request.into_inner().filters)?;
        let blobs = store.list(filters).map_ok(proto::Info::from);
        let blocks = blobs.try_chunks(LISTED_AT_ONCE).map(|block| match block {
            Ok(info) => Ok(proto::ListContentResponse { info }),
            Err(error) => Err(error.1.into()),
        });
        Ok(Response::new(blocks.boxed()))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteContentRequest>,
    ) -> Result<Response<()>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let digest = digest(&request.get_ref().digest)?;
        self.removed(store.delete(&digest).await)
    }

    type ReadStream = Answers<proto::ReadContentResponse>;

    async fn read(
        &self,
        request: Request<proto::ReadContentRequest>,
    ) -> Result<Response<Self::ReadStream>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let proto::ReadContentRequest {
            digest: text,
            offset,
            size,
        } = request.into_inner();
        let digest = digest(&text)?;
        let length = (size > 0).then(|| unsigned(size));
        let pieces = store.read(&digest, unsigned(offset), length).await?;
        Ok(reading::answer(pieces))
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let status = Some(store.status(&request.get_ref().r#ref).await?.into());
        Ok(Response::new(proto::StatusResponse { status }))
    }

    async fn list_statuses(
        &self,
        request: Request<proto::ListStatusesRequest>,
    ) -> Result<Response<proto::ListStatusesResponse>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        let filters = Filters::parse(request.into_inner().filters)?;
        let statuses = store.statuses(&filters).await?;
        let statuses = statuses.into_iter().map(proto::Status::from).collect();
        Ok(Response::new(proto::ListStatusesResponse { statuses }))
    }

    type WriteStream = Answers<proto::WriteContentResponse>;

    async fn write(
        &self,
        request: Request<Streaming<proto::WriteContentRequest>>,
    ) -> Result<Response<Self::WriteStream>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        if self.mode == Mode::Direct && request.metadata().contains_key("containerd-lease") {
            // We keep none, so whichever it names is not there.
            let message = "lease does not exist: not found";
            return Err(Error::new(ErrorKind::NotFound, message).into());
        }
        let answers = write::start(store, self.mode, request.into_inner(), &self.runtime);
        Ok(Response::new(answers))
    }

    async fn abort(
        &self,
        request: Request<proto::AbortRequest>,
    ) -> Result<Response<()>, GrpcStatus> {
        let store = self.store(request.metadata())?;
        self.removed(store.abort(&request.get_ref().r#ref).await)
    }
}
