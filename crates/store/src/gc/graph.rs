//! Marking from the tags of a repository: everything that they lead to, and nothing else.
//!
//! The way goes from an index to its children, from a manifest to its subject and to its referrers, as
//! far as the repository links them. Each manifest is gone through once, whatever the cycles.

use std::collections::{HashMap, HashSet};

use wharfinger_oci::Digest;

use crate::error::Result;
use crate::walk::{Listing, has_directory, names_in};

use super::mark::{Marking, Revision, Scope, link_in};

impl Marking<'_, '_> {
    /// Marks the manifests that tags lead to, and notes the others.
    pub(super) async fn mark_tagged(&mut self, scope: &Scope) -> Result<()> {
        let faults = self.faults();
        let mut there: HashMap<Digest, Vec<&Revision>> = HashMap::new();
        for revision in &scope.revisions {
            there.entry(revision.canonical).or_default().push(revision);
        }
        let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for canonical in there.keys() {
            let named = self.read_named(scope, canonical).await?;
            if let Some(subject) = named.and_then(|named| named.subject) {
                let subject = scope.canonical(&subject);
                referrers.entry(subject).or_default().push(*canonical);
            }
        }
        let mut left = self.tagged(scope).await?;
        let young = scope.revisions.iter().filter(|revision| revision.is_young);
        left.extend(young.map(|revision| revision.canonical));
        if self.faults() > faults {
            // Told once is enough, and nothing will be deleted.
            return Ok(());
        }
        let mut seen = HashSet::new();
        while let Some(canonical) = left.pop() {
            let Some(revisions) = there.get(&canonical) else {
                continue;
            };
            if !seen.insert(canonical) {
                continue;
            }
            for revision in revisions {
                self.mark_revision(scope, revision).await?;
            }
            let named = self
                .mark_named(scope, &canonical)
                .await?
                .unwrap_or_default();
            let further = named.children.iter().chain(&named.subject);
            left.extend(further.map(|digest| scope.canonical(digest)));
            left.extend(referrers.get(&canonical).into_iter().flatten());
        }
        let untagged = scope
            .revisions
            .iter()
            .filter(|revision| !seen.contains(&revision.canonical));
        let untagged: HashSet<Digest> = untagged.map(|revision| revision.digest).collect();
        if !untagged.is_empty() {
            self.untagged.insert(scope.directory.name.clone(), untagged);
        }
        Ok(())
    }

    /// Returns what the tags point at.
    async fn tagged(&mut self, scope: &Scope) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let Some(manifests) = &scope.directory.manifests else {
            return Ok(found);
        };
        let entries = names_in(self.driver, manifests).await?;
        let Some(tags) = has_directory(self.driver, manifests, &entries, "tags").await? else {
            return Ok(found);
        };
        let mut listing = Listing::new(self.driver, tags);
        while let Some((_, tag)) = listing.next_directory().await? {
            let entries = names_in(self.driver, &tag).await?;
            // A tag without it was never pushed to its end.
            let current = has_directory(self.driver, &tag, &entries, "current").await?;
            let Some(current) = current else { continue };
            let entries = names_in(self.driver, &current).await?;
            if entries.iter().any(|entry| entry.name == "link")
                && let Some(target) = self.read_link(&link_in(&current)).await?
            {
                found.push(scope.canonical(&target));
            }
        }
        Ok(found)
    }
}
