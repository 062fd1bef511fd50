//! Connections that are cut at any byte: in the middle of a frame, of a message, of a commit.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use wharfinger_content::{Commit, ContentStore as _, Mode, Remote};
use wharfinger_runtime::{Entropy as _, Runtime, SeededEntropy};

use crate::streams::{assert_back, files_and_tasks, streams};
use crate::subject::{local, open, parse, sample, serve};

/// 50 at a time, as many connections as tests of a busy machine can have open.
const AT_ONCE: usize = 50;

/// The bytes that a client sends.
type Sent = Arc<Mutex<Vec<u8>>>;

/// Stands between a client and `socket` and notes what the client sends.
async fn record(listener: UnixListener, socket: PathBuf, sent: Sent) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut server = UnixStream::connect(socket).await.unwrap();
    let (mut asked, mut told) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            length = client.read(&mut asked) => match length {
                Ok(length) if length > 0 => {
                    sent.lock().unwrap().extend(&asked[..length]);
                    server.write_all(&asked[..length]).await.unwrap();
                }
                _ => return,
            },
            length = server.read(&mut told) => match length {
                Ok(length) if length > 0 => client.write_all(&told[..length]).await.unwrap(),
                _ => return,
            },
        }
    }
}

/// Returns all that a client sends which writes a blob in some pieces.
async fn recorded(scratch: &Path, socket: &Path, runtime: &Runtime) -> Vec<u8> {
    let between = scratch.join("between");
    let listener = UnixListener::bind(&between).unwrap();
    let sent = Sent::default();
    let recording = record(listener, socket.to_owned(), Arc::clone(&sent));
    let recording = runtime.tasks.spawn(recording);
    let remote = Remote::new(&between, runtime.tasks.clone());
    let mut writer = remote.open(open("cut")).await.unwrap();
    for seed in 0..4 {
        writer.write(sample(30_000, seed)).await.unwrap();
    }
    let digest = writer.commit(Commit::default()).await.unwrap();
    remote.delete(&digest).await.unwrap();
    drop(remote);
    recording.await.unwrap();
    let sent = sent.lock().unwrap();
    sent.clone()
}

/// Sends the beginning of what was recorded; what is returned is left to itself.
async fn cut(socket: &Path, begun: &[u8], number: usize) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The other side may have had enough.
    stream.write_all(begun).await.ok();
    match number % 3 {
        0 => None,
        1 => {
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let read = stream.read_to_end(&mut rest);
            let ended = tokio::time::timeout(Duration::from_secs(60), read).await;
            assert!(ended.is_ok(), "a half-closed connection stays open");
            None
        }
        _ => Some(stream),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_any_byte_leave_no_lock_no_file_and_no_task() {
    let scratch = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(8);
    let local = local(scratch.path(), &runtime, false);
    let socket = serve(scratch.path(), "socket", local, Mode::Plugin, &runtime);
    let sent = recorded(scratch.path(), &socket, &runtime).await;
    assert!(sent.len() > 120_000, "{}", sent.len());

    let remote = Remote::new(&socket, runtime.tasks.clone());
    assert_eq!(remote.statuses(&parse(&[])).await.unwrap(), []);
    let before = files_and_tasks(&runtime);
    let random = SeededEntropy::new(12);
    let mut has_met_ingest = false;
    for round in 0..streams() / AT_ONCE {
        let cuts = (0..AT_ONCE).map(|number| {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            // Also within the first frames, which most cuts would miss.
            let most = if number % 5 == 0 {
                400
            } else {
                sent.len() as u64
            };
            let length = usize::try_from(u64::from_le_bytes(bytes) % most).unwrap();
            cut(&socket, &sent[..length], round + number)
        });
        let abandoned = futures_util::future::join_all(cuts).await;
        has_met_ingest |= !remote.statuses(&parse(&[])).await.unwrap().is_empty();
        drop(abandoned);
    }
    assert!(has_met_ingest, "no cut came as far as an ingest");

    let writer = loop {
        match remote.open(open("cut")).await {
            Ok(writer) => break writer,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    writer.abort().await.unwrap();
    assert_eq!(remote.statuses(&parse(&[])).await.unwrap(), []);
    assert_back(&runtime, before);
}
