//! The local engine: a tenant of the store as a content store.

mod holders;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use wharfinger_oci::Digest;
use wharfinger_runtime::Runtime;
use wharfinger_store as store;
use wharfinger_store::{Claim, MAX_LABELS_BYTES, MAX_REFERENCE_BYTES, Tenant, TenantIngest};

use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filters;
use crate::store::{
    ContentStore, ContentStores, ContentWriter, Info, LabelUpdate, Labels, Namespace, Open, Pieces,
    Status,
};

use self::holders::Holders;
use self::writer::LocalWriter;

/// 100 claims are read at a time while they are listed.
const PAGE: usize = 100;

/// A tenant of a store, with all its namespaces.
///
/// Whoever serves one tenant on several ways does so from clones of one of these: they know of each
/// other's writers.
#[derive(Debug, Clone)]
pub struct Local {
    tenant: Tenant,
    holders: Arc<Holders>,
    runtime: Runtime,
    share: bool,
}

impl Local {
    /// Serves `tenant`. With `share`, a blob that the store has and the tenant has no claim to becomes
    /// the tenant's when it is asked for by its digest.
    #[must_use]
    pub fn new(tenant: Tenant, runtime: Runtime, share: bool) -> Self {
        let holders = Arc::new(Holders::new(Arc::clone(&runtime.clock)));
        Self {
            tenant,
            holders,
            runtime,
            share,
        }
    }

    /// Returns a namespace of the tenant.
    #[must_use]
    pub fn namespace(&self, namespace: &Namespace) -> Self {
        Self {
            tenant: self.tenant.namespace(namespace),
            ..self.clone()
        }
    }

