use std::fs;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tempfile::TempDir;
use wharfinger_runtime::ManualClock;

use super::*;
use crate::UserName;

/// A file, what it is read by, and time that stands still.
struct Fixture {
    scratch: TempDir,
    clock: Arc<ManualClock>,
    htpasswd: Htpasswd,
}

impl Fixture {
    /// Starts with alice and bob. What is in the file counts as written long ago.
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("htpasswd");
        fs::write(&path, file(&[("alice", "a"), ("bob", "b")])).unwrap();
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33);
        let clock = Arc::new(ManualClock::new(later));
        let runtime = Runtime {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Runtime::new(2)
        };
        let htpasswd = Htpasswd::open("wharf", path, 1, &runtime).unwrap();
        Self {
            scratch,
            clock,
            htpasswd,
        }
    }

    fn write(&self, text: &str) {
        // In another place, so that the file appears whole.
        let (path, new) = (self.path(), self.scratch.path().join("new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("htpasswd")
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn login(&self, name: &str, password: &str) -> Result<String, Refusal> {
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let credentials = Credentials::parse([value.as_bytes()]);
        let peer = [127, 0, 0, 1].into();
        let principal = self.htpasswd.authenticate(&credentials, peer).await?;
        Ok(principal.name().unwrap().to_owned())
    }

    async fn lets_in(&self, name: &str, password: &str) -> bool {
        self.login(name, password).await == Ok(name.to_owned())
    }
}

fn line(name: &str, password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_salt(password, cost, [3; 16]).unwrap();
    format!("{name}:{hash}\n")
}

fn file(users: &[(&str, &str)]) -> String {
    let lines = users.iter().map(|(name, password)| line(name, password, 4));
    lines.collect()
}

#[tokio::test]
async fn a_user_with_the_right_password_is_let_in_and_nobody_else() {
    let fixture = Fixture::new();
    assert!(fixture.lets_in("alice", "a").await);
    assert!(fixture.lets_in("bob", "b").await);
    for (name, password) in [
        ("alice", "b"),
        ("alice", ""),
        ("Alice", "a"),
        ("alice ", "a"),
        ("carol", "a"),
        ("", ""),
        ("", "a"),
    ] {
        let refused = fixture.login(name, password).await;
        assert_eq!(refused, Err(Refusal::Unknown), "{name}:{password}");
        // Nor the second time, whatever is remembered.
        assert_eq!(fixture.login(name, password).await, Err(Refusal::Unknown));
    }
    let other = Credentials::parse([&b"Bearer alice:a"[..]]);
    let refused = fixture.htpasswd.authenticate(&other, [0, 0, 0, 0].into());
    assert_eq!(refused.await, Err(Refusal::Unknown));
    assert_eq!(
        fixture.htpasswd.challenge(&[]).to_string(),
        r#"Basic realm="wharf""#
    );
}

#[tokio::test]
async fn a_login_that_was_right_costs_no_hash_for_a_minute() {
    let fixture = Fixture::new();
    assert!(fixture.lets_in("alice", "a").await);
    let stalled = fixture.htpasswd.hashing.stall().await;
    let costs_nothing = |name, password| fixture.lets_in(name, password).now_or_never();
    assert_eq!(costs_nothing("alice", "a"), Some(true));
    assert_eq!(costs_nothing("alice", "b"), None);
    assert_eq!(costs_nothing("bob", "a"), None);
    drop(stalled);
    fixture.pass(59);
    // Whoever comes first looks at the file.
    assert!(fixture.lets_in("bob", "b").await);
    let _stalled = fixture.htpasswd.hashing.stall().await;
    assert_eq!(costs_nothing("alice", "a"), Some(true));
    fixture.pass(1);
    assert!(fixture.lets_in("bob", "b").await);
    assert_eq!(costs_nothing("alice", "a"), None);
}

#[tokio::test]
async fn who_is_removed_or_has_another_password_is_refused_within_a_second() {
    let fixture = Fixture::new();
    assert!(fixture.lets_in("alice", "a").await);
    assert!(fixture.lets_in("bob", "b").await);
    fixture.write(&file(&[("alice", "new"), ("carol", "c")]));
    fixture.pass(1);
    assert!(!fixture.lets_in("bob", "b").await);
    assert!(!fixture.lets_in("alice", "a").await);
    assert!(fixture.lets_in("alice", "new").await);
    assert!(fixture.lets_in("carol", "c").await);
}

#[tokio::test]
async fn the_file_is_looked_at_once_a_second() {
    let fixture = Fixture::new();
    fixture.write(&file(&[("carol", "c")]));
    assert!(fixture.lets_in("alice", "a").await);
    fixture.pass(1);
    assert!(fixture.lets_in("carol", "c").await);
    fixture.write(&file(&[("alice", "a")]));
    assert!(fixture.lets_in("carol", "c").await);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_leaves_the_users_as_they_were() {
    let fixture = Fixture::new();
    let good = file(&[("carol", "c")]);
    for bad in ["alice\n", "alice:$apr1$x\n", &format!("\u{feff}{good}")] {
        fixture.write(bad);
        fixture.pass(1);
        assert!(fixture.lets_in("alice", "a").await, "{bad}");
        assert!(!fixture.lets_in("carol", "c").await, "{bad}");
    }
    fs::remove_file(fixture.path()).unwrap();
    fixture.pass(1);
    assert!(fixture.lets_in("alice", "a").await);
    fs::create_dir(fixture.path()).unwrap();
    fixture.pass(1);
    assert!(fixture.lets_in("alice", "a").await);
    fs::remove_dir(fixture.path()).unwrap();
    fixture.write(&good);
    fixture.pass(1);
    assert!(!fixture.lets_in("alice", "a").await);
    assert!(fixture.lets_in("carol", "c").await);
}

#[tokio::test]
async fn an_emptied_file_lets_nobody_in() {
    let fixture = Fixture::new();
    assert!(fixture.lets_in("alice", "a").await);
    fixture.write("");
    fixture.pass(1);
    assert!(!fixture.lets_in("alice", "a").await);
}

#[tokio::test]
async fn a_file_that_was_just_written_is_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("htpasswd");
    fs::write(&path, file(&[("alice", "a")])).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let clock = Arc::new(ManualClock::new(written));
    let opened = Watched::open(path.clone(), [0; 32], Arc::clone(&clock) as Arc<dyn Clock>);
    let watched = opened.unwrap();
    assert_eq!(watched.seen.lock().unwrap().version, None);
    let before = watched.known();
    clock.advance(Duration::from_secs(1));
    watched.look();
    assert!(watched.seen.lock().unwrap().version.is_some());
    // The same users keep their memory of logins.
    assert!(Arc::ptr_eq(&before, &watched.known()));
}

#[tokio::test]
async fn a_name_that_is_not_there_costs_what_a_user_costs() {
    let users = [line("a", "x", 4), line("b", "x", 6), line("c", "x", 6)].concat();
    let users = file::parse(Path::new("f"), users.as_bytes()).unwrap();
    let snapshot = Snapshot::new(users, [9; 32]);
    let cost = |number: u32| snapshot.nobodys_hash(&number.to_le_bytes()).cost();
    let cheap = (0..3000).filter(|number| cost(*number) == 4).count();
    assert!((800..1200).contains(&cheap), "{cheap}");
    assert!((0..3000).all(|number| [4, 6].contains(&cost(number))));
    assert_eq!(snapshot.nobodys_hash(b"x"), snapshot.nobodys_hash(b"x"));
    assert_ne!(snapshot.nobodys_hash(b"x"), snapshot.nobodys_hash(b"y"));
    let empty = Snapshot::new(Users::new(), [9; 32]);
    assert_eq!(empty.nobodys_hash(b"x").cost(), USUAL_COST);
}

#[tokio::test]
async fn too_many_that_wait_are_told_so_and_those_who_are_known_are_not() {
    let fixture = Fixture::new();
    assert!(fixture.lets_in("alice", "a").await);
    let guesses: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let guesses = guesses.iter().map(|guess| fixture.login("bob", guess));
    let (answers, known) = futures_util::join!(join_all(guesses), async {
        fixture.lets_in("alice", "a").now_or_never()
    });
    let busy = answers
        .iter()
        .filter(|it| **it == Err(Refusal::Busy))
        .count();
    assert!((1..100).contains(&busy), "{busy}");
    assert_eq!(known, Some(true));
    assert!(fixture.lets_in("bob", "b").await);
}

#[test]
fn nothing_that_prints_shows_a_hash() {
    let fixture = Fixture::new();
    let shown = format!("{:?}", fixture.htpasswd);
    let hash = bcrypt::hash_with_salt("a", 4, [3; 16]).unwrap().to_string();
    assert!(
        !shown.contains(&hash[7..29]) && !shown.contains("2b$"),
        "{shown}"
    );
    assert!(shown.contains("2 users"), "{shown}");
    assert_eq!(UserName::new("x").to_string(), "x");
}
