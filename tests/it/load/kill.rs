//! `kill -9` while orders are being signed: what was answered is there, once, and the server is back at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::SqlitePool;

use super::{Answer, GUARD, Server, Site, id, seed, snapshot, spread};
use crate::random::Random;

/// Who signs at once; the engine has three places, so that some are refused and come again.
const SIGNERS: usize = 4;
/// Who reads at once: each read is a write too, of its entry in the audit trail.
const READERS: usize = 2;

/// What the callers know, whatever becomes of the server.
#[derive(Default)]
struct Ledger {
    /// Every order ever sent, by its hook instance.
    sent: BTreeMap<String, Value>,
    /// What was answered to it.
    answered: BTreeMap<String, String>,
    /// Reports as they were read.
    read: BTreeMap<String, String>,
    /// Every order and read by its request id.
    asked: BTreeSet<String>,
    /// Those that were answered, each of which is audited.
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

    fn report(&mut self, id: String, request_id: String, report: &Answer) {
        assert_eq!(report.status, 200, "an acknowledged report is gone: {}", report.text);
        self.requests.insert(request_id);
        if let Some(first) = self.read.insert(id, report.text.clone()) {
            assert_eq!(first, report.text, "an acknowledged report has changed");
        }
    }

    fn ask(&mut self) -> String {
        let request_id = id();
        self.asked.insert(request_id.clone());
        request_id
    }

    fn unheard(&self, request_id: &str) -> bool {
        self.asked.contains(request_id) && !self.requests.contains(request_id)
    }

    fn unanswered(&self) -> Vec<Value> {
        let open = self.sent.iter().filter(|(instance, _)| !self.answered.contains_key(*instance));
        open.map(|(_, order)| order.clone()).collect()
    }

    /// Any of the orders that were answered.
    fn known(&self, random: &mut Random) -> Option<(Value, Answer)> {
        let (instance, text) = self.answered.iter().nth(random.below(self.answered.len()))?;
        let answer = Answer { status: 200, retry_after: None, text: text.clone() };
        Some((self.sent[instance].clone(), answer))
    }
}

fn instance(order: &Value) -> String {
    order["hookInstance"].as_str().expect("an id").to_owned()
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no other worker failed")
}

/// Signs new orders, and one in four times an old one again, until the server is gone.
async fn sign(server: Arc<Server>, site: Arc<Site>, ledger: Arc<Mutex<Ledger>>, mut random: Random) {
    loop {
        let known = lock(&ledger).known(&mut random).filter(|_| random.below(4) == 0);
        let order = known.map_or_else(|| site.order(), |(order, _)| order);
        lock(&ledger).sent.insert(instance(&order), order.clone());
        if signed(&server, &ledger, &order).await.is_none() {
            return;
        }
    }
}

/// Signs an order, as often as it is refused. `None`: the server is gone.
async fn signed(server: &Server, ledger: &Mutex<Ledger>, order: &Value) -> Option<()> {
    loop {
        let request_id = lock(ledger).ask();
        let answer = server.sign(order, &request_id).await?;
        if answer.status != 503 {
            lock(ledger).answer(order, request_id, &answer);
            return Some(());
        }
        refused(&answer).await;
    }
}

/// The same for a drafted report that is read.
async fn is_read(server: &Server, ledger: &Mutex<Ledger>, report: &str) -> Option<()> {
    loop {
        let request_id = lock(ledger).ask();
        let answer = server.report(report, &request_id).await?;
        if answer.status != 503 {
            lock(ledger).report(report.to_owned(), request_id, &answer);
            return Some(());
        }
        refused(&answer).await;
    }
}

/// Too many at once, or a disk that is slower than a caller may have to wait.
async fn refused(answer: &Answer) {
    assert!(answer.asks_to_retry(), "{}", answer.text);
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Reads drafted reports until the server is gone.
async fn read(server: Arc<Server>, ledger: Arc<Mutex<Ledger>>, mut random: Random) {
    loop {
        let known = lock(&ledger).known(&mut random);
        let there = match known {
            Some((_, answer)) => is_read(&server, &ledger, &answer.report()).await,
            None => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                server.get("/livez").await.map(drop)
            }
        };
        if there.is_none() {
            return;
        }
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
    for (.., request_id) in &found.audit {
        *written.entry(request_id.as_str()).or_insert(0) += 1;
    }
    for request_id in &ledger.requests {
        assert_eq!(written.get(request_id.as_str()), Some(&1), "an answered request has no entry, or two");
    }
}

async fn cycles(count: usize) {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let site = Arc::new(Site::new(3, "").await);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut before = Found { reports: 0, answers: BTreeMap::new(), audit: Vec::new() };
    let (mut ready, mut unheard, mut entries, mut starts) = (Vec::new(), 0, 0, 0);
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
            signed(&server, &ledger, &order).await.expect("an answer");
        }
        let sent = lock(&ledger).sent.len();
        assert_eq!(server.reports().await, sent, "each order has one report (cycle {cycle})");
        let mut workers: Vec<_> = (0..SIGNERS)
            .map(|_| tokio::spawn(sign(server.clone(), site.clone(), ledger.clone(), Random(random.next()))))
            .collect();
        workers.extend((0..READERS).map(|_| tokio::spawn(read(server.clone(), ledger.clone(), Random(random.next())))));
        // Half of the times from the first moment, half when the load has come to speed.
        let (first, patience) = (lock(&ledger).answered.len(), Instant::now());
        while cycle % 2 == 1 && lock(&ledger).answered.len() == first && patience.elapsed() < GUARD {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
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
        entries = now.audit.iter().filter(|entry| ledger.unheard(&entry.4)).count();
        before = now;
    }
    // At the end all of it once more, over HTTP: whatever was acknowledged, in whichever cycle.
    let (server, took) = site.start().await;
    ready.push(took);
    let reports: Vec<String> = {
        let ledger = lock(&ledger);
        let texts = ledger.answered.values();
        texts.map(|text| Answer { status: 200, retry_after: None, text: text.clone() }.report()).collect()
    };
    for report in reports {
        is_read(&server, &ledger, &report).await.expect("an answer");
    }
    let all = std::mem::take(&mut *lock(&ledger));
    println!(
        "{count} kills under load and {starts} while starting: {} orders sent, {} answered, {} answered again; {unheard} drafts \
         written before anybody heard; {} reports there and unchanged; {} audit entries, {entries} of them unheard; 0 lost, 0 doubled\nready after: {}",
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
