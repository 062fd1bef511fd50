//! The server as clients see it: real connections on a port of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod blobs;
mod connections;
mod deletes;
mod events;
mod failures;
mod fixture;
mod http2;
mod limits;
mod lists;
mod logs;
mod manifests;
mod mounts;
mod sessions;
mod single_posts;
mod tls;

/// Defines tests that hold over every driver.
#[macro_export]
macro_rules! over_every_driver {
    ($($(#[$doc:meta])* fn $name:ident($fixture:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$doc])*
            fn check($fixture: &Fixture) $body

            #[test]
            fn memory() {
                check(&Fixture::memory());
            }

            #[test]
            fn memory_like_s3() {
                check(&Fixture::s3_like());
            }

            #[test]
            fn filesystem() {
                check(&Fixture::filesystem());
            }
        }
    )+};
}

#[test]
fn no_test_file_is_forgotten() {
    // Tests run in the folder of their package, wherever it was when they were compiled.
    let directory = std::path::Path::new("tests/it");
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
