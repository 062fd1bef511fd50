//! What holds for every text.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{keys, load, scalar};
use super::{LEAST, loaded};

/// Bits of configurations and of YAML, to be thrown together.
const SCRAPS: [&str; 34] = [
    "version",
    "0.1",
    "storage",
    "filesystem",
    "inmemory",
    "rootdirectory",
    "delete",
    "enabled",
    "http",
    "addr",
    ":5000",
    "log",
    "fields",
    "proxy",
    "wharfinger",
    "draintimeout",
    "60",
    "60s",
    "on",
    "~",
    ": ",
    "\n",
    "\n  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "'",
    "&a ",
    "*a",
    "<<",
    "!x ",
];

proptest! {
    #[test]
    fn no_text_and_no_variable_stops_the_reading(
        scraps in prop::collection::vec(prop::sample::select(&SCRAPS[..]), 0..40),
        value in ".{0,20}",
        known in prop::sample::select(keys::KEYS),
    ) {
        let text = scraps.concat();
        let variables = [(known.variable(), value)];
        if let Err(report) = load("config.yml", &text, &variables) {
            let lines = text.lines().count() + 1;
            for fault in report.to_string().lines().filter(|line| line.starts_with("config.yml:")) {
                let line: usize = fault.split(':').nth(1).unwrap().parse().unwrap();
                prop_assert!((1..=lines).contains(&line), "{fault}");
            }
        }
    }

    #[test]
    fn a_printed_duration_reads_back(
        nanos in 0..u64::try_from(scalar::LONGEST.as_nanos()).unwrap(),
    ) {
        let duration = Duration::from_nanos(nanos);
        prop_assert_eq!(scalar::duration(&scalar::print_duration(duration)), Ok(duration));
    }

    #[test]
    fn a_printed_path_reads_back(root in "\\PC{1,20}") {
        let quoted = serde_json::Value::from(root.as_str());
        let driver = format!("{{filesystem: {{rootdirectory: {quoted}}}}}");
        let first = loaded(&LEAST.replace("inmemory", &driver));
        let again = loaded(&first.effective());
        prop_assert_eq!(first.settings.storage.driver, again.settings.storage.driver);
    }
}
