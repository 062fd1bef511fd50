use wharfinger_store::RequiredPlatforms;

use crate::config::tests::{LEAST, faults, loaded};

fn with(more: &str) -> String {
    format!("{LEAST}{more}")
}

#[test]
fn pages_are_as_long_as_the_configuration_says() {
    let pages = |more: &str| {
        let pages = loaded(&with(more)).settings.pages;
        (pages.most_repositories, pages.most_tags)
    };
    assert_eq!(pages(""), (1000, 1000));
    assert_eq!(
        pages("catalog: {maxentries: 5}\ntags: {maxtags: 7}\n"),
        (5, 7)
    );
    assert_eq!(
        pages("catalog: {maxentries: -5}\ntags: {maxtags: 0}\n"),
        (1000, 1000)
    );
    let negative = faults(&with("tags: {maxtags: -1}\n"));
    assert!(
        negative.contains("`tags.maxtags` must be at least 0"),
        "{negative}"
    );
}

#[test]
fn platforms_are_required_as_the_configuration_says() {
    let rules = |indexes: &str| {
        let text = format!("validation: {{manifests: {{indexes: {indexes}}}}}\n");
        let loaded = loaded(&with(&text));
        let warned = loaded
            .warnings
            .iter()
            .any(|warning| warning.contains("indexes"));
        (loaded.settings.manifest_rules.platforms, warned)
    };
    let listed = RequiredPlatforms::Listed(vec![("arm64".into(), "linux".into())]);
    let list = "platformlist: [{architecture: arm64, os: linux}]";
    assert_eq!(rules("{platforms: ALL}"), (RequiredPlatforms::All, false));
    assert_eq!(rules("{platforms: None}"), (RequiredPlatforms::None, true));
    assert_eq!(
        rules(&format!("{{platforms: list, {list}}}")),
        (listed, true)
    );
    assert_eq!(rules("{platforms: list}"), (RequiredPlatforms::All, true));
    assert_eq!(
        rules(&format!("{{{list}}}")),
        (RequiredPlatforms::All, false)
    );
}

#[test]
fn validation_is_switched_off_unless_it_is_switched_on() {
    let platforms = |switches: &str| {
        let text = format!("validation: {{{switches}}}\n");
        loaded(&with(&text)).settings.manifest_rules.platforms
    };
    assert_eq!(platforms("disabled: true"), RequiredPlatforms::None);
    assert_eq!(
        platforms("disabled: true, enabled: true"),
        RequiredPlatforms::All
    );
    assert_eq!(platforms("enabled: false"), RequiredPlatforms::All);
}

#[test]
fn what_is_no_expression_and_no_platform_is_named() {
    let wrong = with(
        "validation:\n  manifests:\n    urls: {allow: ['^https:', '('], deny: x}\n    \
         indexes: {platforms: some, platformlist: [{os: linux}]}\n",
    );
    insta::assert_snapshot!(faults(&wrong), @r"
    config.yml:5:19: `validation.manifests.urls.allow` has `(`, which is no regular expression: unclosed group
    config.yml:5:43: `validation.manifests.urls.deny` takes a list of regular expressions
    config.yml:6:26: `validation.manifests.indexes.platforms` must be one of `all`, `none`, `list`, not `some`
    config.yml:6:46: `validation.manifests.indexes.platformlist` takes a list of `{architecture: …, os: …}`
    ");
}
