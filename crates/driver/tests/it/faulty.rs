//! What a planned fault leaves behind.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use wharfinger_driver::{
    Checkpoint, Commit, Driver, DriverExt as _, DriverPath, Durability, ErrorKind, Fault,
    FaultPlan, Faulty, Memory, Method, Put, ReadRange, Result, Resume, Target,
};
use wharfinger_runtime::ManualClock;

const LOST: ErrorKind = ErrorKind::Unavailable;

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

fn faulty(plan: FaultPlan) -> (Memory, Faulty) {
    let below = Memory::new();
    (below.clone(), Faulty::new(Arc::new(below), plan))
}

/// An operation of several steps: a blob and its link.
async fn store(driver: &dyn Driver) -> Result<()> {
    let mut ingest = driver.begin(&Target::Staged(path("up/data"))).await?;
    ingest.append(vec!["all ".into()]).await?;
    ingest.checkpoint().await?;
    ingest.append(vec!["aboard".into()]).await?;
    let then = vec![Put::replace(path("link"), "blob".into())];
    ingest
        .commit(Commit {
            then,
            ..Commit::new(path("blob"))
        })
        .await?;
    driver
        .put_one(&path("done"), "yes".into(), Durability::Durable)
        .await
}

const STEPS: [Method; 6] = [
    Method::Begin,
    Method::Append,
    Method::Checkpoint,
    Method::Append,
    Method::Commit,
    Method::Put,
];

#[tokio::test]
async fn the_log_tells_every_step() {
    let (_, faulty) = faulty(FaultPlan::new());
    store(&faulty).await.unwrap();
    let calls = faulty.calls();
    assert_eq!(
        calls.iter().map(|call| call.method).collect::<Vec<_>>(),
        STEPS
    );
    assert_eq!(
        calls.iter().map(|call| call.number).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        paths,
        ["up/data", "up/data", "up/data", "up/data", "blob", "done"]
    );
}

