//! Many names in little more memory than they have letters.

use std::fmt;

/// What ends each name; no name has it.
pub(crate) const END: u8 = b'\n';

/// Names of repositories or tags, in the order of their list.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Each with a newline behind it.
    text: String,
}

impl Names {
    /// Takes names over, each with a newline behind it.
    pub(crate) fn of_lines(text: String) -> Self {
        debug_assert!(text.is_empty() || text.ends_with(char::from(END)));
        Self { text }
    }

    /// Adds a name behind the others.
    pub(crate) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.text.push(char::from(END));
    }

    /// Gives back the memory that nothing is in.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
    }

    /// Returns the names, one after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split_terminator(char::from(END))
    }

    /// Returns the last one.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.iter().next_back()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns how many bytes they take as text, with one more for each.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.text.len()
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(all: I) -> Self {
        let mut names = Self::default();
        all.into_iter().for_each(|name| names.push(name));
        names
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_added() {
        let none = Names::default();
        assert!(none.is_empty());
        assert_eq!(none.last(), None);
        let names: Names = ["a/b", "a-b", "c"].into_iter().collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a/b", "a-b", "c"]);
        assert_eq!(names.last(), Some("c"));
        assert_eq!(names, Names::of_lines("a/b\na-b\nc\n".to_owned()));
        assert_eq!(names.size_bytes(), 10);
    }
}
