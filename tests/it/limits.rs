//! What many requests together may take: memory and processors are shared, and who finds no room is told so in time.

use std::{
    fs,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use curbside::{
    capacity::Processor,
    egress::Base,
    engine::{Engine, Step},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{
    film_file,
    harness::{Hospital, Plan, patient, scripted_model},
    hostile::served::demonstration,
};

const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;

/// An archive that sends one film, whatever it is asked for.
async fn archive(film: Vec<u8>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/dicomweb", listener.local_addr().unwrap())).unwrap();
    let film = Bytes::from(film);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(send(stream, film.clone()));
        }
    });
    base
}

async fn send(mut stream: TcpStream, film: Bytes) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/dicom\r\ncontent-length: {}\r\n\r\n",
        film.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&film).await.ok()
}

/// A readable film of so many bytes, most of them padding.
fn film(bytes: usize) -> Vec<u8> {
    let mut film = film_file::film(224, |x, y| (x ^ y) as u8);
    let padding = (bytes - film.bytes().len() - 12) & !1;
    film.set((0xFFFC, 0xFFFC), "OB", vec![0; padding]);
    film.bytes()
}

/// The demonstration patient, whose films come from that archive, and an engine that answers so many orders.
async fn open(film: Vec<u8>, orders: usize, change: impl FnOnce(Plan) -> Plan) -> Hospital {
    let copy = demonstration();
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into()); orders]);
    let mut plan = change(Plan::new(vec![copy.path().to_owned()], engine));
    let reachable = archive(film).await;
    plan.site = Some(Box::new(move |ehr| {
        let mut base = ehr.allowed_base();
        base.dicomweb = vec![Base::new(ehr.dicomweb_base.clone(), reachable)];
        base
    }));
    plan.kept.push(copy);
    plan.open().await
}

/// The order of the demonstration patient, as another call of the hook.
fn order(hospital: &Hospital) -> Value {
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).expect("the folder's request");
    request["hookInstance"] = uuid::Uuid::new_v4().to_string().into();
    request
}

/// Three orders at once, how long each took and its card.
async fn three(hospital: Arc<Hospital>) -> Vec<(Duration, Value)> {
    let orders: Vec<_> = (0..3).map(|_| order(&hospital)).collect();
    let asked = orders.into_iter().map(|order| {
        let hospital = hospital.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let card = hospital.sign(&order).await.only_card();
            (started.elapsed(), card)
        })
    });
    let asked: Vec<_> = asked.collect();
    futures::future::join_all(asked).await.into_iter().map(|answer| answer.expect("an answer")).collect()
}

/// Bytes of a film that is more than a quarter of a megabyte, and so is looked at beside the threads that answer.
const LENGTH: usize = 400_000;

fn with_room(mut plan: Plan, bytes: usize) -> Plan {
    plan.imaging.max_held_bytes = bytes;
    plan
}

#[tokio::test]
async fn films_wait_for_room_and_leave_it_as_they_found_it() {
    let hospital = Arc::new(open(film(LENGTH), 3, |plan| with_room(plan.with_deadline(60_000), LENGTH)).await);
    for (_, card) in three(hospital.clone()).await {
        assert!(card.get("links").is_some(), "{card}");
    }
    assert_eq!(hospital.app.archives.room(), LENGTH);
    assert_eq!(hospital.app.ehrs.room(), curbside::fhir::Limits::default().max_held_bytes);
}

#[tokio::test]
async fn a_film_that_finds_no_room_is_a_gap() {
    let hospital = open(film(LENGTH), 1, |plan| with_room(plan.with_deadline(5_000), LENGTH / 2)).await;
    let card = hospital.sign(&order(&hospital)).await.only_card();
    let detail = card["detail"].as_str().unwrap();
    assert!(detail.contains("**No draft was written.**"), "{detail}");
    assert!(detail.contains("this server had no room for it beside other films"), "{detail}");
    assert_eq!(hospital.app.archives.room(), LENGTH / 2);
}

#[tokio::test]
async fn an_answer_of_the_ehr_that_finds_no_room_is_a_gap_or_a_refusal_to_be_repeated() {
    let mut plan = Plan::new(vec![patient("no-imaging")], Engine::absent()).with_deadline(5_000);
    plan.upstream.max_held_bytes = 0;
    let hospital = plan.open().await;
    let mut request = hospital.view_request("no-imaging");
    let refused = hospital.view(&request).await;
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (503, true), "{}", refused.text);
    assert_eq!(refused.outcome().0, "throttled");
    // Not the patient: that can be had, and the rest is told.
    let id = request["context"]["patientId"].clone();
    request["prefetch"] = json!({"patient": {"resourceType": "Patient", "id": id}});
    let card = hospital.view(&request).await.only_card();
    let gaps = card["detail"].as_str().unwrap().split("**Gaps").nth(1).expect("gaps").to_owned();
    assert_eq!(gaps.matches("this server had no room for the answer").count(), 8, "{card}");
    assert!(!card["summary"].as_str().unwrap().contains("no allergies"), "{card}");
    hospital.close().await;
}

/// Takes every processor until the senders are dropped.
fn occupied(processor: &Processor) -> Vec<mpsc::Sender<()>> {
    let far = tokio::time::Instant::now() + Duration::from_secs(600);
    let place = |_| {
        let (sender, receiver) = mpsc::channel::<()>();
        let work = processor.work(Processor::LITTLE, far, move || receiver.recv().is_ok());
        assert!(futures::FutureExt::now_or_never(work).is_none(), "it works on");
        sender
    };
    let places: Vec<_> = (0..processor.idle()).map(place).collect();
    assert_eq!(processor.idle(), 0);
    places
}

#[tokio::test]
async fn a_large_request_without_a_processor_is_refused_and_small_ones_are_answered() {
    let hospital = Plan::new(vec![patient("no-imaging")], Engine::absent()).with_deadline(5_000).open().await;
    let small = hospital.view_request("no-imaging");
    let mut large = small.clone();
    large["prefetch"] = json!({"ours": {"resourceType": "Basic", "id": "x".repeat(Processor::LITTLE)}});
    let places = occupied(&hospital.app.processor);
    let (refused, answered, alive) = tokio::join!(hospital.view(&large), hospital.view(&small), hospital.get("/livez"));
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (503, true), "{}", refused.text);
    assert_eq!(refused.outcome().0, "throttled");
    assert!(answered.only_card()["detail"].as_str().unwrap().contains("C reactive protein"));
    assert_eq!(alive.status, 200);
    drop(places);
    assert!(hospital.view(&large).await.only_card()["detail"].as_str().unwrap().contains("C reactive protein"));
    hospital.close().await;
}

/// A line of /proc/self/status, in MiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// `cargo test --release --test it three_orders_at_once -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of this whole process, to be run alone"]
async fn three_orders_at_once() {
    let hospital = Arc::new(open(film(125_000_000), 15, |plan| plan.with_deadline(30_000)).await);
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let (mut took, mut drafted) = (Vec::new(), 0);
    for _ in 0..5 {
        for (time, card) in three(hospital.clone()).await {
            drafted += usize::from(card.get("links").is_some());
            took.push(time);
        }
    }
    took.sort();
    println!(
        "{} orders, three at once, films of 125 MB, {drafted} drafted: p50 {:?}, max {:?}; the server grew by {} MiB",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
        memory("VmHWM").saturating_sub(before)
    );
}
