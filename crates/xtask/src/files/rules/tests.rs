//! Each rule finds its fault and leaves good files alone.

use super::*;

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn six_hundred_lines_pass_and_one_more_does_not() {
    let good = source("crates/a/src/lib.rs", &"//\n".repeat(600));
    let long = source("crates/a/src/lib.rs", &"//\n".repeat(601));
    let generated = source(
        "crates/a/src/lib.rs",
        &format!("{GENERATED}\n{}", "//\n".repeat(600)),
    );
    assert_eq!(length(&good), None);
    assert!(length(&long).is_some_and(|fault| fault.contains("601 lines")));
    assert_eq!(length(&generated), None);
}

#[test]
fn mod_rs_is_refused_with_its_better_name() {
    let fault = name(&source("crates/a/src/upload/mod.rs", ""));
    assert_eq!(
        fault.as_deref(),
        Some("crates/a/src/upload/mod.rs is to be called crates/a/src/upload.rs")
    );
    assert_eq!(name(&source("crates/a/src/upload.rs", "")), None);
}

#[test]
fn files_that_are_named_pass() {
    let sources = [
        source(
            "crates/a/tests/it/main.rs",
            "//! Doc.\nmod push;\n#[cfg(unix)]\npub(crate) mod pull;",
        ),
        source("crates/a/tests/it/push.rs", "mod cut;"),
        source("crates/a/tests/it/push/cut.rs", ""),
        source("crates/a/tests/it/pull.rs", ""),
        source("crates/a/src/forgotten.rs", ""),
    ];
    assert_eq!(
        integration_tests("crates/a", 1, &sources),
        Vec::<String>::new()
    );
}

#[test]
fn a_file_that_nobody_names_is_found() {
    let sources = [
        source("crates/a/tests/it/main.rs", "mod push;\n// mod pull;"),
        source("crates/a/tests/it/push.rs", ""),
        source("crates/a/tests/it/push/cut.rs", ""),
        source("crates/a/tests/it/pull.rs", ""),
    ];
    assert_eq!(
        integration_tests("crates/a", 1, &sources),
        [
            "crates/a/tests/it/push/cut.rs is forgotten: write `mod cut;` in \
             crates/a/tests/it/push.rs",
            "crates/a/tests/it/pull.rs is forgotten: write `mod pull;` in crates/a/tests/it/main.rs",
        ]
    );
}

#[test]
fn tests_beside_the_one_binary_are_found() {
    let sources = [source("crates/a/tests/push.rs", "")];
    let found = integration_tests("crates/a", 2, &sources);
    assert_eq!(
        found,
        [
            "crates/a has 2 integration binaries, one is the most",
            "crates/a/tests/push.rs belongs below crates/a/tests/it/",
        ]
    );
}

#[test]
fn tests_that_no_binary_compiles_are_found() {
    let sources = [source("crates/a/tests/it/main.rs", "")];
    let found = integration_tests("crates/a", 0, &sources);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("never compiled"), "{found:?}");
}
