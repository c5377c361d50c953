use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;

use super::*;
use crate::error::Kind;

/// Ends a test that would hang; no test measures it.
const GUARD: Duration = Duration::from_secs(60);
const LARGE: usize = Processor::LITTLE;

fn far() -> Instant {
    Instant::now() + GUARD
}

#[tokio::test]
async fn a_share_is_free_again_when_the_last_part_of_its_bytes_is_dropped() {
    let memory = Memory::of(10);
    let mut share = memory.share(8).unwrap();
    assert!(memory.share(3).is_none() && memory.share(usize::MAX).is_none());
    share.shrink(6);
    share.add(memory.share(1).unwrap());
    assert_eq!(memory.left(), 3);
    let bytes = share.hold(Bytes::from_static(b"1234567"));
    let part = bytes.slice(2..4);
    drop(bytes);
    assert_eq!((&part[..], memory.left()), (&b"34"[..], 3));
    drop(part);
    assert_eq!(memory.left(), 10);
}

#[tokio::test]
async fn who_finds_no_memory_waits_in_turn_and_no_longer_than_there_is_time() {
    let memory = Memory::of(10);
    let held = memory.share(8).unwrap();
    let (large, small) = (memory.share_by(10, far()), memory.share_by(1, far()));
    tokio::pin!(large, small);
    assert!(large.as_mut().now_or_never().is_none());
    // What waits is not overtaken by what would fit.
    assert!(small.as_mut().now_or_never().is_none());
    assert!(memory.share_by(10, Instant::now()).await.is_none());
    drop(held);
    drop(large.await.unwrap());
    small.await.unwrap();
    assert_eq!(memory.left(), 10);
    assert!(memory.share_by(usize::MAX, far()).now_or_never().unwrap().is_none(), "more than can be counted");
}

#[tokio::test]
async fn large_work_leaves_the_threads_that_answer_alone() {
    let processor = Processor::default();
    let (sender, receiver) = mpsc::channel();
    // On the only thread of this runtime the work would wait for what comes after it.
    let (worked, ()) = tokio::join!(processor.work(LARGE, far(), move || receiver.recv_timeout(GUARD)), async {
        sender.send(7).unwrap();
    });
    assert_eq!(worked.unwrap(), Ok(7));
}

#[tokio::test]
async fn no_more_is_worked_on_at_once_than_there_are_processors() {
    let processor = Processor::default();
    let places = processor.idle();
    let release: Vec<_> = (0..places)
        .map(|_| {
            let (sender, receiver) = mpsc::channel::<()>();
            let leaving = processor.work(LARGE, far(), move || receiver.recv_timeout(GUARD));
            // Begun, and then nobody waits for it any longer.
            assert!(leaving.now_or_never().is_none());
            sender
        })
        .collect();
    assert_eq!(processor.idle(), 0, "who leaves frees no processor");
    let refused = processor.work(LARGE, Instant::now() + Duration::from_millis(20), || ()).await.unwrap_err();
    assert!(refused.kind == Kind::Busy && refused.retry_after.is_some(), "{refused}");
    assert_eq!(processor.work(LARGE - 1, Instant::now(), || "little").await.unwrap(), "little");
    let waiting = processor.work(LARGE, far(), || "large");
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(release);
    assert_eq!(waiting.await.unwrap(), "large");
}

#[tokio::test]
async fn work_that_takes_too_long_is_a_timeout_and_keeps_its_place() {
    let processor = Processor::default();
    let places = processor.idle();
    let (sender, receiver) = mpsc::channel::<()>();
    let soon = Instant::now() + Duration::from_millis(20);
    let late = processor.work(LARGE, soon, move || receiver.recv_timeout(GUARD)).await.unwrap_err();
    assert_eq!((late.kind, processor.idle()), (Kind::Timeout, places - 1));
    drop(sender);
}

#[tokio::test]
async fn a_panic_of_large_work_is_one_of_its_request() {
    let processor = Processor::default();
    let places = processor.idle();
    let work = processor.work(LARGE, far(), || panic!("as asked"));
    assert!(std::panic::AssertUnwindSafe(work).catch_unwind().await.is_err());
    assert_eq!(processor.idle(), places);
}
