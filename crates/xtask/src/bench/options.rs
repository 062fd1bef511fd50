//! What may be said behind `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::peers::Kind;

/// The options, for `--help`.
pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS]
       cargo xtask memory [--dir DIR] [--wharfinger PATH]

What is measured, and where:
  --dir DIR          where the servers keep their content [the system's temporary directory];
                     a directory on a tmpfs, such as /dev/shm, shows what the programs cost
  --disk DIR         repeats the pushes and the small images there
  --million DIR      lays out 1,000,000 repositories and as many tags there, or takes those that
                     an earlier run has left, and measures lists, memory and cold starts over them;
                     needs some 5 million inodes and on ext4 20 GB; stays there
  --row TEXT         only rows whose name holds TEXT; may be repeated
  --peer NAME        only this server, and others so named; may be repeated
  --rounds N         how often each row is repeated; medians are reported [3]
  --quick            smaller and shorter, for CI
  --lock FILE        holds this lock while a row is measured, as `flock FILE` does, so that other
                     work on the machine can wait for it

The programs; whatever is not there stays out:
  --wharfinger PATH       [release/wharfinger in cargo's target directory]
  --distribution PATH     Distribution v3 [$WHARFINGER_BENCH_DISTRIBUTION]
  --docker-registry PATH  Distribution 2.8 [docker-registry, where packages put it]
  --zot PATH              [$WHARFINGER_BENCH_ZOT, or zot where packages put it]
  --angos PATH            [$WHARFINGER_BENCH_ANGOS, or angos where packages put it]
  --nginx PATH            [nginx, where packages put it]

What is said of it:
  --table FILE       also writes the tables as Markdown
  --json FILE        also writes every figure as JSON
  --profile DIR      has `perf` look at wharfinger in one more round of each row, and writes there
                     what took the time
  --targets          ends with status 1 where a target is missed
  --not-slower       ends with status 1 where wharfinger is behind another registry of its layout
";

/// The options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) disk: Option<PathBuf>,
    pub(crate) million: Option<PathBuf>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) lock: Option<PathBuf>,
    pub(crate) table: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) profile: Option<PathBuf>,
    pub(crate) targets: bool,
    pub(crate) not_slower: bool,
    rows: Vec<String>,
    peers: Vec<Kind>,
    programs: Vec<(Kind, PathBuf)>,
}

impl Options {
    /// Reads the words behind the chore's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            help: false,
            directory: None,
            disk: None,
            million: None,
            rounds: 3,
            quick: false,
            lock: None,
            table: None,
            json: None,
            profile: None,
            targets: false,
            not_slower: false,
            rows: Vec::new(),
            peers: Vec::new(),
            programs: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().cloned();
                value.with_context(|| format!("`{word}` needs a value"))
            };
            match word.as_str() {
                "-h" | "--help" => options.help = true,
                "--dir" => options.directory = Some(value()?.into()),
                "--disk" => options.disk = Some(value()?.into()),
                "--million" => options.million = Some(value()?.into()),
                "--rounds" => {
                    options.rounds = value()?.parse().context("--rounds takes a number")?;
                    if options.rounds == 0 {
                        bail!("--rounds takes at least 1");
                    }
                }
                "--row" => options.rows.push(value()?),
                "--peer" => options.peers.push(kind(&value()?)?),
                "--quick" => options.quick = true,
                "--lock" => options.lock = Some(value()?.into()),
                "--table" => options.table = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--profile" => options.profile = Some(value()?.into()),
                "--targets" => options.targets = true,
                "--not-slower" => options.not_slower = true,
                _ => {
                    let kind = word.strip_prefix("--").and_then(|name| kind(name).ok());
                    let Some(kind) = kind.filter(|kind| *kind != Kind::Floor) else {
                        bail!("there is no option `{word}`\n\n{HELP}");
                    };
                    options.programs.push((kind, value()?.into()));
                }
            }
        }
        Ok(options)
    }

    /// Whether the row of this name was asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|text| row.contains(text.as_str()))
    }

    /// Whether this server was asked for; our own always is.
    pub(crate) fn measures(&self, kind: Kind) -> bool {
        kind == Kind::Wharfinger || self.peers.is_empty() || self.names(kind)
    }

    /// Whether this server was asked for by name.
    pub(crate) fn names(&self, kind: Kind) -> bool {
        self.peers.contains(&kind)
    }

    /// The program that was named for this server.
    pub(crate) fn program(&self, kind: Kind) -> Option<&PathBuf> {
        // There is one nginx, whatever is written into its configuration.
        let kind = if kind.is_static() { Kind::Nginx } else { kind };
        let (_, path) = self.programs.iter().find(|(other, _)| *other == kind)?;
        Some(path)
    }
}

fn kind(name: &str) -> Result<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .with_context(|| format!("there is no server `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read_and_faults_are_named() {
        let options = parse("--dir /x --rounds 5 --row push --row GET --quick").unwrap();
        assert_eq!(options.rounds, 5);
        assert!(options.quick && options.wants("push, 16 MiB") && options.wants("GET blob"));
        assert!(!options.wants("HEAD blob") && parse("").unwrap().wants("HEAD blob"));
        for wrong in [
            "--rounds",
            "--rounds x",
            "--rounds 0",
            "--fast",
            "--floor /x",
            "--peer x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn programs_and_servers_are_named() {
        let options = parse("--zot /bin/zot --nginx /bin/nginx --peer zot --peer floor").unwrap();
        let path = |kind| options.program(kind).and_then(|path| path.to_str());
        assert_eq!(path(Kind::Zot), Some("/bin/zot"));
        assert_eq!(path(Kind::NginxCopy), Some("/bin/nginx"));
        assert_eq!(path(Kind::Angos), None);
        assert!(options.measures(Kind::Wharfinger) && options.measures(Kind::Floor));
        assert!(!options.measures(Kind::Angos));
    }
}
