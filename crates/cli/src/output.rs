//! What commands print on standard output.

use std::io::{self, ErrorKind, Write};

/// Prints `text`. A reader that went away, such as `head`, is no failure.
///
/// # Errors
/// Fails if standard output cannot be written.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
