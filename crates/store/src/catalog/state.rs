//! What is known of the catalog at a moment: an index, what this process has made since, and whether a
//! scan runs.

use std::iter::Peekable;
use std::time::Duration;

use wharfinger_oci::RepositoryName;

use super::CatalogPage;
use super::index::{Builder, Index};
use super::made::Made;
use crate::names::Names;

/// 20: scanning takes a twentieth of one core at most.
const PAUSE: u32 = 20;

/// 1 min: the index is saved no more often than that.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// The state. All times are on the monotonic clock.
#[derive(Debug)]
pub(super) struct State {
    /// How old an index may get for which scanning costs next to nothing.
    rescan: Duration,
    index: Option<Index>,
    made: Made,
    /// How many scans have begun.
    scans: u64,
    scan: Option<Scan>,
    /// When the next one may begin.
    due: Duration,
    /// Whether the saved index may still be taken.
    may_load: bool,
    /// Whether the index has other names than the saved one.
    differs: bool,
    /// When it was saved.
    saved: Option<Duration>,
}

/// A scan that runs.
#[derive(Debug, Clone, Copy)]
struct Scan {
    began: Duration,
    /// Whether it may lack what this process has made meanwhile.
    is_void: bool,
}

/// A scan that is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    /// The number of the scan.
    pub(super) scan: u64,
    /// When it began.
    pub(super) began: Duration,
}

impl State {
    pub(super) fn new(rescan: Duration) -> Self {
        Self {
            rescan,
            index: None,
            made: Made::default(),
            scans: 0,
            scan: None,
            due: Duration::ZERO,
            may_load: true,
            differs: false,
            saved: None,
        }
    }

    /// Tells whether there is an index that is young enough.
    pub(super) fn is_current(&self, now: Duration) -> bool {
        self.index.is_some() && now < self.due
    }

