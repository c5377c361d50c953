//! Random changes of bytes and structure, from a seed: nothing panics, nothing hangs, nothing is answered with a 5xx.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use super::{
    Log, MARKER, post, refused,
    requests::{ORDER_SIGN, PATIENT_VIEW, hospital, members, order_sign, patient_view},
};
use crate::{harness::Hospital, random::Random};

const SEED: u64 = 0x0bad_1290;

/// Pieces of JSON and of what a request holds.
const PIECES: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"null",
    b"true",
    b"-",
    b"1e999",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\xff",
    b"\xEF\xBB\xBF",
    b"{{",
    b"../",
    b"Patient/",
    b"{\"resourceType\":\"Bundle\",\"entry\":[]}",
    b"\"reference\":\"#x\",",
    b"<start_of_turn>",
    b"\"zzPLANTEDzz\"",
];

/// One to four changes of the bytes.
fn bytes(random: &mut Random, request: &Value) -> Vec<u8> {
    let mut body = request.to_string().into_bytes();
    for _ in 0..=random.below(4) {
        let at = random.below(body.len() + 1);
        let end = (at + random.below(64)).min(body.len());
        match random.below(6) {
            0 if at < body.len() => body[at] ^= 1 << random.below(8),
            1 => drop(body.drain(at..end)),
            2 => {
                let piece = body[at..end].to_vec();
                let to = random.below(body.len() + 1);
                body.splice(to..to, piece);
            }
            3 if random.below(8) == 0 => body.truncate(at),
            4 => body.extend_from_within(at..end),
            _ => {
                let piece = random.pick(&PIECES).to_vec();
                body.splice(at..at, piece);
            }
        }
    }
    body
}

/// One to four changes of the structure: the result is always JSON.
fn structure(random: &mut Random, request: &Value) -> Vec<u8> {
    let mut body = request.clone();
    for _ in 0..=random.below(4) {
        let all = everywhere(&body);
        let (one, other) = (random.pick(&all).clone(), random.pick(&all).clone());
        let taken = body.pointer(&other).cloned().unwrap_or_default();
        let Some(value) = body.pointer_mut(&one) else { continue };
        match random.below(7) {
            0 => *value = taken,
            1 => *value = Value::Array(vec![value.take(), taken]),
            2 => *value = serde_json::json!({ "resource": value.take() }),
            3 => *value = Value::Null,
            4 => *value = Value::String(format!("{MARKER}{}", random.next())),
            5 => *value = Value::from(random.next() as i64),
            _ => {
                let (parent, name) = one.rsplit_once('/').unwrap_or(("", ""));
                match body.pointer_mut(parent) {
                    Some(Value::Object(members)) => drop(members.remove(name)),
                    Some(Value::Array(items)) => {
                        if let Some(at) = name.parse::<usize>().ok().filter(|at| *at < items.len()) {
                            let item = items[at].clone();
                            items.push(item);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    body.to_string().into_bytes()
}

/// Every member, of arrays all items.
fn everywhere(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(n, v)| (n.replace('/', "~1"), v)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
            _ => Vec::new(),
        };
        for (name, value) in inner {
            found.push(format!("{at}/{name}"));
            walk(value, &format!("{at}/{name}"), found);
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found.extend(members(value).is_empty().then(String::new));
    found
}

/// Sends so many mutated requests; how often each status was answered.
async fn send(hospital: &Hospital, log: &Log, count: usize) -> BTreeMap<u16, usize> {
    let mut random = Random(SEED);
    // A signed order costs ten times as much, so there are fewer.
    let opened = || (PATIENT_VIEW, patient_view(hospital));
    let requests = [(ORDER_SIGN, order_sign(hospital)), opened(), opened()];
    let token = requests[0].1["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned();
    let mut statuses = BTreeMap::new();
    for n in 0..count {
        let (path, request) = random.pick(&requests);
        let body = if random.below(2) == 0 { bytes(&mut random, request) } else { structure(&mut random, request) };
        let answer = post(hospital, path, body.clone()).await;
        let what = || format!("number {n}: {} {}\n{}", answer.status, answer.text, String::from_utf8_lossy(&body));
        assert!(matches!(answer.status, 200 | 400 | 412), "{}", what());
        match answer.status {
            200 => assert!(answer.json()["cards"].is_array(), "{}", what()),
            _ => drop(refused(&answer, "a mutated request")),
        }
        let logged = log.take();
        assert!(!logged.contains(MARKER) && !logged.contains(&token) && !logged.contains("panicked"), "{logged}");
        *statuses.entry(answer.status).or_default() += 1;
        if n % 500 == 499 {
            let good = post(hospital, path, request.to_string().into_bytes()).await;
            assert_eq!(good.json()["cards"].as_array().map(Vec::len), Some(1), "after {n}: {}", good.text);
        }
    }
    statuses
}

/// Most memory this process has held, in MiB; 0 where the system does not say.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::test]
async fn two_hundred_mutated_requests() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let statuses = send(&hospital, &log, 200).await;
    assert!(statuses.len() >= 2, "all answered alike: {statuses:?}");
    hospital.close().await;
}

#[tokio::test]
#[ignore = "takes minutes: 10,000 requests; run alone with --ignored --nocapture for the figures"]
async fn ten_thousand_mutated_requests() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    post(&hospital, ORDER_SIGN, order_sign(&hospital).to_string().into_bytes()).await;
    let (before, began) = (peak(), std::time::Instant::now());
    let statuses = send(&hospital, &log, 10_000).await;
    println!(
        "10,000 mutated requests from seed {SEED:#x} in {} s: statuses {statuses:?}; peak memory of server, EHR, PACS and \
         client together {} MiB, before {before} MiB",
        began.elapsed().as_secs(),
        peak()
    );
    hospital.close().await;
}
