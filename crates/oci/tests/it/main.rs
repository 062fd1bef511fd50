//! Integration tests, one binary for all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod descriptors;
mod digests;
mod errors;
mod hash_states;
mod hostile_manifests;
mod links;
mod manifests;
mod names;
mod queries;
mod ranges;
mod routes;

/// A file that no `mod` line names would be skipped without a word.
#[test]
fn every_file_is_a_module() {
    // Tests run in the folder of their package, wherever it was when they were compiled.
    let folder = "tests/it";
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(
                main.contains(&format!("mod {module};")),
                "{name} is not in main.rs"
            );
        }
    }
}