#[tokio::test]
async fn after_a_crash_the_steps_before_it_are_done_and_no_others() {
    for number in 0..=STEPS.len() {
        let (below, faulty) = faulty(FaultPlan::new().crash_from(number));
        let result = store(&faulty).await;
        assert_eq!(result.is_ok(), number == STEPS.len());
        let staged = below.resume(&path("up/data"), Resume::default()).await;
        let staged = staged.ok().map(|ingest| ingest.offset());
        let wanted = [None, Some(0), Some(4), Some(4), Some(10), None, None];
        assert_eq!(staged, wanted[number], "crash before step {number}");
        let blob = below.find_small(&path("blob")).await.unwrap();
        assert_eq!(blob.is_some(), number >= 5, "crash before step {number}");
        assert_eq!(
            below.find(&path("done")).await.unwrap().is_some(),
            number >= 6
        );
        // The process is dead: nothing works any more.
        if number < STEPS.len() {
            assert_eq!(
                faulty.get_small(&path("blob")).await.unwrap_err().kind(),
                LOST
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_step_done() {
    for number in 0..STEPS.len() {
        let plan = FaultPlan::new().at_call(number, Fault::After(LOST));
        let (below, faulty) = faulty(plan);
        assert_eq!(store(&faulty).await.unwrap_err().kind(), LOST);
        assert_eq!(faulty.calls().len(), number + 1);
        let blob = below.find_small(&path("blob")).await.unwrap();
        assert_eq!(blob.is_some(), number >= 4, "step {number}");
        assert_eq!(
            below.find(&path("done")).await.unwrap().is_some(),
            number >= 5
        );
    }
}

#[tokio::test]
async fn the_nth_call_of_a_method_fails() {
    let (below, faulty) = faulty(FaultPlan::new().fail(Method::Put, 1, ErrorKind::Full));
    let put = async |name: &str| {
        faulty
            .put_one(&path(name), "bytes".into(), Durability::Durable)
            .await
    };
    put("a").await.unwrap();
    faulty.stat(&path("a")).await.unwrap();
    assert_eq!(put("b").await.unwrap_err().kind(), ErrorKind::Full);
    put("c").await.unwrap();
    assert!(below.find(&path("b")).await.unwrap().is_none());
    assert!(below.find(&path("c")).await.unwrap().is_some());
}

#[tokio::test]
async fn what_always_fails_does_so_each_time() {
    let plan = FaultPlan::new().always(Method::Stat, Fault::Before(ErrorKind::Refused));
    let (_, faulty) = faulty(plan.at(Method::Stat, 1, Fault::Before(LOST)));
    for kind in [ErrorKind::Refused, LOST, ErrorKind::Refused] {
        assert_eq!(faulty.stat(&path("a")).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn a_cut_append_breaks_the_handle_and_can_be_resumed_from_before() {
    let cut = Fault::Cut {
        after: 3,
        kind: ErrorKind::Full,
    };
    let (below, faulty) = faulty(FaultPlan::new().at(Method::Append, 1, cut));
    let mut ingest = faulty
        .begin(&Target::Staged(path("up/data")))
        .await
        .unwrap();
    ingest.append(vec!["first".into()]).await.unwrap();
    let failed = ingest.append(vec!["se".into(), "cond".into()]).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(ingest.offset(), 5);
    let refused = [
        ingest.append(vec!["third".into()]).await.unwrap_err(),
        ingest.checkpoint().await.unwrap_err(),
        ingest.read_back(ReadRange::WHOLE).await.unwrap_err(),
        ingest.commit(Commit::new(path("blob"))).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Broken);
    }
    let closed = ingest.close().await.unwrap();
    assert_eq!(closed.offset, 5);
    // Part of what failed is there, as on a disk that was full.
    let at_end = below
        .resume(&path("up/data"), Resume::default())
        .await
        .unwrap();
    assert_eq!(at_end.offset(), 8);
    drop(at_end);
    let resume = Resume {
        at: Some(closed.offset),
        state: closed.state,
    };
    let mut ingest = faulty.resume(&path("up/data"), resume).await.unwrap();
    ingest.append(vec![" again".into()]).await.unwrap();
    ingest.commit(Commit::new(path("blob"))).await.unwrap();
    assert_eq!(below.get_small(&path("blob")).await.unwrap(), "first again");
}

#[tokio::test]
async fn a_broken_handle_goes_back_and_is_whole() {
    let plan = FaultPlan::new().at(Method::Append, 1, Fault::After(LOST));
    let (below, faulty) = faulty(plan);
    let target = Target::Staged(path("up/data"));
    let mut ingest = faulty.begin(&target).await.unwrap();
    ingest.append(vec!["first".into()]).await.unwrap();
    ingest.append(vec!["second".into()]).await.unwrap_err();
    let before = Checkpoint {
        offset: 5,
        state: None,
    };
    ingest.rewind(&before).await.unwrap();
    ingest.append(vec![" again".into()]).await.unwrap();
    ingest.commit(Commit::new(path("blob"))).await.unwrap();
    assert_eq!(below.get_small(&path("blob")).await.unwrap(), "first again");
}

#[tokio::test]
async fn over_parts_a_failed_append_can_be_resumed_from_before_too() {
    for fault in [
        Fault::Cut {
            after: 3,
            kind: LOST,
        },
        Fault::After(LOST),
        Fault::Before(LOST),
    ] {
        let plan = FaultPlan::new().at(Method::Append, 1, fault);
        let faulty = Faulty::new(Arc::new(Memory::s3_like()), plan);
        let mut ingest = faulty
            .begin(&Target::Staged(path("up/data")))
            .await
            .unwrap();
        ingest.append(vec!["first".into()]).await.unwrap();
        ingest.append(vec!["second".into()]).await.unwrap_err();
        let closed = ingest.close().await.unwrap();
        assert_eq!(closed.offset, 5);
        let resume = Resume {
            at: Some(closed.offset),
            state: closed.state,
        };
        let ingest = faulty.resume(&path("up/data"), resume).await.unwrap();
        assert_eq!(ingest.offset(), 5);
    }
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error() {
    let cut = |after| Fault::Cut { after, kind: LOST };
    for (after, wanted) in [(0, ""), (3, "fir"), (100, "first")] {
        let (below, faulty) = faulty(FaultPlan::new().always(Method::Read, cut(after)));
        below
            .put_one(&path("a"), "first".into(), Durability::Durable)
            .await
            .unwrap();
        let mut stream = faulty
            .read(&path("a"), ReadRange::WHOLE)
            .await
            .unwrap()
            .bytes;
        let mut seen = Vec::new();
        let error = loop {
            match stream.try_next().await {
                Ok(piece) => seen.extend_from_slice(&piece.expect("never early without an error")),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), &seen[..]), (LOST, wanted.as_bytes()));
    }
}

#[tokio::test]
async fn a_cut_put_or_commit_stops_between_its_writes() {
    let cut = Fault::Cut {
        after: 1,
        kind: LOST,
    };
    let plan = FaultPlan::new()
        .always(Method::Put, cut)
        .always(Method::Commit, cut);
    let (below, faulty) = faulty(plan);
    let writes = ["a", "b", "c"].map(|name| Put::replace(path(name), "bytes".into()));
    faulty.put(&writes, Durability::Durable).await.unwrap_err();
    let mut ingest = faulty.begin(&Target::Final(path("blob"))).await.unwrap();
    let then = ["d", "e"]
        .map(|name| Put::replace(path(name), "bytes".into()))
        .to_vec();
    ingest
        .commit(Commit {
            then,
            ..Commit::new(path("blob"))
        })
        .await
        .unwrap_err();
    for (name, there) in [
        ("a", true),
        ("b", false),
        ("c", false),
        ("blob", true),
        ("d", true),
        ("e", false),
    ] {
        assert_eq!(
            below.find(&path(name)).await.unwrap().is_some(),
            there,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_delayed_call_waits_for_its_clock_and_a_hanging_one_for_ever() {
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH));
    let plan = FaultPlan::new()
        .at_call(0, Fault::Delay(Duration::from_secs(5)))
        .at_call(1, Fault::Hang);
    let below: Arc<dyn Driver> = Arc::new(Memory::new());
    let faulty = Faulty::with_clock(Arc::clone(&below), plan, Arc::<ManualClock>::clone(&clock));
    let (a, b) = (path("a"), path("b"));
    let mut delayed = Box::pin(faulty.put_one(&a, "bytes".into(), Durability::Durable));
    assert!(futures_util::poll!(&mut delayed).is_pending());
    clock.advance(Duration::from_secs(4));
    assert!(futures_util::poll!(&mut delayed).is_pending());
    assert!(below.find(&a).await.unwrap().is_none());
    clock.advance(Duration::from_secs(1));
    delayed.await.unwrap();
    let mut hanging = Box::pin(faulty.put_one(&b, "bytes".into(), Durability::Durable));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    clock.advance(Duration::from_secs(1_000_000));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    drop(hanging);
    assert!(below.find(&b).await.unwrap().is_none());
}
