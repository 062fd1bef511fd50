//! Tests of the drivers and their wrappers from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod faulty;
mod filesystem;
mod journal;
mod observed;

use std::path::Path;

#[test]
fn no_test_file_is_forgotten() {
    // Tests run in the folder of their package, wherever it was when they were compiled.
    let directory = Path::new("tests/it");
    let main = std::fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            name == "main" || main.contains(&format!("mod {name};")),
            "{name}"
        );
    }
}