    /// Sees to it that all claims hold their bytes.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn mend(&self) -> Result<usize> {
        Ok(self.tenant.mend().await?)
    }

    fn not_found(digest: &Digest) -> Error {
        Error::new(ErrorKind::NotFound, format!("content {digest}: not found"))
    }

    /// Says of what is not found what it is.
    fn about(digest: &Digest, error: store::Error) -> Error {
        match error.kind() {
            store::ErrorKind::BlobUnknown => Self::not_found(digest),
            _ => error.into(),
        }
    }

    /// Claims what the store has, if that is how the tenant is served.
    async fn adopt(&self, digest: &Digest) -> Result<Claim> {
        if !self.share {
            return Err(Self::not_found(digest));
        }
        let adopted = self.tenant.adopt(digest).await;
        adopted.map_err(|error| Self::about(digest, error))
    }

    /// Whether the tenant has a blob.
    async fn has(&self, digest: &Digest) -> Result<bool> {
        match self.tenant.claim(digest).await {
            Ok(_) => Ok(true),
            Err(error) if *error.kind() == store::ErrorKind::BlobUnknown => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl ContentStores for Local {
    fn of(&self, namespace: Option<&Namespace>) -> Arc<dyn ContentStore> {
        match namespace {
            Some(namespace) => Arc::new(self.namespace(namespace)),
            None => Arc::new(self.clone()),
        }
    }
}

/// Refuses labels that no claim can keep.
fn check_labels(labels: &Labels) -> Result<()> {
    let bytes: usize = labels
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > MAX_LABELS_BYTES {
        let message = format!("labels of {bytes} bytes are more than {MAX_LABELS_BYTES}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(())
}

fn check_reference(reference: &str) -> Result<()> {
    let refused = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
    match reference.len() {
        0 => refused("a reference must not be empty".to_owned()),
        length if length > MAX_REFERENCE_BYTES => {
            refused(format!("a reference of {length} bytes is too long"))
        }
        _ => Ok(()),
    }
}

fn no_ingest(reference: &str) -> Error {
    // What was asked for may be long.
    let shown: String = reference.chars().take(200).collect();
    Error::new(ErrorKind::NotFound, format!("reference {shown}: not found"))
}

impl From<Claim> for Info {
    fn from(claim: Claim) -> Self {
        Self {
            digest: claim.digest,
            size_bytes: claim.size_bytes,
            created_at: claim.created_at,
            updated_at: claim.updated_at,
            labels: claim.labels,
        }
    }
}

impl From<TenantIngest> for Status {
    fn from(ingest: TenantIngest) -> Self {
        Self {
            reference: ingest.reference,
            offset: ingest.offset,
            total_bytes: ingest.total_bytes,
            started_at: ingest.started_at,
            updated_at: ingest.updated_at,
        }
    }
}

#[async_trait]
impl ContentStore for Local {
    async fn info(&self, digest: &Digest) -> Result<Info> {
        match self.tenant.claim(digest).await {
            Ok(claim) => Ok(claim.into()),
            Err(error) if *error.kind() == store::ErrorKind::BlobUnknown => {
                Ok(self.adopt(digest).await?.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn update(&self, digest: &Digest, update: LabelUpdate) -> Result<Info> {
        let changed = self.tenant.relabel(digest, |labels| {
            update.apply(labels);
            check_labels(labels)
        });
        match changed.await {
            Ok(claim) => Ok(claim.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Self::not_found(digest)),
            Err(error) => Err(error),
        }
    }

    fn list(&self, filters: Filters) -> BoxStream<'static, Result<Info>> {
        let tenant = self.tenant.clone();
        let pages = stream::try_unfold(Some(None), move |after| {
            let tenant = tenant.clone();
            async move {
                let Some(after) = after else {
                    return Ok::<_, Error>(None);
                };
                let after: Option<Digest> = after;
                let page = tenant
                    .claims(after.as_ref(), PAGE)
                    .await
                    .map_err(Error::from)?;
                let claims = stream::iter(page.claims.into_iter().map(Ok::<_, Error>));
                Ok(Some((claims, page.next.map(Some))))
            }
        });
        let passing = pages.try_flatten().map_ok(Info::from);
        passing
            .try_filter(move |info| std::future::ready(filters.pass(info)))
            .boxed()
    }

    async fn delete(&self, digest: &Digest) -> Result<()> {
        let dropped = self.tenant.unclaim(digest).await;
        dropped.map_err(|error| Self::about(digest, error))
    }

    async fn read(&self, digest: &Digest, offset: u64, length: Option<u64>) -> Result<Pieces> {
        let mut read = self.tenant.read(digest, offset, length).await;
        if let Err(error) = &read
            && *error.kind() == store::ErrorKind::BlobUnknown
        {
            self.adopt(digest).await?;
            read = self.tenant.read(digest, offset, length).await;
        }
        let read = read.map_err(|error| Self::about(digest, error))?;
        Ok(read.bytes.map_err(Error::from).boxed())
    }

    async fn status(&self, reference: &str) -> Result<Status> {
        if let Some(open) = self.holders.status(&self.tenant, reference) {
            return Ok(open);
        }
        match self.tenant.ingest(reference).await {
            Ok(ingest) => Ok(ingest.into()),
            Err(error) if *error.kind() == store::ErrorKind::UploadUnknown => {
                Err(no_ingest(reference))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn statuses(&self, filters: &Filters) -> Result<Vec<Status>> {
        let saved = self.tenant.list_ingests().await?;
        let open = self.holders.statuses(&self.tenant);
        let mut all: Vec<Status> = open.collect();
        let known: std::collections::HashSet<String> =
            all.iter().map(|status| status.reference.clone()).collect();
        let saved = saved.into_iter().map(Status::from);
        all.extend(saved.filter(|status| !known.contains(&status.reference)));
        all.retain(|status| filters.pass(status));
        Ok(all)
    }

    async fn abort(&self, reference: &str) -> Result<()> {
        if self.holders.abort(&self.tenant, reference).await? {
            return Ok(());
        }
        match self.tenant.abort_ingest(reference).await {
            Err(error) if *error.kind() == store::ErrorKind::UploadUnknown => {
                Err(no_ingest(reference))
            }
            aborted => Ok(aborted?),
        }
    }

    async fn open(&self, open: Open) -> Result<Box<dyn ContentWriter>> {
        check_reference(&open.reference)?;
        let (held, mut room) = self.holders.hold(&self.tenant, &open.reference)?;
        if let Some(expected) = &open.expected
            && self.has(expected).await?
        {
            let message = format!("content {expected}: already exists");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let opened = self.tenant.open_ingest(&open.reference, open.total_bytes);
        let (mut writer, ingest) = opened.await?;
        if let Some(expected) = &open.expected {
            writer.announce(expected.algorithm()).await;
        }
        let digest = writer.write_through(bytes::Bytes::new()).await?;
        held.tell(&ingest);
        *room = Some(writer);
        drop(room);
        Ok(Box::new(LocalWriter::new(
            self.clone(),
            held,
            ingest,
            digest,
        )))
    }
}
