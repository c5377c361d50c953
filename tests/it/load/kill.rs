//! `kill -9` while orders are being signed: what was answered is there, once, and the server is back at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use sqlx::SqlitePool;

use super::{Answer, Server, Site, id, seed, snapshot, spread};
use crate::random::Random;

/// Orders at once; the engine has three places, so that some are refused and come again.
const WORKERS: u64 = 6;

/// What the caller knows, whatever becomes of the server.
#[derive(Default)]
struct Ledger {
    /// Every order ever sent, by its hook instance.
    sent: BTreeMap<String, Value>,
    /// What was answered to it.
    answered: BTreeMap<String, String>,
    /// Reports as they were read.
    read: BTreeMap<String, String>,
    /// Requests that were answered with a draft.
    requests: BTreeSet<String>,
    repeats: usize,
}

impl Ledger {
    fn answer(&mut self, order: &Value, request_id: String, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.requests.insert(request_id);
        if let Some(first) = self.answered.insert(instance(order), answer.text.clone()) {
            self.repeats += 1;
            assert_eq!(first, answer.text, "the same call got two answers");
        }
    }

    fn report(&mut self, id: String, report: &Answer) {
        assert_eq!(report.status, 200, "an acknowledged report is gone: {}", report.text);
        if let Some(first) = self.read.insert(id, report.text.clone()) {
            assert_eq!(first, report.text, "an acknowledged report has changed");
        }
    }

    fn unanswered(&self) -> Vec<Value> {
        let open = self.sent.iter().filter(|(instance, _)| !self.answered.contains_key(*instance));
        open.map(|(_, order)| order.clone()).collect()
    }
}

fn instance(order: &Value) -> String {
    order["hookInstance"].as_str().expect("an id").to_owned()
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no other worker failed")
}

/// Signs new orders and repeats old ones until the server is gone.
async fn work(server: Arc<Server>, site: Arc<Site>, ledger: Arc<Mutex<Ledger>>, mut random: Random) {
    loop {
        let order = {
            let mut ledger = lock(&ledger);
            let known: Vec<&String> = ledger.answered.keys().collect();
            if random.below(4) == 0 && !known.is_empty() {
                ledger.sent[*random.pick(&known)].clone()
            } else {
                let order = site.order();
                ledger.sent.insert(instance(&order), order.clone());
                order
            }
        };
        let request_id = id();
        let Some(answer) = server.sign(&order, &request_id).await else { return };
        if answer.status == 503 {
            assert!(answer.asks_to_retry(), "{}", answer.text);
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        lock(&ledger).answer(&order, request_id, &answer);
        let id = answer.report();
        let Some(report) = server.report(&id).await else { return };
        lock(&ledger).report(id, &report);
    }
}

/// The database as the killed process left it.
struct Found {
    reports: usize,
    answers: BTreeMap<String, String>,
    /// Sequence, time, action, target and request id of each entry of the audit trail.
    audit: Vec<(i64, i64, String, String, String)>,
}

async fn found(database: &Path) -> Found {
    let copy = snapshot(database);
    let address = format!("sqlite:{}", copy.path().join(super::DATABASE).display());
    let db = SqlitePool::connect(&address).await.expect("a database");
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&db).await.unwrap();
    assert_eq!(whole, "ok");
    let reports: i64 = sqlx::query_scalar("SELECT count(*) FROM resource WHERE type = 'DiagnosticReport'")
        .fetch_one(&db)
        .await
        .unwrap();
    let answers: Vec<(String, String)> =
        sqlx::query_as("SELECT hook_instance, answer FROM answer").fetch_all(&db).await.unwrap();
    let audit = sqlx::query_as("SELECT sequence, at, action, target, request_id FROM audit ORDER BY sequence")
        .fetch_all(&db)
        .await
        .unwrap();
    db.close().await;
    let rows = answers.len();
    let answers: BTreeMap<String, String> = answers.into_iter().collect();
    assert_eq!(answers.len(), rows, "one hook instance has two answers");
    Found { reports: usize::try_from(reports).unwrap(), answers, audit }
}

