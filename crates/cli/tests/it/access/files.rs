//! The file of users: refused at the start with its line, taken up when it changes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use wharfinger_testkit::{RegistryConfig, Scratch, Stopwatch, eventually, run};

use super::{CHEAP, Guarded, lines};

const HASH: &str = "$2y$05$OQYuEhjPAk73G9zriuHnkORYKr7jLVAgZKCJTgbtiV7gAPJNtCNki";

/// What `command` of the binary says to a file of users, which it must refuse.
fn refusal(command: &str, file: &[u8]) -> String {
    let scratch = Scratch::new("refusal").unwrap();
    let users = scratch.join("htpasswd");
    fs::write(&users, file).unwrap();
    let config = scratch.join("config.yml");
    let text = RegistryConfig::new(&scratch.join("data")).text();
    let auth = format!(
        "auth:\n  htpasswd: {{realm: x, path: {}}}\n",
        users.display()
    );
    fs::write(&config, text + &auth).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let told = run(process.arg(command).arg(&config), Duration::from_secs(30));
    assert!(!scratch.join("data").exists(), "something was started");
    told.unwrap_err().to_string()
}

#[test]
fn a_line_that_is_no_users_is_named_at_the_start_and_by_check() {
    let of = |hash: &str| format!("alice:{hash}\n").into_bytes();
    let good = of(HASH);
    for (file, told) in [
        (
            of(&HASH.replace("Hnk", "Hü")),
            "line 1 cannot be used: the bcrypt hash has bytes that are not ASCII",
        ),
        (
            of(&HASH[..59]),
            "line 1 cannot be used: the bcrypt hash has 59 bytes in place of 60",
        ),
        (
            of(&format!("{HASH}i")),
            "line 1 cannot be used: the bcrypt hash has 61 bytes in place of 60",
        ),
        (
            of(&HASH.replace("$05$", "$31$")),
            "line 1 cannot be used: the bcrypt cost 31 is not within 4 to 16",
        ),
        (
            of("$apr1$a$b"),
            "line 1 cannot be used: the password is hashed with MD5, not with bcrypt",
        ),
        (
            of("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
            "line 1 cannot be used: the password is hashed with SHA-1",
        ),
        (
            of("secret"),
            "line 1 cannot be used: the password is not hashed with bcrypt",
        ),
        (
            [&good[..], &good].concat(),
            "line 2 is for the same user as line 1",
        ),
        (
            [&b"\xef\xbb\xbf"[..], &good].concat(),
            "line 1 begins with a byte order mark",
        ),
        (
            [&good[..], b"bob"].concat(),
            "line 2 has no colon after a name",
        ),
        (
            b"\xff\xfea\0l\0".to_vec(),
            "line 1 has no colon after a name",
        ),
    ] {
        for command in ["serve", "check"] {
            let refused = refusal(command, &file);
            assert!(refused.contains("exit status: 1"), "{refused}");
            assert!(refused.contains(told), "{command}: {refused}");
            assert!(refused.contains("`auth.htpasswd.path`"), "{refused}");
            assert!(
                !refused.contains(&HASH[7..40]) && !refused.contains("panicked"),
                "{refused}"
            );
        }
    }
}

#[test]
fn lines_that_end_as_in_windows_are_lines() {
    let users = lines(&[("alice", "a")], CHEAP).replace('\n', "\r\n");
    let guarded = Guarded::start(&[("bob", "b")], CHEAP);
    guarded.replace(&users);
    eventually!(guarded.ping("alice", "a") == 200);
    assert_eq!(guarded.ping("bob", "b"), 401);
}

#[test]
fn a_user_who_is_removed_is_refused_within_a_second() {
    let guarded = Guarded::start(&[("alice", "a"), ("bob", "b")], CHEAP);
    assert_eq!(guarded.ping("bob", "b"), 200);
    guarded.replace(&lines(&[("alice", "a")], CHEAP));
    let watch = Stopwatch::start();
    eventually!(guarded.ping("bob", "b") == 401);
    // What is stated, and a moment for a busy machine.
    assert!(
        watch.elapsed() < Duration::from_secs(2),
        "{:?}",
        watch.elapsed()
    );
    assert_eq!(guarded.ping("alice", "a"), 200);
}

#[test]
fn a_bad_change_is_told_and_leaves_everything_as_it_was() {
    let guarded = Guarded::start(&[("alice", "a")], CHEAP);
    guarded.replace("alice:c4nary\n");
    let told = "the changed htpasswd file cannot be used; the users stay as they were";
    eventually!(guarded.ping("alice", "a") == 200 && guarded.log().contains(told));
    let log = guarded.log();
    let line = log.lines().find(|line| line.contains(told)).unwrap();
    assert!(
        line.contains("ERROR") && line.contains("line 1 cannot be used"),
        "{line}"
    );
    assert!(!log.contains("c4nary"));
    fs::remove_file(&guarded.users).unwrap();
    eventually!(guarded.ping("alice", "a") == 200 && guarded.log().contains("is missing"));
    // Each is told once, and not at every look.
    let watch = Stopwatch::start();
    eventually!(guarded.ping("alice", "a") == 200 && watch.elapsed() > Duration::from_secs(3));
    assert_eq!(guarded.log().matches(told).count(), 2);
}
