//! The shape of the table in [`super::keys`]: what a row says, and how a row is found.

use super::keys::KEYS;

/// One key, known or refused: its row is the check, the default and the documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The full name, words joined by dots.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What counts when it is not given, written as in the file.
    pub(crate) default: Option<&'static str>,
    /// The name that it had in older versions of Distribution.
    pub(crate) old: Option<&'static str>,
    /// Whether it is known.
    pub(crate) status: Status,
    /// What it does, as Markdown; for a refused key, why.
    pub(crate) doc: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// More keys.
    Section,
    /// A section below `storage` that names the storage driver.
    Driver,
    /// A section below `auth` that names who finds out who asks.
    Provider,
    /// The version of the format, `0.1`.
    Version,
    /// Any text but the empty one.
    Text,
    /// Text that is never shown.
    Secret,
    /// A boolean.
    Bool,
    /// A whole number of at least this.
    Integer(i64),
    /// A duration with a unit.
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// As [`Kind::Word`], in any mixture of upper and lower case.
    WordOfAnyCase(&'static [&'static str]),
    /// `HOST:PORT`, `:PORT` for all interfaces.
    Address,
    /// A map of anything.
    Fields,
    /// `HOST:PORT` and never a socket of another kind.
    TcpAddress,
    /// A list of sections: the rows below it are the keys of each.
    Items,
    /// A list of log hooks, all of them disabled.
    Hooks,
    /// The path of a URL, from the slash on.
    UrlPath,
    /// `[a, b]`, each a text that is not empty.
    List,
    /// A map of the names of headers to lists of values.
    Headers,
    /// `http` or `https`, a host, perhaps a port and a path.
    Url,
    /// A path that begins with `/`.
    Prefix,
    /// A list of regular expressions.
    Patterns,
    /// A list of platforms.
    Platforms,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It does what it says.
    Known,
    /// Distribution has it and this program will; until then it is refused rather than ignored. The words
    /// are the keys right below it, `*` for any.
    NotYet(&'static [&'static str]),
    /// Distribution had it and dropped it. The words as above.
    Gone(&'static [&'static str]),
}

/// Begins a row; [`Row::default`] and [`Row::old`] complete it.
pub(crate) const fn key(path: &'static str, kind: Kind, doc: &'static str) -> Row {
    Row {
        path,
        kind,
        default: None,
        old: None,
        status: Status::Known,
        doc,
    }
}

/// A section and the keys right below it, all of them refused for now.
pub(crate) const fn not_yet(path: &'static str, below: &'static [&'static str]) -> Row {
    let status = Status::NotYet(below);
    Row {
        path,
        kind: Kind::Section,
        default: None,
        old: None,
        status,
        doc: "not supported yet",
    }
}

/// A storage driver that is refused for now.
pub(crate) const fn driver_not_yet(path: &'static str) -> Row {
    let row = not_yet(path, &["*"]);
    Row {
        kind: Kind::Driver,
        ..row
    }
}

/// A provider of access control that is refused for now.
pub(crate) const fn provider_not_yet(path: &'static str) -> Row {
    let row = not_yet(path, &["*"]);
    Row {
        kind: Kind::Provider,
        ..row
    }
}

/// A key that newer versions of Distribution dropped.
pub(crate) const fn gone(path: &'static str, kind: Kind, below: &'static [&'static str]) -> Row {
    let doc = "not supported; Distribution 3 dropped it";
    Row {
        path,
        kind,
        default: None,
        old: None,
        status: Status::Gone(below),
        doc,
    }
}

impl Row {
    /// Gives the row a default.
    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// Gives the row an old name.
    pub(crate) const fn old(self, old: &'static str) -> Self {
        Self {
            old: Some(old),
            ..self
        }
    }

    /// Whether this row holds other keys rather than a value.
    pub(crate) fn is_section(&self) -> bool {
        matches!(
            self.kind,
            Kind::Section | Kind::Driver | Kind::Provider | Kind::Items
        )
    }

    /// Whether this is a key in each section of a list.
    pub(crate) fn is_in_list(&self) -> bool {
        let parent = self.path.rsplit_once('.').map(|(parent, _)| parent);
        parent
            .and_then(find)
            .is_some_and(|row| row.kind == Kind::Items)
    }

    /// Whether this is a key that can be set.
    pub(crate) fn is_setting(&self) -> bool {
        self.status == Status::Known && !self.is_section() && !self.is_in_list()
    }

    /// The last word of the name.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The variable that sets this key.
    pub(crate) fn variable(&self) -> String {
        format!(
            "REGISTRY_{}",
            self.path.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// The words right below a refused key.
    pub(crate) fn below(&self) -> &'static [&'static str] {
        match self.status {
            Status::Known => &[],
            Status::NotYet(below) | Status::Gone(below) => below,
        }
    }
}

/// Finds a key by its name.
pub(crate) fn find(path: &str) -> Option<&'static Row> {
    KEYS.iter().find(|row| row.path == path)
}

/// Finds a key by the name that it had.
pub(crate) fn find_old(path: &str) -> Option<&'static Row> {
    KEYS.iter().find(|row| row.old == Some(path))
}

/// The keys right below a section; `""` is the top.
pub(crate) fn children(section: &str) -> impl Iterator<Item = &'static Row> {
    KEYS.iter()
        .filter(move |row| match row.path.rsplit_once('.') {
            Some((parent, _)) => parent == section,
            None => section.is_empty(),
        })
}

/// Joins a section and a key in it.
pub(crate) fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// The full name of the key that someone probably meant by `key` in `section`: a neighbour that is
/// spelled nearly so, else a key of just this name elsewhere.
pub(crate) fn meant(section: &str, key: &str) -> Option<&'static str> {
    nearest(key, children(section).map(|row| (row.name(), row.path))).or_else(|| {
        let lower = key.to_lowercase();
        KEYS.iter()
            .find(|row| row.name() == lower)
            .map(|row| row.path)
    })
}

/// The candidate whose first text is nearest to `word`, if any is near: one slip for every three
/// letters, case not counted.
pub(crate) fn nearest<T: Copy>(
    word: &str,
    candidates: impl Iterator<Item = (impl AsRef<str>, T)>,
) -> Option<T> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .map(|(text, value)| {
            (
                strsim::osa_distance(&word, &text.as_ref().to_lowercase()),
                value,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_neighbour_first() {
        assert_eq!(meant("", "storag"), Some("storage"));
        assert_eq!(meant("", "HTTP"), Some("http"));
        assert_eq!(meant("storage", "filesytem"), Some("storage.filesystem"));
        assert_eq!(meant("http", "adrr"), Some("http.addr"));
        assert_eq!(
            meant("", "rootdirectory"),
            Some("storage.filesystem.rootdirectory")
        );
        assert_eq!(meant("", "loglvel"), None);
        assert_eq!(meant("http", "zzz"), None);
    }

    #[test]
    fn every_path_is_there_once_and_its_sections_too() {
        for row in KEYS {
            assert_eq!(
                KEYS.iter().filter(|other| other.path == row.path).count(),
                1,
                "{}",
                row.path
            );
            if let Some((parent, _)) = row.path.rsplit_once('.') {
                let parent = find(parent).unwrap_or_else(|| panic!("{} has no section", row.path));
                assert!(
                    parent.is_section() && parent.status == Status::Known,
                    "{}",
                    row.path
                );
            }
            // A variable's name is split at `_`.
            assert!(!row.path.contains('_'), "{}", row.path);
            assert_eq!(row.path, row.path.to_lowercase());
        }
    }
}