/// What was answered is all there, and nothing is there that was not asked for.
fn compare(found: &Found, before: &Found, ledger: &Ledger) {
    for (instance, answer) in &ledger.answered {
        assert_eq!(found.answers.get(instance), Some(answer), "an acknowledged answer is lost or changed");
    }
    assert!(found.answers.keys().all(|instance| ledger.sent.contains_key(instance)));
    assert_eq!(found.reports, found.answers.len(), "answers and reports are written together or not at all");
    assert!(found.audit.starts_with(&before.audit), "the audit trail has changed");
    let sequences = found.audit.iter().map(|entry| entry.0);
    assert!(sequences.eq(1..=found.audit.len() as i64), "the audit trail has a gap");
    let mut written = BTreeMap::new();
    for (.., action, _, request_id) in &found.audit {
        if action == "hook" {
            *written.entry(request_id.as_str()).or_insert(0) += 1;
        }
    }
    for request_id in &ledger.requests {
        assert_eq!(written.get(request_id.as_str()), Some(&1), "an answered hook has no entry, or two");
    }
}

async fn cycles(count: usize) {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let site = Arc::new(Site::new(3, "").await);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut before = Found { reports: 0, answers: BTreeMap::new(), audit: Vec::new() };
    let (mut ready, mut unheard, mut starts) = (Vec::new(), 0, 0);
    for cycle in 0..count {
        // Now and then it is killed while it starts, too.
        if random.below(5) == 0 {
            let starting = site.spawn();
            tokio::time::sleep(Duration::from_millis(random.below(200) as u64)).await;
            starting.kill();
            starts += 1;
        }
        let (server, took) = site.start().await;
        ready.push(took);
        let server = Arc::new(server);
        // A caller who got no answer asks again. What had been written is not written twice.
        let again = lock(&ledger).unanswered();
        for order in again {
            let request_id = id();
            let answer = server.sign(&order, &request_id).await.expect("an answer");
            lock(&ledger).answer(&order, request_id, &answer);
        }
        let sent = lock(&ledger).sent.len();
        assert_eq!(server.reports().await, sent, "each order has one report (cycle {cycle})");
        let acknowledged: Vec<String> = {
            let ledger = lock(&ledger);
            let all = ledger.answered.values().rev();
            all.take(20).map(|text| Answer { status: 200, retry_after: None, text: text.clone() }.report()).collect()
        };
        for id in acknowledged {
            let report = server.report(&id).await.expect("an answer");
            lock(&ledger).report(id, &report);
        }
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let random = Random(random.next());
                tokio::spawn(work(server.clone(), site.clone(), ledger.clone(), random))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(501) as u64)).await;
        let killed = std::process::Command::new("kill").args(["-KILL", &server.child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        for worker in workers {
            worker.await.expect("a worker");
        }
        drop(server);
        let now = found(&site.database()).await;
        let ledger = lock(&ledger);
        compare(&now, &before, &ledger);
        unheard += now.answers.len() - ledger.answered.len();
        before = now;
    }
    // At the end all of it once more, over HTTP: whatever was acknowledged, in whichever cycle.
    let (server, took) = site.start().await;
    ready.push(took);
    let all = std::mem::take(&mut *lock(&ledger));
    for (id, text) in &all.read {
        assert_eq!(&server.report(id).await.expect("an answer").text, text, "an acknowledged report has changed");
    }
    println!(
        "{count} kills under load and {starts} while starting: {} orders sent, {} answered, {} answered again; {unheard} \
         written before anybody heard; {} reports read and unchanged; {} audit entries; 0 lost, 0 doubled\nready after: {}",
        all.sent.len(),
        all.answered.len(),
        all.repeats,
        all.read.len(),
        before.audit.len(),
        spread(ready)
    );
    assert!(all.answered.len() > count && all.repeats > 0, "there was no load");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    cycles(10).await;
}

/// `cargo test --release --test it two_hundred_kills -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn two_hundred_kills() {
    cycles(200).await;
}
