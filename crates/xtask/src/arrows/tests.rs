//! A bad graph fails, a good one does not.

use std::path::PathBuf;

use super::*;
use crate::workspace::Dependency;

fn package(name: &str, dependencies: &[(&str, bool)]) -> Package {
    Package {
        name: name.to_owned(),
        directory: PathBuf::new(),
        dependencies: dependencies
            .iter()
            .map(|&(name, dev)| Dependency {
                name: name.to_owned(),
                dev,
            })
            .collect(),
        test_binaries: Vec::new(),
    }
}

/// Four crates with `changed` in place of the one of the same name.
fn graph(changed: Package) -> Vec<Package> {
    let mut packages = vec![
        package("wharfinger-oci", &[("serde", false)]),
        package("wharfinger-runtime", &[]),
        package("wharfinger-driver", &[("wharfinger-runtime", false)]),
        package("wharfinger-testkit", &[("wharfinger-oci", false)]),
        package(
            "wharfinger",
            &[("wharfinger-driver", false), ("wharfinger-testkit", true)],
        ),
    ];
    packages.retain(|package| package.name != changed.name);
    packages.push(changed);
    packages
}

#[test]
fn allowed_arrows_pass() {
    let driver = package(
        "wharfinger-driver",
        &[("wharfinger-runtime", false), ("bytes", false)],
    );
    assert_eq!(faults(&graph(driver)), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_is_named() {
    let oci = package("wharfinger-oci", &[("wharfinger-driver", false)]);
    assert_eq!(
        faults(&graph(oci)),
        ["`oci` depends on `driver`; it may depend on none of ours"]
    );
}

#[test]
fn a_forbidden_arrow_stays_forbidden_in_tests() {
    let driver = package("wharfinger-driver", &[("wharfinger-oci", true)]);
    assert_eq!(
        faults(&graph(driver)),
        ["`driver` dev-depends on `oci`; it may depend on runtime"]
    );
}

#[test]
fn testkit_is_for_tests_only() {
    let tests = package("wharfinger-runtime", &[("wharfinger-testkit", true)]);
    assert_eq!(faults(&graph(tests)), Vec::<String>::new());

    let code = package("wharfinger-runtime", &[("wharfinger-testkit", false)]);
    assert_eq!(
        faults(&graph(code)),
        ["`runtime` depends on `testkit`; it may depend on none of ours"]
    );
}

#[test]
fn a_crate_may_have_its_own_features_in_its_tests() {
    let driver = package("wharfinger-driver", &[("wharfinger-driver", true)]);
    assert_eq!(faults(&graph(driver)), Vec::<String>::new());
}

#[test]
fn a_crate_that_the_table_does_not_know_is_named() {
    let found = faults(&graph(package("wharfinger-extra", &[])));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("crate `extra` is not in the table"),
        "{found:?}"
    );
}

#[test]
fn the_table_points_only_upwards() {
    for (place, (name, allowed)) in ALLOWED.iter().enumerate() {
        for target in *allowed {
            let target_place = ALLOWED.iter().position(|(name, _)| name == target);
            assert!(
                target_place.is_some_and(|it| it < place),
                "{name} -> {target}"
            );
        }
    }
}
