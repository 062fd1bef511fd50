//! Marking what is needed.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, EntryKind, ErrorKind as DriverErrorKind,
};
use wharfinger_oci::{
    Algorithm, Descriptor, Digest, MAX_MANIFEST_BYTES, Manifest, ManifestError, schema1_layers,
};

use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::links::parse_link;
use crate::walk::{
    Listing, Missing, Repositories, RepositoryDirectory, digest_of, has_directory, names_in,
    storage,
};

use super::marks::DigestSet;
use super::{GarbageEvent, GarbageEvents, GarbageOptions, GarbageReport, unsure};

/// 100 faults are told; whoever has more has another problem.
const MOST_FAULTS: u64 = 100;

/// What is needed, as far as it is known.
pub(super) struct Marking<'a, 'e> {
    pub(super) driver: &'a dyn Driver,
    options: GarbageOptions,
    /// What was linked after this is kept, if young links are.
    young_after: Option<SystemTime>,
    events: &'a mut GarbageEvents<'e>,
    pub(super) marks: DigestSet,
    pub(super) untagged: Untagged,
    report: GarbageReport,
    faults: u64,
}

/// The manifests that no tag leads to, by the repository's name.
pub(super) type Untagged = HashMap<String, HashSet<Digest>>;

/// A repository while it is marked.
pub(super) struct Scope {
    pub(super) directory: RepositoryDirectory,
    pub(super) revisions: Vec<Revision>,
    /// Digests whose bytes lie under another one.
    aliases: HashMap<Digest, Digest>,
}

/// A manifest that a repository links.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) digest: Digest,
    /// The digest that its bytes lie under.
    pub(super) canonical: Digest,
    /// Where the signatures of a manifest of schema 1 are linked.
    signatures: Option<DriverPath>,
    pub(super) is_young: bool,
}

/// What a manifest names.
#[derive(Debug, Default)]
pub(super) struct Named {
    blobs: Vec<Digest>,
    pub(super) children: Vec<Digest>,
    pub(super) subject: Option<Digest>,
}

impl Scope {
    /// Returns the digest that the bytes of `digest` lie under.
    pub(super) fn canonical(&self, digest: &Digest) -> Digest {
        self.aliases.get(digest).copied().unwrap_or(*digest)
    }
}

impl<'a, 'e> Marking<'a, 'e> {
    pub(super) fn new(
        driver: &'a dyn Driver,
        options: GarbageOptions,
        cutoff: SystemTime,
        events: &'a mut GarbageEvents<'e>,
    ) -> Self {
        Self {
            driver,
            options,
            young_after: (!options.keep_younger.is_zero()).then_some(cutoff),
            events,
            marks: DigestSet::default(),
            untagged: Untagged::new(),
            report: GarbageReport::default(),
            faults: 0,
        }
    }

    /// Marks what all repositories and tenants need.
    pub(super) async fn mark_all(&mut self) -> Result<()> {
        let mut repositories = Repositories::open(self.driver, Missing::Fails).await?;
        while let Some(directory) = repositories.next().await? {
            if directory.manifests.is_some() {
                self.report.repositories += 1;
            }
            self.mark_repository(directory).await?;
        }
        if self.report.repositories == 0 {
            // Whoever has blobs and no repositories looks at the wrong place.
            let root = layout::repositories();
            return Err(Error::new(ErrorKind::RepositoryUnknown, root.to_string()));
        }
        self.mark_claims().await
    }

    /// Returns what is marked, if that is certain.
    pub(super) fn finish(self) -> Result<(DigestSet, Untagged, GarbageReport)> {
        if self.faults > 0 {
            return Err(unsure(self.faults));
        }
        let mut report = self.report;
        report.marked = self.marks.len() as u64;
        let untagged = self.untagged.values().map(|digests| digests.len() as u64);
        report.untagged = untagged.sum();
        Ok((self.marks, self.untagged, report))
    }

    async fn mark_repository(&mut self, directory: RepositoryDirectory) -> Result<()> {
        (self.events)(GarbageEvent::Repository {
            name: &directory.name,
        });
        let revisions = self.revisions(&directory).await?;
        let aliases = revisions
            .iter()
            .filter(|revision| revision.digest != revision.canonical)
            .map(|revision| (revision.digest, revision.canonical))
            .collect();
        let mut scope = Scope {
            directory,
            revisions,
            aliases,
        };
        self.mark_layers(&mut scope).await?;
        if self.options.delete_untagged {
            return self.mark_tagged(&scope).await;
        }
        for revision in &scope.revisions {
            self.mark_revision(&scope, revision).await?;
            self.mark_named(&scope, &revision.canonical).await?;
        }
        Ok(())
    }

