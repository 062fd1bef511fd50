//! `cargo xtask content`: the content service beside a containerd's own store, on the same work in turns.
//!
//! One client drives both, the `TestBench` of `tests/content`, so that only what answers differs. What is
//! compared are medians of one run, held against what the service is to reach.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;

use crate::bench::scratch::Scratch;
use crate::report::say;
use crate::workspace::Workspace;

/// 15 s: how long a server may take until it listens, looked at 50 times a second.
const TRIES: u32 = 750;
const PAUSE: Duration = Duration::from_millis(20);

/// What is measured.
struct Row {
    name: &'static str,
    about: &'static str,
    unit: &'static str,
    wanted: Wanted,
}

/// What the service has to reach.
enum Wanted {
    /// So many times the speed of containerd's.
    Faster(f64),
    /// At most so many milliseconds.
    Within(f64),
    /// It is only told.
    Anything,
}

const ROWS: [Row; 6] = [
    Row {
        name: "write",
        about: "write a blob by 1 MiB",
        unit: "MiB/s",
        wanted: Wanted::Faster(1.5),
    },
    Row {
        name: "commit",
        about: "commit that blob of 256 MiB",
        unit: "ms",
        wanted: Wanted::Anything,
    },
    Row {
        name: "reopen",
        about: "open an ingest of 1 GiB again",
        unit: "ms",
        wanted: Wanted::Within(20.0),
    },
    Row {
        name: "pieces",
        about: "read by 32 KiB",
        unit: "MiB/s",
        wanted: Wanted::Faster(3.0),
    },
    Row {
        name: "stream",
        about: "read in one stream",
        unit: "MiB/s",
        wanted: Wanted::Faster(1.0),
    },
    Row {
        name: "info",
        about: "ask about a blob",
        unit: "ms",
        wanted: Wanted::Within(0.1),
    },
];

/// The names of the two, as the client prints them.
const THEIRS: &str = "containerd";
const OURS: &str = "wharfinger";

/// Measures both and prints a table.
pub(crate) fn run(_: &Workspace) -> Result<()> {
    let scratch = Scratch::new(None)?;
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let wharfinger = metadata.target_directory.join("release/wharfinger");
    ensure!(
        wharfinger.is_file(),
        "{wharfinger} is not there: `cargo build --release` makes it"
    );
    let theirs = start_containerd(scratch.path())?;
    let ours = start_wharfinger(wharfinger.as_std_path(), scratch.path())?;
    let sockets = [(THEIRS, &theirs), (OURS, &ours)];
    let sockets = sockets.map(|(name, server)| format!("{name}={}", server.socket.display()));
    let output = Command::new(tool("content-suite")?)
        .args(["-test.v", "-test.run", "^TestBench$"])
        .env("CONTENT_BENCH", sockets.join(","))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "the client failed:\n{text}");
    let figures = figures(&text);
    let mut behind = Vec::new();
    say("                                  containerd   wharfinger   wanted");
    for row in &ROWS {
        let (line, is_reached) = report(row, &figures)?;
        say(&line);
        if !is_reached {
            behind.push(row.name);
        }
    }
    if !behind.is_empty() {
        bail!("not reached: {}", behind.join(", "));
    }
    Ok(())
}

/// The figures of each row, by the name of the server and that of the row.
type Figures = BTreeMap<(String, String), Vec<f64>>;

/// Finds the lines `bench NAME ROW VALUE`.
fn figures(text: &str) -> Figures {
    let mut figures = Figures::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["bench", name, row, value] = words.as_slice()
            && let Ok(value) = value.parse()
        {
            let key = ((*name).to_owned(), (*row).to_owned());
            figures.entry(key).or_default().push(value);
        }
    }
    figures
}

fn report(row: &Row, figures: &Figures) -> Result<(String, bool)> {
    let median = |name: &str| {
        let key = (name.to_owned(), row.name.to_owned());
        let mut values = figures.get(&key).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        let middle = values.get(values.len() / 2).copied();
        middle.with_context(|| format!("{name} has no figure for {}", row.name))
    };
    let (theirs, ours) = (median(THEIRS)?, median(OURS)?);
    let (wanted, is_reached) = match row.wanted {
        Wanted::Faster(times) => {
            let reached = ours / theirs;
            (format!("{times} times; {reached:.2}"), reached >= times)
        }
        Wanted::Within(most) => (format!("at most {most} ms"), ours <= most),
        Wanted::Anything => (String::new(), true),
    };
    let (about, unit) = (row.about, row.unit);
    let line = format!("{about:<28} {unit:<6}{theirs:>9.2} {ours:>12.2}   {wanted}");
    Ok((line, is_reached))
}

/// A server that ends with this.
struct Serving {
    socket: PathBuf,
    child: Child,
}

impl Serving {
    fn start(command: &mut Command, socket: PathBuf, log: &Path) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let serving = Self { socket, child };
        for _ in 0..TRIES {
            if UnixStream::connect(&serving.socket).is_ok() {
                return Ok(serving);
            }
            std::thread::sleep(PAUSE);
        }
        bail!("{command:?} does not listen")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and need not be.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn start_wharfinger(program: &Path, scratch: &Path) -> Result<Serving> {
    let socket = scratch.join("wharfinger.sock");
    let mut command = Command::new(program);
    command
        .args(["content", "serve", "--mode", "direct", "--socket"])
        .arg(&socket)
        .arg("--root")
        .arg(scratch.join("data"));
    Serving::start(&mut command, socket, &scratch.join("wharfinger.log"))
}

/// A containerd with the store that it has by itself.
fn start_containerd(scratch: &Path) -> Result<Serving> {
    let socket = scratch.join("containerd.sock");
    let (directory, file) = (scratch.display(), scratch.join("config.toml"));
    let text = format!(
        r#"version = 3
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
address = "{directory}/containerd.sock"
[ttrpc]
address = "{directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"#
    );
    fs::write(&file, text)?;
    let mut command = Command::new(tool("containerd-2")?);
    command.arg("--config").arg(&file);
    Serving::start(&mut command, socket, &scratch.join("containerd.log"))
}

/// Finds what `.ci/tools` has built.
fn tool(name: &str) -> Result<PathBuf> {
    let directory = std::env::var_os("WHARFINGER_TEST_TOOLS");
    let directory = directory
        .context("WHARFINGER_TEST_TOOLS is not set: `.ci/tools` says where it has built them")?;
    let path = Path::new(&directory).join(name);
    ensure!(
        path.is_file(),
        "{} is not there: `.ci/tools` builds it",
        path.display()
    );
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_held_against_what_is_wanted() {
        let text = "=== RUN\nbench containerd write 100.0\nbench wharfinger write 149\n\
                    bench wharfinger write 151\nbench wharfinger write 500\nother\n";
        let figures = figures(text);
        let (line, is_reached) = report(&ROWS[0], &figures).unwrap();
        assert!(is_reached && line.contains("151.00"), "{line}");
        let slower = text.replace("151", "148");
        assert!(!report(&ROWS[0], &self::figures(&slower)).unwrap().1);
        assert!(report(&ROWS[1], &figures).is_err());
    }
}
