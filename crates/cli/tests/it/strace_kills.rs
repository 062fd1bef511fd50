//! One small push, killed after each of its system calls in turn, for every one of them.
//!
//! strace counts calls for each thread by itself, so its own `signal=KILL:when=N` would meet only some of
//! them: which thread of a server takes a step is chance. Here strace holds the server for a moment at the
//! end of every call that can change something, and the test kills it there when the N-th of the whole push
//! is done. To be killed after the N-th is to be killed before the one that follows.

mod push;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use wharfinger_testkit::{RegistryConfig, Scratch, Server, tell, tool};

use self::push::Push;
use self::trace::Trace;
use crate::setup::{machine, wharfinger};
use crate::tree::Tree;

/// No push takes more calls; a server that never gets through would loop here for ever.
const MOST_CALLS: usize = 1000;

/// How often a kill that came late is tried again.
const ATTEMPTS: usize = 4;

/// How often the watcher looks; a small part of the time for which a call is held.
const LOOK: Duration = Duration::from_micros(500);

/// A server on a directory of its own, killed again and again.
struct Victim {
    server: Server,
    root: PathBuf,
    scratch: Scratch,
    slowest_restart: Duration,
    /// The names of the calls after which it was killed.
    killed_after: Vec<String>,
    pushes: usize,
    /// How often another call slipped in before the kill.
    late: usize,
    /// Faults of the directory that were told already.
    broken: BTreeSet<String>,
    faults: Vec<String>,
}

#[test]
fn a_push_killed_after_any_call_loses_nothing_and_can_be_repeated() {
    let Some(strace) = tool("strace") else { return };
    let _machine = machine();
    let mut victim = Victim::start().unwrap();
    let passed = (1..MOST_CALLS).find(|&call| !victim.kill_right_after(&strace, call).unwrap());
    let calls = passed.expect("a push ends");

    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &victim.killed_after {
        *by_name.entry(name).or_default() += 1;
    }
    tell(&format!(
        "strace: a push of {} calls, killed {} times ({} late), after {by_name:?}; slowest restart {:?}; {} faults",
        calls - 1,
        victim.killed_after.len(),
        victim.late,
        victim.slowest_restart,
        victim.faults.len(),
    ));
    assert!(victim.faults.is_empty(), "{}", victim.faults.join("\n"));
    for name in ["write", "mkdir"] {
        assert!(
            by_name.keys().any(|it| it.contains(name)),
            "never killed after a {name}"
        );
    }
}

impl Victim {
    fn start() -> Result<Self> {
        let scratch = Scratch::new("strace")?;
        let config = RegistryConfig::new(&scratch.join("data"));
        let server = wharfinger(&config, &scratch)?;
        Ok(Self {
            server,
            root: config.root,
            scratch,
            slowest_restart: Duration::ZERO,
            killed_after: Vec::new(),
            pushes: 0,
            late: 0,
            broken: BTreeSet::new(),
            faults: Vec::new(),
        })
    }

    /// Kills the server when `calls` calls of a fresh push are done, and not one more, in so many attempts as
    /// may be needed. Returns whether the push was that long.
    fn kill_right_after(&mut self, strace: &Path, calls: usize) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            match self.kill_after(strace, calls)? {
                None => return Ok(false),
                Some(done) if done == calls => return Ok(true),
                Some(_) => self.late += 1,
            }
        }
        // Two threads that are always held together: then the calls of both are done together.
        Ok(true)
    }

    /// Kills the server when `calls` calls of a fresh push are done, starts it again and looks at what is
    /// there. Returns how many were done when it died; none if the push was not that long.
    fn kill_after(&mut self, strace: &Path, calls: usize) -> Result<Option<usize>> {
        self.pushes += 1;
        let number = self.pushes;
        let mut trace = Trace::attach(strace, self.server.process()?.id(), &self.scratch, number)?;
        let address = self.server.address();
        let pushing = thread::spawn(move || {
            let mut push = Push::new(number);
            let outcome = push.run(address);
            (push, outcome)
        });
        let mut cut = false;
        while !cut && !pushing.is_finished() {
            cut = trace.calls()?.len() >= calls;
            thread::sleep(if cut { Duration::ZERO } else { LOOK });
        }
        if cut {
            self.server.kill()?;
        }
        let (mut push, outcome) = pushing.join().expect("a push reports its faults");
        let names = trace.calls()?;
        trace.detach()?;
        if !cut {
            outcome?;
        }

        self.slowest_restart = self.slowest_restart.max(self.server.restart()?);
        let last = names.last().cloned().unwrap_or_default();
        let mut faults = push.check(address);
        // A file that is broken stays so, and is told once.
        let broken = Tree::scan(&self.root)?.faults;
        faults.extend(
            broken
                .into_iter()
                .filter(|fault| self.broken.insert(fault.clone())),
        );
        if faults.is_empty() {
            trace.forget()?;
        }
        let story = format!("push {number}, killed after call {}, {last}", names.len());
        self.faults
            .extend(faults.iter().map(|fault| format!("{story}: {fault}")));
        if cut {
            self.killed_after.push(last);
        }
        Ok(cut.then_some(names.len()))
    }
}
