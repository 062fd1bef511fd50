//! Random sequences of operations, held against a map.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Handle;

use crate::{Commit, Condition, Driver, Durability, EntryKind, ErrorKind, Put, ReadRange, Target};

use super::Subject;
use super::tools::{begin, drain, get, path, pattern, resume};

/// 24 sequences: a second or two on a disk that syncs.
const CASES: u32 = 24;
const DIRECTORIES: [&str; 5] = ["a", "a-b", "a0", "b", "b/c"];
const NAMES: [&str; 4] = ["v", "v-1", "=w", "x"];

type Model = BTreeMap<String, Bytes>;

#[derive(Debug, Clone)]
enum Operation {
    Put(Vec<Write>),
    Ingest {
        sessions: Vec<Vec<usize>>,
        staged: bool,
        write: Write,
    },
    Read {
        at: String,
        start: usize,
        length: Option<usize>,
    },
    Delete(String),
    DeleteDirectory(&'static str),
    List {
        directory: &'static str,
        after: Option<&'static str>,
        limit: usize,
    },
}

#[derive(Debug, Clone)]
struct Write {
    at: String,
    seed: u8,
    length: usize,
    if_absent: bool,
}

/// Any sequence of operations does to a driver what it does to a map.
pub async fn random_operations_do_as_a_map_does(subject: &Subject) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let handle = Handle::current();
    let mut case = 0;
    let cases = std::cell::RefCell::new(&mut case);
    // The runner is synchronous, so that it can make a failing sequence shorter; the clause runs on
    // a runtime with several threads, of which it may block one.
    let result = tokio::task::block_in_place(|| {
        runner.run(&prop::collection::vec(operation(), 1..25), |operations| {
            let number = {
                let mut case = cases.borrow_mut();
                **case += 1;
                **case
            };
            handle.block_on(run(&*subject.driver, &format!("case-{number}"), operations))
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let ingest = (
        prop::collection::vec(prop::collection::vec(0..40_000_usize, 0..4), 1..3),
        any::<bool>(),
        write(),
    );
    let read = (value_path(), 0..6000_usize, prop::option::of(0..6000_usize));
    let list = (
        prop::sample::select(&DIRECTORIES[..]),
        prop::option::of(prop::sample::select(&["c", "v", "v-", "=", "x"][..])),
        1..4_usize,
    );
    prop_oneof![
        4 => prop::collection::vec(write(), 1..4).prop_map(Operation::Put),
        3 => ingest.prop_map(|(sessions, staged, write)| Operation::Ingest { sessions, staged, write }),
        2 => read.prop_map(|(at, start, length)| Operation::Read { at, start, length }),
        2 => value_path().prop_map(Operation::Delete),
        1 => prop::sample::select(&DIRECTORIES[..]).prop_map(Operation::DeleteDirectory),
        2 => list.prop_map(|(directory, after, limit)| Operation::List { directory, after, limit }),
    ]
}

fn value_path() -> impl Strategy<Value = String> {
    let directory = prop::sample::select(&DIRECTORIES[..]);
    let name = prop::sample::select(&NAMES[..]);
    (directory, name).prop_map(|(directory, name)| format!("{directory}/{name}"))
}

fn write() -> impl Strategy<Value = Write> {
    (value_path(), any::<u8>(), 0..5000_usize, any::<bool>()).prop_map(
        |(at, seed, length, if_absent)| Write {
            at,
            seed,
            length,
            if_absent,
        },
    )
}

async fn run(
    driver: &dyn Driver,
    root: &str,
    operations: Vec<Operation>,
) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    for operation in operations {
        match operation {
            Operation::Put(writes) => check_put(driver, root, &mut model, &writes).await?,
            Operation::Ingest {
                sessions,
                staged,
                write,
            } => {
                check_ingest(driver, root, &mut model, &sessions, staged, &write).await?;
            }
            Operation::Read { at, start, length } => {
                check_read(driver, root, &model, &at, start, length).await?;
            }
            Operation::Delete(at) => {
                let result = driver
                    .delete(&path(&format!("{root}/{at}")), Durability::Scratch)
                    .await;
                let wanted = model.remove(&at).ok_or(ErrorKind::NotFound);
                prop_assert_eq!(result.map_err(|error| error.kind()), wanted.map(drop));
            }
            Operation::DeleteDirectory(at) => {
                check_delete_directory(driver, root, &mut model, at).await?;
            }
            Operation::List {
                directory,
                after,
                limit,
            } => {
                check_list(driver, root, &model, directory, after, limit).await?;
            }
        }
    }
    for directory in DIRECTORIES {
        check_list(driver, root, &model, directory, None, 100).await?;
        for name in NAMES {
            let at = format!("{directory}/{name}");
            let found = get(driver, &format!("{root}/{at}"))
                .await
                .map_err(|error| error.kind());
            let wanted = model.get(&at).cloned().ok_or(ErrorKind::NotFound);
            prop_assert_eq!(found, wanted, "{}", at);
        }
    }
    Ok(())
}

/// Returns the condition of a write, and whether it will be made.
fn expected(model: &Model, write: &Write) -> (Condition, Result<(), ErrorKind>) {
    match write.if_absent {
        true if model.contains_key(&write.at) => {
            (Condition::IfAbsent, Err(ErrorKind::AlreadyExists))
        }
        true => (Condition::IfAbsent, Ok(())),
        false => (Condition::Replace, Ok(())),
    }
}

async fn check_put(
    driver: &dyn Driver,
    root: &str,
    model: &mut Model,
    writes: &[Write],
) -> Result<(), TestCaseError> {
    let mut puts = Vec::new();
    let mut wanted = Ok(());
    for write in writes {
        let bytes = pattern(write.seed, write.length);
        let (condition, result) = expected(model, write);
        let at = path(&format!("{root}/{}", write.at));
        puts.push(Put {
            condition,
            ..Put::replace(at, bytes.clone())
        });
        if wanted.is_ok() {
            wanted = result;
        }
        if wanted.is_ok() {
            model.insert(write.at.clone(), bytes);
        }
    }
    let result = driver.put(&puts, Durability::Scratch).await;
    prop_assert_eq!(result.map_err(|error| error.kind()), wanted);
    Ok(())
}

async fn check_ingest(
    driver: &dyn Driver,
    root: &str,
    model: &mut Model,
    sessions: &[Vec<usize>],
    staged: bool,
    write: &Write,
) -> Result<(), TestCaseError> {
    let destination = path(&format!("{root}/{}", write.at));
    let staged_at = format!("{root}-up/data");
    let mut ingest = if staged {
        begin(driver, &staged_at).await
    } else {
        driver
            .begin(&Target::Final(destination.clone()))
            .await
            .unwrap()
    };
    let mut bytes = Vec::new();
    for (number, pieces) in sessions.iter().enumerate() {
        if staged && number > 0 {
            let closed = ingest.close().await.unwrap();
            drop(ingest);
            ingest = resume(driver, &staged_at, &closed).await.unwrap();
        }
        for &length in pieces {
            let piece = pattern(write.seed, length);
            bytes.extend_from_slice(&piece);
            ingest.append(vec![piece]).await.unwrap();
        }
    }
    prop_assert_eq!(ingest.offset(), bytes.len() as u64);
    let (condition, wanted) = expected(model, write);
    let commit = Commit {
        condition,
        ..Commit::new(destination)
    };
    let result = ingest.commit(commit).await;
    prop_assert_eq!(result.map_err(|error| error.kind()), wanted);
    match wanted {
        Ok(()) => drop(model.insert(write.at.clone(), bytes.into())),
        Err(_) => ingest.abort().await.unwrap(),
    }
    Ok(())
}

async fn check_read(
    driver: &dyn Driver,
    root: &str,
    model: &Model,
    at: &str,
    start: usize,
    length: Option<usize>,
) -> Result<(), TestCaseError> {
    let range = ReadRange {
        start: start as u64,
        length: length.map(|length| length as u64),
    };
    let found = match driver.read(&path(&format!("{root}/{at}")), range).await {
        Ok(stream) => Ok(drain(stream).await.unwrap()),
        Err(error) => Err(error.kind()),
    };
    let wanted = match model.get(at) {
        None => Err(ErrorKind::NotFound),
        Some(value) if start > value.len() => Err(ErrorKind::Invalid),
        Some(value) => {
            let end = length.map_or(value.len(), |length| value.len().min(start + length));
            Ok(value.slice(start..end))
        }
    };
    prop_assert_eq!(found, wanted);
    Ok(())
}

async fn check_delete_directory(
    driver: &dyn Driver,
    root: &str,
    model: &mut Model,
    at: &str,
) -> Result<(), TestCaseError> {
    let prefix = format!("{at}/");
    let before = model.len();
    model.retain(|path, _| !path.starts_with(&prefix));
    let result = driver
        .delete(&path(&format!("{root}/{at}")), Durability::Scratch)
        .await;
    match result {
        Err(error) => {
            prop_assert_eq!(error.kind(), ErrorKind::NotFound);
            prop_assert_eq!(model.len(), before);
        }
        // An empty directory may still have been there.
        Ok(()) => prop_assert!(model.len() < before || driver.capabilities().directories),
    }
    Ok(())
}

async fn check_list(
    driver: &dyn Driver,
    root: &str,
    model: &Model,
    directory: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(), TestCaseError> {
    let prefix = format!("{directory}/");
    let below = model.keys().filter_map(|path| path.strip_prefix(&prefix));
    let wanted: BTreeSet<&str> = below
        .filter_map(|rest| rest.split('/').next())
        .filter(|name| after.is_none_or(|after| *name > after))
        .collect();
    let result = driver
        .list(&path(&format!("{root}/{directory}")), after, limit)
        .await;
    let page = match result {
        Ok(page) => page,
        Err(error) => {
            prop_assert_eq!(error.kind(), ErrorKind::NotFound);
            prop_assert!(driver.capabilities().directories && wanted.is_empty());
            return Ok(());
        }
    };
    prop_assert!(page.entries.len() <= limit);
    // Only directories may be there that the map knows nothing of: those that were emptied.
    let surplus = page
        .entries
        .iter()
        .filter(|entry| !wanted.contains(entry.name.as_str()));
    for entry in surplus {
        prop_assert!(driver.capabilities().directories && entry.kind == EntryKind::Directory);
    }
    let mut found = page.entries.iter().map(|entry| entry.name.as_str());
    let expected: Vec<&str> = match page.entries.last() {
        Some(last) if page.more => wanted
            .iter()
            .copied()
            .filter(|name| *name <= last.name.as_str())
            .collect(),
        _ => wanted.into_iter().collect(),
    };
    for name in expected {
        prop_assert!(
            found.any(|found| found == name),
            "{} is listed in its place",
            name
        );
    }
    Ok(())
}
