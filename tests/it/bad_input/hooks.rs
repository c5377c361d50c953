//! Every member of a hook request in every wrong form, and every wrong body: a table of rules, and one walk.

use serde_json::{Value, json};

use super::{
    Log, MARKER, post, refused,
    requests::{CHANGES, Change, ORDER_SIGN, PATIENT_VIEW, changed, hospital, members, order_sign, patient_view},
};
use crate::harness::Hospital;

/// What must come of a change.
#[derive(Debug, PartialEq)]
enum Expected {
    /// 400 that names exactly this place; an empty one is the body as a whole.
    Refused(&'static str),
    /// 200: the member is not needed, or what stands there is understood.
    Answered,
    /// 200 with the gap named, or an error that names this place or one in it.
    AnsweredOr(&'static str),
}

const VERSION: &str = "extension[\"com.epic.cdshooks.request.fhir-version\"]";

/// The members the product reads by name, with the type they must have.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A string that must be there; an empty one is absent.
    Needed,
    /// A string that may be absent.
    Optional,
    Id,
    Seconds,
}

const NAMED: [(&str, &str, Kind); 10] = [
    ("/hook", "hook", Kind::Needed),
    ("/hookInstance", "hookInstance", Kind::Needed),
    ("/fhirServer", "fhirServer", Kind::Needed),
    ("/fhirAuthorization/access_token", "fhirAuthorization.access_token", Kind::Needed),
    ("/fhirAuthorization/token_type", "fhirAuthorization.token_type", Kind::Needed),
    ("/fhirAuthorization/scope", "fhirAuthorization.scope", Kind::Optional),
    ("/fhirAuthorization/patient", "fhirAuthorization.patient", Kind::Id),
    ("/fhirAuthorization/expires_in", "fhirAuthorization.expires_in", Kind::Seconds),
    ("/context/patientId", "context.patientId", Kind::Needed),
    ("/context/encounterId", "context.encounterId", Kind::Id),
];

fn expected(pointer: &str, change: Change) -> Expected {
    use Change::*;
    use Expected::*;
    if let Some((_, at, kind)) = NAMED.iter().find(|(named, ..)| *named == pointer) {
        let absent = matches!(change, Missing | Null | Empty);
        return match (kind, change) {
            (_, Twice) => Refused(pointer[1..].split_once('/').map_or("", |(parent, _)| parent_of(parent))),
            (Kind::Needed, _) => Refused(at),
            (Kind::Seconds, Missing | Null | Number | MinusZero | LargeNumber) => Answered,
            (Kind::Seconds, _) => Refused(at),
            (_, _) if absent => Answered,
            (Kind::Optional, Text | LongText | Nul) => Answered,
            (_, _) => Refused(at),
        };
    }
    match (pointer, change) {
        ("/context/userId", Twice) => Refused("context"),
        // What is no reference is left out.
        ("/context/userId", Text | LongText | Nul) => Answered,
        ("/context/userId", _) => Refused("context.userId"),
        ("/context" | "/fhirAuthorization" | "/prefetch" | "/extension", Twice) => Refused(""),
        // An empty object lacks what is looked for in it first.
        ("/context", change) if change.is_object() => Refused("context.userId"),
        ("/context", _) => Refused("context"),
        // The EHR locks what a token was given for.
        ("/fhirAuthorization", Missing | Null) => AnsweredOr("prefetch.patient"),
        ("/fhirAuthorization", change) if change.is_object() => Refused("fhirAuthorization.access_token"),
        ("/fhirAuthorization", _) => Refused("fhirAuthorization"),
        ("/prefetch", Missing | Null | Object | DeepObject) => Answered,
        ("/prefetch", _) => Refused("prefetch"),
        ("/extension/com.epic.cdshooks.request.fhir-version", Text | Empty | LongText | Nul) => Refused(VERSION),
        ("/context/draftOrders", Twice) => Refused("context"),
        ("/context/draftOrders" | "/context/draftOrders/resourceType", _) => Refused("context.draftOrders"),
        _ if pointer.starts_with("/context/draftOrders/") => AnsweredOr("context.draftOrders"),
        ("/prefetch/patient", Missing) => Answered,
        _ if pointer.starts_with("/prefetch/") && change == Twice && pointer.matches('/').count() == 2 => {
            Refused("prefetch")
        }
        _ if pointer.starts_with("/prefetch/patient") => AnsweredOr("prefetch.patient"),
        // What only the product's own reading could miss: never refused.
        _ => Answered,
    }
}

fn parent_of(name: &str) -> &'static str {
    if name == "context" { "context" } else { "fhirAuthorization" }
}

