//! The rules, each a pure function from what was read to the faults in it.

#[cfg(test)]
mod tests;

use super::Source;

/// No file is longer: two screens of scrolling lose the reader. Aim for half of it.
const MOST_LINES: usize = 600;

/// The first line of generated code says so, and then nobody has to read it.
const GENERATED: &str = "// @generated";

/// A file that is too long.
pub(super) fn length(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let generated = source.text.starts_with(GENERATED);
    (lines > MOST_LINES && !generated).then(|| {
        format!(
            "{} has {lines} lines, {MOST_LINES} are the most: split it by idea",
            source.path
        )
    })
}

/// A `mod.rs`: ten open tabs of that name tell nothing.
pub(super) fn name(source: &Source) -> Option<String> {
    let parent = source.path.strip_suffix("/mod.rs")?;
    Some(format!("{} is to be called {parent}.rs", source.path))
}

/// Faults in the integration tests of the crate in `directory`, which cargo builds into `binaries` binaries.
///
/// Automatic discovery is off, since linking is the slow part; so a file that nobody names is never
/// compiled, and its tests never run.
pub(super) fn integration_tests(
    directory: &str,
    binaries: usize,
    sources: &[Source],
) -> Vec<String> {
    let mut faults = Vec::new();
    let tests = format!("{directory}/tests/");
    let root = format!("{tests}it/main.rs");
    let in_tests = || {
        sources
            .iter()
            .filter(|source| source.path.starts_with(&tests))
    };

    if binaries > 1 {
        faults.push(format!(
            "{directory} has {binaries} integration binaries, one is the most"
        ));
    }
    if in_tests().next().is_some() && binaries == 0 {
        faults.push(format!(
            "{tests} is never compiled: declare [[test]] name = \"it\" path = \"tests/it/main.rs\""
        ));
    }
    for source in in_tests().filter(|source| source.path != root) {
        match parent(&source.path, &root) {
            None => faults.push(format!("{} belongs below {tests}it/", source.path)),
            Some((parent, module)) => {
                let named = sources
                    .iter()
                    .any(|other| other.path == parent && names_module(&other.text, module));
                if !named {
                    faults.push(format!(
                        "{} is forgotten: write `mod {module};` in {parent}",
                        source.path
                    ));
                }
            }
        }
    }
    faults
}

/// The file that must name the module in `path`, and the module; none outside the root's directory.
fn parent<'a>(path: &'a str, root: &str) -> Option<(String, &'a str)> {
    let base = root.strip_suffix("main.rs")?;
    let inner = path.strip_prefix(base)?.strip_suffix(".rs")?;
    Some(match inner.rsplit_once('/') {
        None => (root.to_owned(), inner),
        Some((directories, module)) => (format!("{base}{directories}.rs"), module),
    })
}

/// Whether a line of `text` is `mod MODULE;`, whatever its visibility.
fn names_module(text: &str, module: &str) -> bool {
    let wanted = format!("mod {module};");
    text.lines().any(|line| {
        let line = line.trim();
        line == wanted || (line.starts_with("pub") && line.ends_with(&format!(" {wanted}")))
    })
}
