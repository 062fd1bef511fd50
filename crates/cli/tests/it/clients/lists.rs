//! Lists of tags and of repositories, whole and in pages.

use super::dock::Dock;
use super::layouts::plain;
use super::program::Program;
use crate::setup::machine;

/// The words of a client's answer, without what is not a name.
fn lines(output: &str) -> Vec<&str> {
    output
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect()
}

#[test]
fn every_client_lists_the_tags_in_order() {
    let mut dock = Dock::open("tags").unwrap();
    let programs = ["crane", "regctl", "oras", "skopeo"];
    let programs = programs.map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(crane), Some(regctl), Some(oras), Some(skopeo)] = programs else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("many/tags", "v00", 1530).unwrap();
    let tags: Vec<String> = (0..25).map(|number| format!("v{number:02}")).collect();
    for tag in &tags {
        dock.registry
            .push_manifest("many/tags", tag, &image.manifest)
            .unwrap();
    }
    let name = dock.name("many/tags");
    let host = plain(&name);

    assert_eq!(lines(&crane.run(&["ls", &name]).unwrap()), tags);
    let ls = ["--host", &host, "tag", "ls"];
    let all = regctl.run(&[&ls[..], &[&name]].concat()).unwrap();
    assert_eq!(lines(&all), tags);
    let page = ["--limit", "4", "--last", "v09", &name];
    let page = regctl.run(&[&ls[..], &page].concat()).unwrap();
    assert_eq!(lines(&page), tags[10..14]);
    let all = oras.run(&["repo", "tags", "--plain-http", &name]).unwrap();
    assert_eq!(lines(&all), tags);
    let name = format!("docker://{name}");
    let all = skopeo
        .run(&["list-tags", "--tls-verify=false", &name])
        .unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["Tags"], serde_json::json!(tags));
}

#[test]
fn every_client_lists_the_repositories_in_order() {
    let mut dock = Dock::open("catalog").unwrap();
    let programs = ["crane", "regctl", "oras"];
    let programs = programs.map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(crane), Some(regctl), Some(oras)] = programs else {
        return;
    };
    let _machine = machine();
    let names = ["a", "a/b", "a/b/c", "b", "c-d", "c/d"];
    for (seed, name) in (1540..).zip(names) {
        dock.has_image(name, "v1", seed).unwrap();
    }
    let served = dock.registry.catalog().unwrap();
    assert_eq!(served.len(), names.len(), "{served:?}");
    let host = dock.host();
    let plain = plain(&host);

    let all = crane.run(&["catalog", &host]).unwrap();
    assert_eq!(lines(&all), served);
    let ls = ["--host", &plain, "repo", "ls", &host];
    // regctl sorts by bytes what comes in the order of directories.
    let mut sorted = served.clone();
    sorted.sort();
    assert_eq!(lines(&regctl.run(&ls).unwrap()), sorted);
    let page = [&ls[..], &["--limit", "2", "--last", &served[1]]].concat();
    assert_eq!(lines(&regctl.run(&page).unwrap()), served[2..4]);
    let all = oras.run(&["repo", "ls", "--plain-http", &host]).unwrap();
    assert_eq!(lines(&all), served);
}
