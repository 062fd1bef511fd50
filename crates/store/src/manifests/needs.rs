//! What a manifest needs before it is taken.

use std::collections::HashSet;

use regex::RegexSet;
use wharfinger_oci::{Descriptor, Manifest, ManifestKind, Platform, media};

use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;

/// What is asked of a manifest.
#[derive(Debug, Clone, Default)]
pub struct ManifestRules {
    /// Whether it is taken when what it refers to is not there.
    pub sparse: bool,
    /// From where layers may come that are in no registry.
    pub urls: UrlRules,
    /// Which manifests of an index have to be there.
    pub platforms: RequiredPlatforms,
}

/// Which manifests of an index have to be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RequiredPlatforms {
    /// All of them.
    #[default]
    All,
    /// None; they may be pushed later, or never.
    None,
    /// Those for one of these platforms, as `(architecture, os)`.
    Listed(Vec<(String, String)>),
}

impl RequiredPlatforms {
    fn require(&self, platform: Option<&Platform>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Listed(listed) => platform.is_some_and(|platform| {
                listed.iter().any(|(architecture, os)| {
                    *architecture == platform.architecture && *os == platform.os
                })
            }),
        }
    }
}

/// Which URLs a layer may have that is fetched from elsewhere. By default all with `http` or `https`.
#[derive(Debug, Clone, Default)]
pub struct UrlRules {
    /// One of these has to match; without them everything is allowed that is not denied.
    allow: Option<RegexSet>,
    /// None of these may match.
    deny: Option<RegexSet>,
}

impl UrlRules {
    /// Makes rules of regular expressions, which may match anywhere in a URL.
    ///
    /// # Errors
    /// Fails with the first expression that is malformed.
    pub fn new(allow: &[String], deny: &[String]) -> Result<Self, regex::Error> {
        let set = |patterns: &[String]| match patterns {
            [] => Ok(None),
            patterns => RegexSet::new(patterns).map(Some),
        };
        Ok(Self {
            allow: set(allow)?,
            deny: set(deny)?,
        })
    }

    fn are_given(&self) -> bool {
        self.allow.is_some() || self.deny.is_some()
    }

    fn take(&self, url: &str) -> bool {
        is_web(url)
            && self.allow.as_ref().is_none_or(|allow| allow.is_match(url))
            && !self.deny.as_ref().is_some_and(|deny| deny.is_match(url))
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

impl Repository {
    /// Looks for everything that the manifest refers to, in the storage and not in a cache.
    pub(super) async fn check_needs(&self, manifest: &Manifest) -> Result<()> {
        let rules = &self.shared.manifest_rules;
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for descriptor in manifest.references() {
            // Looking at what the system has cached never waits, and others want the thread, too.
            tokio::task::consume_budget().await;
            if self.is_elsewhere(descriptor)? || rules.sparse {
                continue;
            }
            let is_child = manifest.kind() == ManifestKind::Index;
            if is_child && !rules.platforms.require(descriptor.platform.as_ref()) {
                continue;
            }
            if !self.has(descriptor).await? && seen.insert(descriptor.digest) {
                missing.push(descriptor.digest);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.refused(ErrorKind::ManifestBlobsUnknown(missing)))
    }

    fn refused(&self, kind: ErrorKind) -> Error {
        Error::new(kind, format!("manifest in {}", self.name))
    }

    /// Tells whether whoever pulls this fetches it from elsewhere, so that nobody pushes it.
    fn is_elsewhere(&self, descriptor: &Descriptor) -> Result<bool> {
        if !media::is_nondistributable(&descriptor.media_type) {
            return Ok(false);
        }
        let rules = &self.shared.manifest_rules.urls;
        if rules.are_given()
            && let Some(url) = descriptor.urls.iter().find(|url| !rules.take(url))
        {
            return Err(self.refused(ErrorKind::ManifestUrlRefused(url.clone())));
        }
        Ok(descriptor.urls.iter().any(|url| is_web(url)))
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let links = if media::is_manifest(&descriptor.media_type) {
            self.revisions()
        } else {
            self.layers()
        };
        let Some(canonical) = links.resolve(&descriptor.digest).await? else {
            return Ok(false);
        };
        let found = self.shared.blobs.stat(&canonical).await?;
        // Bytes that nobody has hashed yet, and that have another size than the manifest says, are not it.
        Ok(found
            .is_some_and(|metadata| metadata.verified || metadata.size_bytes == descriptor.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> UrlRules {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        UrlRules::new(&owned(allow), &owned(deny)).unwrap()
    }

    #[test]
    fn what_is_allowed_and_not_denied_is_taken() {
        let cases: [(&[&str], &[&str], &str, bool); 8] = [
            (&[], &[], "https://a.example/x", true),
            (&[], &[], "ftp://a.example/x", false),
            (&["^https://a[.]example/"], &[], "https://a.example/x", true),
            (
                &["^https://a[.]example/"],
                &[],
                "https://b.example/x",
                false,
            ),
            (&["a", "b"], &[], "http://b", true),
            (&[], &["^http:"], "https://a", true),
            (&[], &["^http:"], "http://a", false),
            (&["example"], &["evil"], "https://evil.example", false),
        ];
        for (allow, deny, url, taken) in cases {
            assert_eq!(
                rules(allow, deny).take(url),
                taken,
                "{allow:?} {deny:?} {url}"
            );
        }
        assert!(UrlRules::new(&["(".to_owned()], &[]).is_err());
    }

    #[test]
    fn a_listed_platform_is_required_and_no_other() {
        let platform = |architecture: &str, os: &str| Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            ..Platform::default()
        };
        let listed = RequiredPlatforms::Listed(vec![("amd64".into(), "linux".into())]);
        assert!(listed.require(Some(&platform("amd64", "linux"))));
        assert!(!listed.require(Some(&platform("arm64", "linux"))));
        assert!(!listed.require(None));
        assert!(RequiredPlatforms::All.require(None));
        assert!(!RequiredPlatforms::None.require(Some(&platform("amd64", "linux"))));
    }
}
