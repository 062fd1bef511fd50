//! The dependencies between our own crates, held against the one table that allows them.
//!
//! An arrow that is not in the table fails the check, and so does a crate that is not: a new crate
//! is a decision, made here.

#[cfg(test)]
mod tests;

use anyhow::Result;

use crate::report;
use crate::workspace::{Package, Workspace};

/// What each crate may depend on, by the names of the directories in `crates/`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("runtime", &[]),
    ("driver", &["runtime"]),
    ("store", &["oci", "runtime", "driver"]),
    ("net", &["oci", "runtime"]),
    ("auth", &["oci", "runtime", "net"]),
    // The driver is for its tests, which make stores.
    ("content", &["oci", "runtime", "driver", "store"]),
    ("client", &["oci", "runtime", "net"]),
    (
        "server",
        &["oci", "runtime", "driver", "store", "net", "auth", "client"],
    ),
    ("backends", &["runtime", "driver", "store", "net"]),
    (
        "cli",
        &[
            "oci", "runtime", "driver", "store", "net", "auth", "content", "client", "server",
            "backends",
        ],
    ),
    ("testkit", &["oci", "driver"]),
    ("xtask", &[]),
];

/// What every crate's tests may use beside what the crate itself may.
const FOR_TESTS: &[&str] = &["testkit"];

/// Fails on any arrow that the table does not allow.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    report::settle("arrows", &faults(&workspace.packages))
}

/// Names every arrow, and every crate, that the table does not know.
fn faults(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let from = short(&package.name);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else {
            faults.push(format!(
                "crate `{from}` is not in the table of crates/xtask/src/arrows.rs: say there what \
                 it may depend on"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let to = short(&dependency.name);
            let ours = packages.iter().any(|other| other.name == dependency.name);
            // A crate names itself in its dev-dependencies to have its own features in its tests.
            let for_tests = dependency.dev && (FOR_TESTS.contains(&to) || to == from);
            if ours && !allowed.contains(&to) && !for_tests {
                let kind = if dependency.dev {
                    "dev-depends"
                } else {
                    "depends"
                };
                faults.push(format!(
                    "`{from}` {kind} on `{to}`; it may depend on {}",
                    if allowed.is_empty() {
                        "none of ours".to_owned()
                    } else {
                        allowed.join(", ")
                    }
                ));
            }
        }
    }
    faults
}

/// The directory's name of one of our packages: the binary is `cli`, the others lose their prefix.
fn short(package: &str) -> &str {
    if package == "wharfinger" {
        return "cli";
    }
    package.strip_prefix("wharfinger-").unwrap_or(package)
}