    /// Returns the manifests that a repository links.
    async fn revisions(&mut self, directory: &RepositoryDirectory) -> Result<Vec<Revision>> {
        let mut revisions = Vec::new();
        let Some(manifests) = &directory.manifests else {
            return Ok(revisions);
        };
        let entries = names_in(self.driver, manifests).await?;
        let root = has_directory(self.driver, manifests, &entries, "revisions").await?;
        let Some(root) = root else {
            return Ok(revisions);
        };
        let mut algorithms = Listing::new(self.driver, root);
        while let Some((name, path)) = algorithms.next_directory().await? {
            let Ok(algorithm) = name.parse::<Algorithm>() else {
                self.fault(&path, "manifests under an algorithm that is not known")?;
                continue;
            };
            let mut listing = Listing::new(self.driver, path);
            while let Some((hex, path)) = listing.next_directory().await? {
                let Some(digest) = digest_of(algorithm, &hex) else {
                    let entries = names_in(self.driver, &path).await?;
                    if entries.iter().any(|entry| entry.name == "link") {
                        self.fault(&path, "what is no digest has the link of a manifest; remove the directory if it is not needed")?;
                    }
                    continue;
                };
                revisions.extend(self.revision(digest, path).await?);
            }
        }
        Ok(revisions)
    }

    /// Returns the manifest that is linked in the directory `path`, if one is.
    async fn revision(&mut self, digest: Digest, path: DriverPath) -> Result<Option<Revision>> {
        let entries = names_in(self.driver, &path).await?;
        if !entries.iter().any(|entry| entry.name == "link") {
            return Ok(None);
        }
        let signatures = has_directory(self.driver, &path, &entries, "signatures").await?;
        let link = link_in(&path);
        let Some(canonical) = self.read_link(&link).await? else {
            return Ok(None);
        };
        if canonical != digest && canonical.algorithm() == digest.algorithm() {
            self.fault(&link, "the link names another digest than its own")?;
            return Ok(None);
        }
        Ok(Some(Revision {
            digest,
            canonical,
            signatures,
            is_young: is_young(self.driver, self.young_after, &link).await?,
        }))
    }

    /// Finds the bytes that are linked under another digest than their own, and marks what is young and
    /// what tarsum digests stand for.
    async fn mark_layers(&mut self, scope: &mut Scope) -> Result<()> {
        let Some(layers) = scope.directory.layers.clone() else {
            return Ok(());
        };
        let mut algorithms = Listing::new(self.driver, layers);
        while let Some((name, path)) = algorithms.next_directory().await? {
            if name == "tarsum" {
                self.mark_tarsums(scope, path).await?;
                continue;
            }
            let Ok(algorithm) = name.parse::<Algorithm>() else {
                continue;
            };
            if algorithm == Algorithm::Sha256 && self.young_after.is_none() {
                // These bytes lie where their link says.
                continue;
            }
            let mut listing = Listing::new(self.driver, path);
            while let Some((hex, path)) = listing.next_directory().await? {
                if let Some(digest) = digest_of(algorithm, &hex) {
                    self.look_at_layer(scope, digest, &path).await?;
                }
            }
        }
        Ok(())
    }

    async fn look_at_layer(
        &mut self,
        scope: &mut Scope,
        digest: Digest,
        path: &DriverPath,
    ) -> Result<()> {
        let entries = names_in(self.driver, path).await?;
        if !entries.iter().any(|entry| entry.name == "link") {
            return Ok(());
        }
        let link = link_in(path);
        if digest.algorithm() != Algorithm::Sha256 {
            let Some(canonical) = self.read_link(&link).await? else {
                return Ok(());
            };
            if canonical.algorithm() != digest.algorithm() {
                scope.aliases.insert(digest, canonical);
            }
        }
        if is_young(self.driver, self.young_after, &link).await? {
            self.mark(scope, &digest);
        }
        Ok(())
    }

    /// Marks what `tarsum/VERSION/ALG/HEX/link` name: which manifests need it, nobody has to ask.
    async fn mark_tarsums(&mut self, scope: &Scope, path: DriverPath) -> Result<()> {
        let mut versions = Listing::new(self.driver, path);
        while let Some((_, path)) = versions.next_directory().await? {
            self.mark_links(scope, path).await?;
        }
        Ok(())
    }

    /// Marks what `ALG/HEX/link` below `path` name.
    async fn mark_links(&mut self, scope: &Scope, path: DriverPath) -> Result<()> {
        let mut algorithms = Listing::new(self.driver, path);
        while let Some((_, path)) = algorithms.next_directory().await? {
            let mut listing = Listing::new(self.driver, path);
            while let Some((_, path)) = listing.next_directory().await? {
                let entries = names_in(self.driver, &path).await?;
                if entries.iter().any(|entry| entry.name == "link")
                    && let Some(digest) = self.read_link(&link_in(&path)).await?
                {
                    self.mark(scope, &digest);
                }
            }
        }
        Ok(())
    }

    /// Marks a manifest itself, and its signatures.
    pub(super) async fn mark_revision(&mut self, scope: &Scope, revision: &Revision) -> Result<()> {
        self.report.manifests += 1;
        (self.events)(GarbageEvent::ManifestMarked {
            repository: &scope.directory.name,
            digest: &revision.digest,
        });
        self.marks.insert(&revision.digest);
        self.marks.insert(&revision.canonical);
        match &revision.signatures {
            Some(path) => self.mark_links(scope, path.clone()).await,
            None => Ok(()),
        }
    }