/// Walks every `step`-th pair of member and change, from `first` on; how many were tried, and their statuses.
async fn walk(path: &str, request: &Value, hospital: &Hospital, log: &Log, (first, step): (usize, usize)) -> Vec<u16> {
    let token = request["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned();
    let pairs = members(request).into_iter().flat_map(|pointer| CHANGES.map(|change| (pointer.clone(), change)));
    let mut statuses = Vec::new();
    for (pointer, change) in pairs.skip(first).step_by(step) {
        let what = format!("{path} {pointer} {change:?}");
        let answer = post(hospital, path, changed(request, &pointer, change)).await;
        match (answer.status, expected(&pointer, change)) {
            (200, Expected::Answered | Expected::AnsweredOr(_)) => {
                assert!(answer.json()["cards"].is_array(), "{what}: {}", answer.text);
            }
            (400, Expected::Refused(at)) => assert_eq!(refused(&answer, &what), at, "{what}: {}", answer.text),
            (400 | 412, Expected::AnsweredOr(at)) => assert_eq!(refused(&answer, &what), at, "{what}"),
            (status, expected) => panic!("{what}: {expected:?}, and it is {status} {}", answer.text),
        }
        let logged = log.take();
        for secret in [MARKER, &token] {
            assert!(!answer.text.contains(&token) && !logged.contains(secret), "{what}: {logged}");
        }
        statuses.push(answer.status);
    }
    let good = post(hospital, path, request.to_string().into_bytes()).await;
    assert_eq!(good.status, 200, "{}", good.text);
    statuses
}

/// The request with the least of a patient, and with an order nobody answers to.
fn bare(request: &Value) -> Value {
    let mut request = request.clone();
    let subject = request["prefetch"]["patient"].clone();
    request["prefetch"] = json!({"patient": {"resourceType": "Patient", "id": subject["id"]}});
    if let Some(orders) = request["context"].get_mut("draftOrders") {
        *orders =
            json!({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "NutritionOrder", "id": "n1"}}]});
    }
    request
}

#[tokio::test]
async fn every_member_of_a_signed_order_in_every_wrong_form() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let whole = order_sign(&hospital);
    // All of what the request itself is made of; of orders and prefetched resources a sample, and all in the long test.
    let statuses = walk(ORDER_SIGN, &bare(&whole), &hospital, &log, (0, 1)).await;
    assert!(statuses.len() > 300, "{}", statuses.len());
    let statuses = walk(ORDER_SIGN, &whole, &hospital, &log, (11, 97)).await;
    assert!(statuses.len() > 30, "{}", statuses.len());
    hospital.close().await;
}

#[tokio::test]
async fn every_member_of_an_opened_chart_in_every_wrong_form() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let whole = patient_view(&hospital);
    walk(PATIENT_VIEW, &bare(&whole), &hospital, &log, (0, 2)).await;
    walk(PATIENT_VIEW, &whole, &hospital, &log, (5, 47)).await;
    hospital.close().await;
}

#[tokio::test]
#[ignore = "takes minutes: every member of every prefetched resource; run with --ignored --nocapture"]
async fn every_member_of_every_prefetched_resource_in_every_wrong_form() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    for (path, request) in [(ORDER_SIGN, order_sign(&hospital)), (PATIENT_VIEW, patient_view(&hospital))] {
        let statuses = walk(path, &request, &hospital, &log, (0, 1)).await;
        let of = |status| statuses.iter().filter(|s| **s == status).count();
        println!("{path}: {} changes, 200: {}, 400: {}, 412: {}", statuses.len(), of(200), of(400), of(412));
    }
    hospital.close().await;
}

