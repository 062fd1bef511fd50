//! What may be said behind `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The options, for `--help`.
pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS]
       cargo xtask memory [--dir DIR] [--wharfinger PATH]

Options:
  --dir DIR          where the servers keep their content [a directory in the system's temporary one]
  --rounds N         how often each row is repeated; medians are reported [3]
  --row TEXT         only rows whose name holds TEXT; may be repeated
  --quick            smaller and shorter, for CI
  --json FILE        also writes every figure as JSON
  --not-slower       ends with status 1 where wharfinger is behind docker-registry
  --wharfinger PATH  the binary to measure [release/wharfinger in cargo's target directory]
";

/// The options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) not_slower: bool,
    pub(crate) wharfinger: Option<PathBuf>,
}

impl Options {
    /// Reads the words behind the chore's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            help: false,
            directory: None,
            rounds: 3,
            rows: Vec::new(),
            quick: false,
            json: None,
            not_slower: false,
            wharfinger: None,
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
                "--rounds" => {
                    options.rounds = value()?.parse().context("--rounds takes a number")?;
                    if options.rounds == 0 {
                        bail!("--rounds takes at least 1");
                    }
                }
                "--row" => options.rows.push(value()?),
                "--quick" => options.quick = true,
                "--json" => options.json = Some(value()?.into()),
                "--not-slower" => options.not_slower = true,
                "--wharfinger" => options.wharfinger = Some(value()?.into()),
                _ => bail!("there is no option `{word}`\n\n{HELP}"),
            }
        }
        Ok(options)
    }

    /// Whether the row of this name was asked for.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|text| row.contains(text.as_str()))
    }
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
        for wrong in ["--rounds", "--rounds x", "--rounds 0", "--fast"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