    /// Marks what the manifest names whose bytes lie under `canonical`, and returns it; `None` when it
    /// cannot be read.
    pub(super) async fn mark_named(
        &mut self,
        scope: &Scope,
        canonical: &Digest,
    ) -> Result<Option<Named>> {
        let named = self.read_named(scope, canonical).await?;
        for digest in named
            .iter()
            .flat_map(|named| named.blobs.iter().chain(&named.children))
        {
            self.mark(scope, digest);
        }
        Ok(named)
    }

    /// Marks a digest and, where its bytes lie under another one, that.
    fn mark(&mut self, scope: &Scope, digest: &Digest) {
        let canonical = scope.canonical(digest);
        for digest in [digest, &canonical] {
            if self.marks.insert(digest) {
                (self.events)(GarbageEvent::BlobMarked {
                    repository: &scope.directory.name,
                    digest,
                });
            }
        }
    }

    /// Reads a manifest. What is wrong with it is told, and then it names nothing that is known.
    pub(super) async fn read_named(
        &mut self,
        scope: &Scope,
        canonical: &Digest,
    ) -> Result<Option<Named>> {
        let path = layout::blob_data(canonical);
        let name = &scope.directory.name;
        let bytes = match self.driver.get(&path, MAX_MANIFEST_BYTES as u64).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == DriverErrorKind::NotFound => {
                let why = format!(
                    "the manifest is missing; push it again to {name}, or delete it there by its digest"
                );
                return self.fault(&path, &why).map(|()| None);
            }
            Err(error) if error.kind() == DriverErrorKind::TooLarge => {
                let why = format!("what {name} links as a manifest is too large for one");
                return self.fault(&path, &why).map(|()| None);
            }
            Err(error) => return Err(storage(&path, error)),
        };
        if Digest::of(canonical.algorithm(), &bytes) != *canonical {
            let why = format!(
                "the manifest is damaged; push it again to {name}, or delete it there by its digest"
            );
            return self.fault(&path, &why).map(|()| None);
        }
        match named_by(&bytes) {
            Ok(named) => Ok(Some(named)),
            Err(error) => {
                let why = format!("{error}; delete it by its digest from {name}");
                self.fault(&path, &why).map(|()| None)
            }
        }
    }

    /// Reads a link that was listed; `None`, and a fault, when it holds no digest.
    pub(super) async fn read_link(&mut self, path: &DriverPath) -> Result<Option<Digest>> {
        let content = self.driver.get_small(path).await;
        let content = content.map_err(|error| storage(path, error))?;
        let digest = parse_link(&content);
        if digest.is_none() {
            self.fault(
                path,
                "the link holds no digest; remove the file if it is not needed",
            )?;
        }
        Ok(digest)
    }

    /// Tells of something that is in the way of certainty.
    fn fault(&mut self, path: &DriverPath, why: &str) -> Result<()> {
        (self.events)(GarbageEvent::Unsure { path, why });
        self.faults += 1;
        if self.faults >= MOST_FAULTS {
            return Err(unsure(self.faults));
        }
        Ok(())
    }

    /// How many faults there were.
    pub(super) fn faults(&self) -> u64 {
        self.faults
    }
}

async fn is_young(
    driver: &dyn Driver,
    young_after: Option<SystemTime>,
    link: &DriverPath,
) -> Result<bool> {
    let Some(young_after) = young_after else {
        return Ok(false);
    };
    let metadata = driver.stat(link).await;
    let metadata = metadata.map_err(|error| storage(link, error))?;
    Ok(metadata.kind == EntryKind::File && metadata.modified > young_after)
}

/// `link` in the directory of a link.
pub(super) fn link_in(path: &DriverPath) -> DriverPath {
    path.join("link").expect("a plain word is a path")
}

/// Returns what a manifest names.
fn named_by(bytes: &bytes::Bytes) -> Result<Named, ManifestError> {
    let manifest = match Manifest::parse_stored(bytes.clone()) {
        Ok(manifest) => manifest,
        Err(ManifestError::Schema1) => {
            // A tarsum digest is no name of bytes: its link is, and that is marked in any case.
            let layers = schema1_layers(bytes)?;
            return Ok(Named {
                blobs: layers
                    .iter()
                    .filter_map(|layer| layer.parse().ok())
                    .collect(),
                ..Named::default()
            });
        }
        Err(error) => return Err(error),
    };
    let digests = |descriptors: &[Descriptor]| -> Vec<Digest> {
        descriptors.iter().map(|found| found.digest).collect()
    };
    let mut blobs = digests(manifest.layers());
    blobs.extend(manifest.config().map(|config| config.digest));
    Ok(Named {
        blobs,
        children: digests(manifest.manifests()),
        subject: manifest.subject().map(|subject| subject.digest),
    })
}