/// What is wrong with a prefetched answer is told on the card, and never taken for "nothing there".
#[tokio::test]
async fn a_prefetched_answer_that_cannot_be_read_is_a_gap_that_names_it() {
    let hospital = hospital().await;
    let request = patient_view(&hospital);
    for key in ["conditions", "medications", "allergies", "vitals", "laboratory", "examinations", "studies", "reports"]
    {
        for change in CHANGES.into_iter().filter(|c| !matches!(c, Change::Missing | Change::Twice | Change::Null)) {
            let answer = post(&hospital, PATIENT_VIEW, changed(&request, &format!("/prefetch/{key}"), change)).await;
            let detail = answer.only_card()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("Gaps") && detail.contains(&format!("- {key}:")), "{key} {change:?}: {detail}");
        }
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let whole = order_sign(&hospital).to_string().into_bytes();
    let with = |at: usize, bytes: &[u8]| [&whole[..at], bytes, &whole[at..]].concat();
    let limit = curbside::http::Config::default().max_body_bytes;
    let padded = |length: usize| [whole.clone(), vec![b' '; length - whole.len()]].concat();
    let mut cases: Vec<(String, Vec<u8>, u16)> = vec![
        ("empty".into(), vec![], 400),
        ("white space".into(), b" \n\t".to_vec(), 400),
        ("null".into(), b"null".to_vec(), 400),
        ("an array".into(), format!("[{}]", String::from_utf8_lossy(&whole)).into_bytes(), 400),
        ("a byte order mark".into(), with(0, b"\xEF\xBB\xBF"), 400),
        ("UTF-16".into(), whole.iter().flat_map(|b| [*b, 0]).collect(), 400),
        ("NUL after the end".into(), with(whole.len(), b"\0"), 400),
        ("a second object".into(), with(whole.len(), b"{}"), 400),
        ("no UTF-8 in an unknown member".into(), with(1, b"\"x\":\"\xff\","), 400),
        ("no UTF-8 in a name".into(), with(1, b"\"\xc0\xaf\":1,"), 400),
        ("an overlong escape".into(), with(1, b"\"\\u{1F600}\":1,"), 400),
        ("a comment".into(), with(1, b"/* */"), 400),
        ("NaN".into(), with(1, b"\"x\":NaN,"), 400),
        ("deep arrays".into(), format!("{}1", "[".repeat(10_000)).into_bytes(), 400),
        ("deep objects".into(), r#"{"a":"#.repeat(10_000).into_bytes(), 400),
        ("unknown members".into(), with(1, format!("\"{MARKER}\":[{{}}],").as_bytes()), 200),
        ("an unknown member 10,000 deep".into(), with(1, deep().as_bytes()), 200),
        ("as long as may be".into(), padded(limit), 200),
        ("a byte longer".into(), padded(limit + 1), 413),
    ];
    cases.extend((0..50).map(|n| (format!("cut at {n}/50"), whole[..whole.len() * n / 50].to_vec(), 400)));
    for (what, body, status) in cases {
        let answer = post(&hospital, ORDER_SIGN, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        if status != 200 {
            refused(&answer, &what);
        }
        assert!(!log.take().contains(MARKER), "{what}");
    }
    let client = &hospital.client;
    let typed = |kind: &'static str| {
        let request = client.post(hospital.url.join(ORDER_SIGN).unwrap()).header("content-type", kind);
        request.body(whole.clone())
    };
    for request in [
        typed("application/xml"),
        typed("application/fhir+xml"),
        typed("text/xml"),
        typed("text/plain"),
        typed("application/x-www-form-urlencoded"),
        typed("multipart/form-data; boundary=x"),
        typed("application/json; charset=latin1"),
        typed("json"),
        typed("application/json").header("content-encoding", "gzip"),
        typed("application/json").header("content-encoding", "identity"),
        typed("application/json").header("content-encoding", "zstd, br"),
        client.post(hospital.url.join(ORDER_SIGN).unwrap()).body(whole.clone()),
    ] {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = crate::harness::Answer { status, headers, text: response.text().await.unwrap() };
        assert_eq!(answer.status, 415, "{}", answer.text);
        refused(&answer, "media type");
    }
    let good = post(&hospital, ORDER_SIGN, whole.clone()).await;
    assert_eq!(good.status, 200, "{}", good.text);
    hospital.close().await;
}

fn deep() -> String {
    format!(r#""x":{}{},"#, "[".repeat(10_000), "]".repeat(10_000))
}
