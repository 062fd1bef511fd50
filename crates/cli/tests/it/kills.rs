//! `kill -9` under four pushers, again and again: no acknowledged image is lost, nothing partial is seen.

mod pusher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use wharfinger_testkit::{Random, RegistryConfig, Scratch, Server, setting, tell};

pub(crate) use self::pusher::Pusher;
use crate::setup::{machine, wharfinger};
use crate::tree::Tree;

/// How often the server is killed, unless `WHARFINGER_KILLS` says otherwise.
const KILLS: usize = 100;

const PUSHERS: u64 = 4;

/// From the start of the process to the first answer; a restart that is not noticed by a client that retries.
const RESTART: Duration = Duration::from_millis(250);

#[test]
fn no_acknowledged_image_is_lost_to_kills() {
    let kills = setting("WHARFINGER_KILLS").map_or(KILLS, |text| {
        text.parse().expect("WHARFINGER_KILLS is a number")
    });
    let _machine = machine();
    let scratch = Scratch::new("kills").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|number| {
            let (address, stop) = (server.address(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut pusher = Pusher::new(number, address);
                pusher.push_until(&stop);
                pusher
            })
        })
        .collect();
    let mut restarts = kill_again_and_again(&mut server, kills).unwrap();
    stop.store(true, Ordering::Relaxed);
    let pushers: Vec<Pusher> = pushers.into_iter().map(|it| it.join().unwrap()).collect();

    // What the last kill left behind shows only after one more.
    restarts.extend(kill_again_and_again(&mut server, 1).unwrap());
    thread::scope(|scope| {
        for pusher in &pushers {
            scope.spawn(|| pusher.check().unwrap());
        }
    });
    restarts.sort();
    let tree = Tree::scan(&config.root).unwrap();
    tell_figures(&pushers, &restarts, &tree);
    assert!(tree.faults.is_empty(), "{}", tree.faults.join("\n"));
    let images: usize = pushers.iter().map(Pusher::acknowledged).sum();
    assert!(
        images > kills,
        "{images} images in {kills} kills prove little"
    );
    // They are sorted; one in a hundred may meet a machine that does something else.
    let most = restarts[restarts.len() * 99 / 100 - 1];
    assert!(most < RESTART, "99 of 100 restarts took up to {most:?}");
}

/// Kills and restarts, at a random moment each time; returns how long each restart took.
fn kill_again_and_again(server: &mut Server, kills: usize) -> Result<Vec<Duration>> {
    let mut random = Random::new(u64::from(std::process::id()));
    (0..kills)
        .map(|_| {
            thread::sleep(Duration::from_millis(random.between(50, 400)));
            server.kill()?;
            server.restart()
        })
        .collect()
}

fn tell_figures(pushers: &[Pusher], restarts: &[Duration], tree: &Tree) {
    let images: usize = pushers.iter().map(Pusher::acknowledged).sum();
    let cut: usize = pushers.iter().map(Pusher::cut).sum();
    tell(&format!(
        "kills: {} kills; {images} images acknowledged and read back, {cut} cut off; restart median \
         {:?}, slowest {:?}; {} blobs, {} links, {} faults; left over: {} uploads, {} temporary files",
        restarts.len(),
        restarts[restarts.len() / 2],
        restarts[restarts.len() - 1],
        tree.blobs,
        tree.links,
        tree.faults.len(),
        tree.uploads,
        tree.temporary,
    ));
}