    /// Returns up to `limit` names after `after`, if there is an index of any age.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> Option<CatalogPage> {
        let index = self.index.as_ref()?;
        let after = after.map(tidy);
        let after = after.as_deref();
        let mut made = self.made.after(after).peekable();
        if made.peek().is_none() {
            let (names, more) = index.page(after, limit);
            return Some(CatalogPage { names, more });
        }
        let mut all = Merged {
            one: index.after(after).peekable(),
            other: made,
        };
        let mut names = Names::default();
        all.by_ref().take(limit).for_each(|name| names.push(name));
        let more = all.next().is_some();
        Some(CatalogPage { names, more })
    }

    /// Tells whether a push to `name` is nothing new.
    pub(super) fn knows(&self, name: &RepositoryName) -> bool {
        if !self.may_load && self.index.is_none() && self.scan.is_none() {
            // The next scan begins after the push.
            return true;
        }
        // A scan may have passed the name before it was there, whatever an earlier one has found.
        let since = self.scans;
        match (&self.scan, &self.index) {
            (Some(_), _) => self.made.has(name, since),
            (None, Some(index)) => index.has(name) || self.made.has(name, 0),
            (None, None) => self.made.has(name, 0),
        }
    }

    /// Notes that this process has pushed to `name`.
    pub(super) fn pushed(&mut self, name: &RepositoryName) {
        if self.knows(name) || self.made.add(name, self.scans).is_ok() {
            return;
        }
        // No index could be made whole any more.
        self.made.clear();
        self.index = None;
        self.may_load = false;
        if let Some(scan) = &mut self.scan {
            scan.is_void = true;
        }
    }

    /// Takes the saved index, or notes that there is none; returns whether it is taken. It is as old as it
    /// is: a scan is due.
    pub(super) fn take_saved(&mut self, index: Option<Index>) -> bool {
        let takes = self.may_load && self.index.is_none() && index.is_some();
        if takes {
            self.index = index;
        }
        self.may_load = false;
        takes
    }

    /// Begins a scan if one is due and none runs, and returns its number.
    pub(super) fn begin(&mut self, now: Duration) -> Option<u64> {
        if self.scan.is_some() || now < self.due {
            return None;
        }
        self.scans += 1;
        self.scan = Some(Scan {
            began: now,
            is_void: false,
        });
        Some(self.scans)
    }

    /// Returns the scan that runs, unless it is known to take longer than `patience`.
    pub(super) fn running(&self, patience: Duration) -> Option<Running> {
        let took = self.index.as_ref().map(Index::took);
        let scan = self
            .scan
            .filter(|_| took.is_some_and(|took| took <= patience))?;
        Some(Running {
            scan: self.scans,
            began: scan.began,
        })
    }

    /// Ends the scan; `found` is what it has found, or `None` if there can be no index.
    pub(super) fn end(&mut self, found: Option<Index>, now: Duration) {
        let Some(scan) = self.scan.take() else { return };
        let took = now.saturating_sub(scan.began);
        self.due = scan.began + self.rescan.max(took * PAUSE);
        let found = found.filter(|_| !scan.is_void);
        self.differs |= match (&found, &self.index) {
            (Some(found), Some(index)) => !found.has_names_of(index),
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.index = found;
        if self.index.is_some() {
            self.made.forget_before(self.scans);
        } else {
            self.made.clear();
        }
    }

    /// Returns the index that is there.
    pub(super) fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Returns the index if it has other names than the saved one and that is not new; it counts as saved
    /// then.
    pub(super) fn take_unsaved(&mut self, now: Duration) -> Option<Index> {
        let is_new = |saved| now.saturating_sub(saved) < SAVED_EVERY;
        if !self.differs || self.saved.is_some_and(is_new) {
            return None;
        }
        let index = self.index.clone()?;
        self.differs = false;
        self.saved = Some(now);
        Some(index)
    }

    /// Notes that what was to be saved is not.
    pub(super) fn not_saved(&mut self) {
        self.differs = true;
    }

    /// Returns an index of all that is known, if the saved one lacks some of it.
    pub(super) fn all_unsaved(&self) -> Option<Index> {
        if self.made.is_empty() {
            return self.index.clone().filter(|_| self.differs);
        }
        let index = self.index.as_ref()?;
        let mut builder = Builder::like(Some(index));
        let all = Merged {
            one: index.after(None).peekable(),
            other: self.made.after(None).peekable(),
        };
        for name in all {
            builder.push(name).ok()?;
        }
        Some(builder.finish(index.began(), index.took()))
    }
}

/// Leaves out of what a client takes for a name the slashes that lead nowhere.
fn tidy(after: &str) -> String {
    let components = after.split('/').filter(|component| !component.is_empty());
    components.collect::<Vec<_>>().join("/")
}

