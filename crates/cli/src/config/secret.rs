//! The key that signs upload state: from the configuration, from a file, or made anew.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use wharfinger_runtime::{Entropy, Secret};

use super::types::SecretSource;

/// 32 bytes: the output of the SHA-256 that the secret keys.
const SECRET_BYTES: usize = 32;

/// A kept secret is 64 characters; a longer file is something else.
const FILE_LIMIT: u64 = 4096;

impl SecretSource {
    /// Gets the secret. For [`SecretSource::KeptIn`] this makes the file, and its directory, if they
    /// are not there: a directory that only its owner enters, and a file that appears whole or not at
    /// all, so that two programs that start at once agree on one secret.
    ///
    /// The bytes are what Distribution would take for the same text in `http.secret`.
    ///
    /// # Errors
    /// Fails if the file can be neither read nor made, or is empty.
    pub(crate) fn obtain(&self, entropy: &dyn Entropy) -> anyhow::Result<Secret<Vec<u8>>> {
        match self {
            Self::Given(text) => Ok(Secret::new(text.expose().clone().into_bytes())),
            Self::PerProcess => {
                let mut bytes = vec![0; SECRET_BYTES];
                entropy.fill(&mut bytes);
                Ok(Secret::new(bytes))
            }
            Self::KeptIn(path) => kept(path, entropy)
                .with_context(|| format!("cannot keep the secret in {}", path.display())),
        }
    }
}

fn kept(path: &Path, entropy: &dyn Entropy) -> anyhow::Result<Secret<Vec<u8>>> {
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        text => return checked(path, &text?),
    }
    let directory = path.parent().context("the path has no directory")?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let mut bytes = [0; SECRET_BYTES];
    entropy.fill(&mut bytes);
    create(path, directory, &hex(&bytes), &hex(&nonce(entropy)))?;
    // Whoever came first has the secret that counts.
    checked(path, &read(path)?)
}

fn checked(path: &Path, text: &str) -> anyhow::Result<Secret<Vec<u8>>> {
    if text.trim().is_empty() {
        bail!("the file is empty; remove it to have a new one made");
    }
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the secret can be read by others; chmod it to 0600");
    }
    Ok(Secret::new(text.trim().to_owned().into_bytes()))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_LIMIT)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Writes `text` beside `path`, syncs it and links it there unless a file is there already.
fn create(path: &Path, directory: &Path, text: &str, nonce: &str) -> io::Result<()> {
    let scratch = directory.join(format!("secret.{nonce}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&scratch)?;
    let linked = file
        .write_all(format!("{text}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&scratch, path));
    let removed = fs::remove_file(&scratch);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => removed,
        other => other
            .and(removed)
            .and_then(|()| File::open(directory)?.sync_all()),
    }
}

fn nonce(entropy: &dyn Entropy) -> [u8; 8] {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharfinger_runtime::{OsEntropy, SeededEntropy};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_kept_secret_is_made_once_for_its_owner_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let home = scratch.path().join("data");
        let source = SecretSource::KeptIn(home.join("secret"));
        let first = source.obtain(&SeededEntropy::new(1)).unwrap();
        let again = source.obtain(&SeededEntropy::new(2)).unwrap();
        assert_eq!(first.expose(), again.expose());
        assert_eq!(first.expose().len(), 64);
        assert!(first.expose().iter().all(u8::is_ascii_hexdigit));
        assert_eq!(mode(&home), 0o700);
        assert_eq!(mode(&home.join("secret")), 0o600);
        // No scratch file stays.
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    }

    #[test]
    fn programs_that_start_at_once_agree_on_one_secret() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("secret");
        let obtain = || {
            SecretSource::KeptIn(path.clone())
                .obtain(&OsEntropy)
                .unwrap()
        };
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(obtain)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            secrets
                .iter()
                .all(|secret| secret.expose() == secrets[0].expose())
        );
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("secret");
        fs::write(&path, "\n").unwrap();
        let error = SecretSource::KeptIn(path).obtain(&OsEntropy).unwrap_err();
        assert!(format!("{error:#}").contains("the file is empty"));
    }

    #[test]
    fn a_given_secret_is_its_text_and_a_new_one_is_random() {
        let given = SecretSource::Given(Secret::new("on".to_owned()));
        assert_eq!(given.obtain(&OsEntropy).unwrap().expose(), b"on");
        let one = SecretSource::PerProcess.obtain(&OsEntropy).unwrap();
        let two = SecretSource::PerProcess.obtain(&OsEntropy).unwrap();
        assert_eq!(one.expose().len(), 32);
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn no_debug_form_shows_a_secret() {
        let given = SecretSource::Given(Secret::new("hunter2".to_owned()));
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}
