//! `validation`, `catalog` and `tags`: what is asked of manifests, and how long pages are.

use wharfinger_server::{DEFAULT_MOST_REPOSITORIES, DEFAULT_MOST_TAGS, Pages};
use wharfinger_store::{ManifestRules, RequiredPlatforms, UrlRules};

use super::check::{Findings, Value};
use super::fault::quote;
use super::tree::{Content, Entry, Node};

/// The key that `list` makes count.
const PLATFORM_LIST: &str = "validation.manifests.indexes.platformlist";

/// The words of `validation.manifests.indexes.platforms`.
pub(crate) const PLATFORM_WORDS: &[&str] = &["all", "none", "list"];

/// Reads a list of regular expressions.
pub(crate) fn patterns(name: &str, node: &Node) -> Result<Value, String> {
    let mut patterns = Vec::new();
    for item in items(name, node, "regular expressions")? {
        let Content::Scalar(scalar) = &item.content else {
            return Err(format!("`{name}` takes a list of regular expressions"));
        };
        // Tried one by one, so that the message names the one that is wrong.
        if let Err(error) = UrlRules::new(std::slice::from_ref(&scalar.text), &[]) {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let pattern = quote(&scalar.text);
            return Err(format!(
                "`{name}` has {pattern}, which is no regular expression: {reason}"
            ));
        }
        patterns.push(scalar.text.clone());
    }
    Ok(Value::Patterns(patterns))
}

/// Reads a list of platforms, each with its architecture and operating system.
pub(crate) fn platforms(name: &str, node: &Node) -> Result<Value, String> {
    let wanted = || format!("`{name}` takes a list of `{{architecture: …, os: …}}`");
    let mut platforms = Vec::new();
    for item in items(name, node, "platforms")? {
        let Content::Map(entries) = &item.content else {
            return Err(wanted());
        };
        let known = |entry: &Entry| matches!(entry.key.as_str(), "architecture" | "os");
        if let Some(other) = entries.iter().find(|entry| !known(entry)) {
            return Err(format!(
                "`{name}` has the unknown key {}",
                quote(&other.key)
            ));
        }
        let text = |key: &str| match item.get(key).map(|node| &node.content) {
            Some(Content::Scalar(scalar)) if !scalar.text.is_empty() => Ok(scalar.text.clone()),
            _ => Err(wanted()),
        };
        platforms.push((text("architecture")?, text("os")?));
    }
    Ok(Value::Platforms(platforms))
}

fn items<'a>(name: &str, node: &'a Node, what: &str) -> Result<&'a [Node], String> {
    match &node.content {
        Content::List(items) => Ok(items),
        _ => Err(format!("`{name}` takes a list of {what}")),
    }
}

impl Findings {
    /// Says what the given values mean where they mean something else than they seem to.
    pub(crate) fn check_validation(&mut self) {
        let lists = matches!(self.values.get(PLATFORM_LIST), Some(Value::Platforms(list)) if !list.is_empty());
        let warning = match self.platforms() {
            "list" if !lists => {
                "`validation.manifests.indexes.platforms: list` without a `platformlist` asks for all platforms"
            }
            "list" | "none" => {
                "manifests of an index may be missing, as `validation.manifests.indexes` says: clients that ask for them fail"
            }
            _ => return,
        };
        self.warnings.push(warning.to_owned());
    }

    fn platforms(&self) -> &str {
        match self.values.get("validation.manifests.indexes.platforms") {
            Some(Value::Text(word)) => word,
            _ => "all",
        }
    }

    fn flag(&self, path: &str) -> bool {
        matches!(self.values.get(path), Some(Value::Bool(true)))
    }

    fn list(&self, path: &str) -> &[String] {
        match self.values.get(path) {
            Some(Value::Patterns(patterns)) => patterns,
            _ => &[],
        }
    }

    /// What is asked of manifests.
    pub(crate) fn manifest_rules(&self) -> ManifestRules {
        let sparse = self.flag("wharfinger.manifests.sparse");
        if self.flag("validation.disabled") && !self.flag("validation.enabled") {
            return ManifestRules {
                sparse,
                urls: UrlRules::default(),
                platforms: RequiredPlatforms::None,
            };
        }
        let allow = self.list("validation.manifests.urls.allow");
        let deny = self.list("validation.manifests.urls.deny");
        let listed = match self.values.get(PLATFORM_LIST) {
            Some(Value::Platforms(listed)) => listed.clone(),
            _ => Vec::new(),
        };
        ManifestRules {
            sparse,
            urls: UrlRules::new(allow, deny).expect("each expression was tried"),
            platforms: match self.platforms() {
                "none" => RequiredPlatforms::None,
                "list" if !listed.is_empty() => RequiredPlatforms::Listed(listed),
                _ => RequiredPlatforms::All,
            },
        }
    }

    /// How long pages are.
    pub(crate) fn pages(&self) -> Pages {
        let number = |path: &str, default: usize| match self.values.get(path) {
            Some(Value::Integer(given)) if *given > 0 => {
                usize::try_from(*given).unwrap_or(usize::MAX)
            }
            _ => default,
        };
        Pages {
            most_repositories: number("catalog.maxentries", DEFAULT_MOST_REPOSITORIES),
            most_tags: number("tags.maxtags", DEFAULT_MOST_TAGS),
        }
    }
}

#[cfg(test)]
mod tests;
