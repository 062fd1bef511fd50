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

/// Lines on standard output, many of them, gathered before they are written.
#[derive(Debug)]
pub(crate) struct Lines {
    quiet: bool,
    out: io::BufWriter<io::Stdout>,
    failed: Option<io::Error>,
}

impl Lines {
    /// Prints everything, or nothing if `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            out: io::BufWriter::new(io::stdout()),
            failed: None,
        }
    }

    /// Prints one line. What goes wrong is told at the end: whatever is reported goes on.
    pub(crate) fn print(&mut self, line: &str) {
        if self.quiet || self.failed.is_some() {
            return;
        }
        self.failed = writeln!(self.out, "{line}").err();
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Fails if standard output could not be written. A reader that went away is no failure.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let written = match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
