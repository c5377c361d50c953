//! SIGTERM at full load: nothing new is taken, and what was taken is answered.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::SqlitePool;

use super::{Answer, DATABASE, GUARD, PATIENT, Server, Site, call, client, id, seed, snapshot, spread, whole};
use crate::{command_line::curbside, random::Random};

/// Orders at once; the engine has three places, so that some are refused meanwhile.
const WORKERS: usize = 6;

/// What became of one order.
struct Sent {
    request_id: String,
    instance: String,
    /// `None`: no whole answer came back.
    answer: Option<Answer>,
}

/// Signs orders over a connection of its own until it is no longer answered.
async fn work(site: Arc<Site>, url: String) -> Vec<Sent> {
    let (client, mut all) = (client(), Vec::new());
    loop {
        let (order, request_id) = (site.order(), id());
        let answer = call(&client, &url, "imaging-draft-report", &order, &request_id).await;
        let (ended, refused) = (answer.is_none(), answer.as_ref().is_some_and(|answer| answer.status == 503));
        all.push(Sent { request_id, instance: order["hookInstance"].as_str().unwrap().to_owned(), answer });
        if ended {
            return all;
        }
        if refused {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Asks over new connections until the server no longer says that it is ready.
async fn no_longer_ready(server: &Server) -> Duration {
    let asked = Instant::now();
    while whole(client().get(format!("{}/readyz", server.url))).await.is_some_and(|answer| answer.status == 200) {
        assert!(asked.elapsed() < GUARD, "it stays ready");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    asked.elapsed()
}

async fn stops(rounds: usize) {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let (mut turned, mut exited) = (Vec::new(), Vec::new());
    let (mut taken, mut drafted, mut never_taken) = (0, 0, 0);
    for _ in 0..rounds {
        let site = Arc::new(Site::new(50, "").await);
        let (mut server, _) = site.start().await;
        let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(work(site.clone(), server.url.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(200 + random.below(400) as u64)).await;
        server.ask_to_stop();
        let asked = Instant::now();
        turned.push(no_longer_ready(&server).await);
        assert_eq!(server.ended().await.code(), Some(0), "{}", site.log());
        exited.push(asked.elapsed());
        let mut sent = Vec::new();
        for worker in workers {
            sent.extend(worker.await.expect("a worker"));
        }
        let seen: BTreeSet<String> = site.seen().into_iter().collect();
        let mut answered = BTreeSet::new();
        for sent in &sent {
            match &sent.answer {
                Some(answer) if answer.status == 200 => drop(answered.insert(sent.instance.clone())),
                Some(answer) => assert!(answer.asks_to_retry(), "{answer:?}"),
                None => {
                    assert!(!seen.contains(&sent.request_id), "a request that was taken got no answer");
                    never_taken += 1;
                }
            }
        }
        // What was written was heard; and all is in the one file.
        let copy = snapshot(&site.database());
        assert!(!copy.path().join(format!("{DATABASE}-wal")).exists(), "the store was not closed");
        let db = SqlitePool::connect(&format!("sqlite:{}", copy.path().join(DATABASE).display())).await.unwrap();
        let written: Vec<String> = sqlx::query_scalar("SELECT hook_instance FROM answer").fetch_all(&db).await.unwrap();
        db.close().await;
        assert_eq!(written.into_iter().collect::<BTreeSet<_>>(), answered);
        assert!(!answered.is_empty(), "there was no load");
        taken += seen.len();
        drafted += answered.len();
    }
    println!(
        "{rounds} stops at full load: {taken} requests taken, {drafted} of them drafted, 0 without an answer; {never_taken} \
         more found the door closed\nno longer ready after: {}\nexit 0 after: {}",
        spread(turned),
        spread(exited)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_was_taken_is_without_an_answer_when_the_server_is_stopped() {
    stops(3).await;
}

/// `cargo test --release --test it fifty_stops -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn fifty_stops() {
    stops(50).await;
}

/// The program itself, as an operator runs it: without a model, asked by as many as wait for an EHR that hangs.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_answers_what_it_took_and_exits_with_0() {
    let site = Site::new(0, "").await;
    // Fetching ends at six tenths of it.
    site.set_deadline(3000);
    let mut server =
        site.run(curbside(&["serve", "--config", &site.folder.path().join("curbside.toml").display().to_string()]));
    server.ready().await.unwrap_or_else(|| panic!("it did not get ready: {}", site.log()));
    site.ehr.faults.set("/fhir/Condition", curbside::demo::Fault::Hang);
    let views: Vec<_> = (0..8)
        .map(|_| {
            let (mut view, url) = (site.order(), server.url.clone());
            view["hook"] = json!("patient-view");
            view["context"].as_object_mut().unwrap().remove("draftOrders");
            tokio::spawn(async move { call(&client(), &url, "chart-summary", &view, &id()).await })
        })
        .collect();
    let asked = Instant::now();
    while site.ehr.requests.under(&format!("/fhir/Patient/{PATIENT}")).len() < views.len() {
        assert!(asked.elapsed() < GUARD, "the charts were not asked for: {}", site.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.ask_to_stop();
    no_longer_ready(&server).await;
    for view in views {
        let answer = view.await.expect("a view").expect("a whole answer");
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(
            answer.text.contains("Condition") || answer.text.to_lowercase().contains("conditions"),
            "{}",
            answer.text
        );
    }
    assert_eq!(server.ended().await.code(), Some(0), "{}", site.log());
}