/// Two lists in one, in order, with what is in both once.
struct Merged<A: Iterator, B: Iterator> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<'a, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = &'a str>,
    B: Iterator<Item = &'a str>,
{
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (Some(one), Some(other)) = (self.one.peek(), self.other.peek()) else {
            return self.one.next().or_else(|| self.other.next());
        };
        let order = RepositoryName::compare(one, other);
        let other = if order.is_ge() {
            self.other.next()
        } else {
            None
        };
        if order.is_le() {
            self.one.next()
        } else {
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn names(state: &State) -> Vec<String> {
        let page = state.page(None, 100).unwrap();
        page.names.iter().map(str::to_owned).collect()
    }

    /// A state whose first scan, from 0 to 10 ms, has found these.
    fn scanned(found: &[&str]) -> State {
        let mut state = State::new(SECOND);
        assert!(!state.take_saved(None));
        assert_eq!(state.begin(Duration::ZERO), Some(1));
        state.end(Some(index(found.iter().copied())), 10 * MILLI);
        state
    }

    #[test]
    fn an_index_counts_for_as_long_as_is_said_or_twenty_times_its_scan() {
        let mut state = scanned(&["a"]);
        assert!(state.is_current(999 * MILLI));
        assert_eq!(state.begin(999 * MILLI), None);
        assert!(!state.is_current(SECOND));
        assert_eq!(state.begin(SECOND), Some(2));
        assert_eq!(state.begin(SECOND), None, "one runs");
        state.end(Some(index(["a"])), 3 * SECOND);
        assert!(state.is_current(40 * SECOND));
        assert!(!state.is_current(41 * SECOND));
    }

    #[test]
    fn own_repositories_are_listed_until_a_scan_has_seen_them() {
        let mut state = scanned(&["a", "c"]);
        state.pushed(&name("b"));
        state.pushed(&name("c"));
        assert_eq!(names(&state), ["a", "b", "c"]);
        state.begin(SECOND).unwrap();
        assert!(
            !state.knows(&name("c")),
            "the scan may have passed it before it was there"
        );
        state.pushed(&name("c/d"));
        state.pushed(&name("c"));
        assert_eq!(names(&state), ["a", "b", "c", "c/d"]);
        // Somebody has removed `b`, and made `c` anew after the scan had passed it.
        state.end(Some(index(["a"])), SECOND);
        assert_eq!(names(&state), ["a", "c", "c/d"]);
        state.begin(2 * SECOND).unwrap();
        state.end(Some(index(["a", "c", "c/d"])), 2 * SECOND);
        assert!(state.made.is_empty());
    }

    #[test]
    fn pages_of_both_together_are_cut_anywhere() {
        let mut state = scanned(&["a", "a/c", "b"]);
        for made in ["a/b", "a-b", "c"] {
            state.pushed(&name(made));
        }
        let all = ["a", "a/b", "a/c", "a-b", "b", "c"];
        for limit in 0..8 {
            for (at, after) in all.into_iter().enumerate() {
                let page = state.page(Some(after), limit).unwrap();
                let rest = &all[at + 1..];
                assert!(page.names.iter().eq(rest.iter().copied().take(limit)));
                assert_eq!(page.more, rest.len() > limit);
            }
        }
    }

    #[test]
    fn what_is_pushed_before_anything_is_known_joins_the_saved_index() {
        let mut state = State::new(SECOND);
        state.pushed(&name("b"));
        assert_eq!(state.page(None, 10), None);
        assert!(state.take_saved(Some(index(["a"]))));
        assert_eq!(names(&state), ["a", "b"]);
        assert!(
            !state.is_current(Duration::ZERO),
            "nobody knows how old it is"
        );
        assert_eq!(state.begin(Duration::ZERO), Some(1));
    }

    #[test]
    fn an_index_that_would_lack_too_much_is_given_up() {
        let mut state = scanned(&["a"]);
        state.begin(SECOND).unwrap();
        for number in 0..=100_000 {
            state.pushed(&name(&format!("r{number}")));
        }
        assert_eq!(state.page(None, 1), None);
        state.end(Some(index(["a"])), SECOND);
        assert_eq!(state.page(None, 1), None, "the scan may lack them as well");
        state.begin(2 * SECOND).unwrap();
        state.end(Some(index(["a", "r1"])), 2 * SECOND);
        assert_eq!(names(&state), ["a", "r1"]);
    }

    #[test]
    fn a_scan_that_failed_leaves_no_index_and_is_not_repeated_at_once() {
        let mut state = scanned(&["a"]);
        state.begin(SECOND).unwrap();
        state.end(None, SECOND + 100 * MILLI);
        assert_eq!(state.page(None, 1), None);
        assert_eq!(state.begin(2 * SECOND + 999 * MILLI), None);
        assert_eq!(state.begin(3 * SECOND), Some(3));
    }

    #[test]
    fn an_index_is_saved_when_it_has_changed_and_at_most_each_minute() {
        let mut state = scanned(&["a"]);
        assert!(state.take_unsaved(SECOND).is_some());
        assert!(state.take_unsaved(100 * SECOND).is_none());
        state.begin(100 * SECOND).unwrap();
        state.end(Some(index(["a", "b"])), 100 * SECOND);
        assert!(state.take_unsaved(60 * SECOND).is_none());
        assert!(state.take_unsaved(61 * SECOND).is_some());
        assert!(state.all_unsaved().is_none());
        state.pushed(&name("a-b"));
        let last = state.all_unsaved().unwrap();
        assert!(last.has_names_of(&index(["a", "a-b", "b"])));
        state.not_saved();
        assert!(state.take_unsaved(200 * SECOND).is_some());
    }
}
