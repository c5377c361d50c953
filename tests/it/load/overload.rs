//! Ten times as many orders as can be answered: who is refused knows at once, who is let in is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;

use super::{Answer, Server, Site, id, spread, tally};

/// Milliseconds the engine takes for an answer.
const PACE: u64 = 500;
/// One order in the engine and two that wait.
const PLACES: usize = 3;

struct Asked {
    took: Duration,
    answer: Answer,
}

async fn ask(server: Arc<Server>, site: Arc<Site>) -> Asked {
    let (order, started) = (site.order(), Instant::now());
    let answer = server.sign(&order, &id()).await.expect("a whole answer");
    Asked { took: started.elapsed(), answer }
}

/// As many at once as there are places, each of which must be free.
async fn full_house(server: &Arc<Server>, site: &Arc<Site>) -> Vec<Duration> {
    let asked = join_all((0..PLACES).map(|_| ask(server.clone(), site.clone()))).await;
    let all = asked.iter().map(|asked| asked.answer.status);
    assert_eq!(tally(all), [(200, PLACES)].into(), "a place was not given back");
    asked.into_iter().map(|asked| asked.took).collect()
}

async fn ten_times_capacity(time: Duration, deadline: u64) {
    let site = Arc::new(Site::new(PACE, "").await);
    site.set_deadline(deadline);
    let (server, _) = site.start().await;
    let server = Arc::new(server);
    let mut alone = Vec::new();
    for _ in 0..3 {
        let asked = ask(server.clone(), site.clone()).await;
        assert_eq!(asked.answer.status, 200, "{}", asked.answer.text);
        alone.push(asked.took);
    }
    let (before, drafted) = (server.memory(), server.reports().await);
    let mut clock = tokio::time::interval(Duration::from_millis(PACE / 10));
    let (began, mut asked) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        clock.tick().await;
        asked.push(tokio::spawn(ask(server.clone(), site.clone())));
    }
    let asked: Vec<Asked> = join_all(asked).await.into_iter().map(|asked| asked.expect("an answer")).collect();
    let (whole, after) = (began.elapsed(), server.memory());
    let (accepted, refused): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(|asked| asked.answer.status == 200);
    // No other answer than these two: 504 would be an order that was let in and not answered by its deadline.
    for asked in &refused {
        assert!(asked.answer.asks_to_retry(), "{:?}", asked.answer);
    }
    assert!(!refused.is_empty() && !accepted.is_empty());
    assert_eq!(server.reports().await, drafted + accepted.len(), "a refused order was drafted, or an answered one not");
    let times = |asked: &[Asked]| spread(asked.iter().map(|asked| asked.took).collect());
    println!(
        "ten times capacity for {time:?}, {PACE} ms an answer\nalone: {}\nrefused: {}\nanswered: {}\n{:.2} answered a second of {:.2} \
         at most; memory {before} KiB before, {after} KiB after",
        spread(alone),
        times(&refused),
        times(&accepted),
        accepted.len() as f64 / whole.as_secs_f64(),
        1e3 / PACE as f64
    );
    for _ in 0..3 {
        println!("afterwards, {PLACES} at once: {}", spread(full_house(&server, &site).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_answered_is_told_at_once() {
    ten_times_capacity(Duration::from_secs(3), 60_000).await;
}

/// `cargo test --release --test it a_minute_of_overload -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute, to be run alone"]
async fn a_minute_of_overload() {
    ten_times_capacity(Duration::from_secs(60), 10_000).await;
}
