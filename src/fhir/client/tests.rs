use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{
    Router,
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::*;
use crate::fhir::query;

fn egress() -> Egress {
    Egress::new(Limits::default().max_held_bytes).unwrap()
}

const JSON: &str = "application/fhir+json; charset=utf-8";

fn json(text: impl Into<String>) -> Response {
    ([(CONTENT_TYPE, JSON)], text.into()).into_response()
}

fn bundle(id: usize, next: &str) -> Response {
    let link =
        if next.is_empty() { String::new() } else { format!(r#","link":[{{"relation":"next","url":"{next}"}}]"#) };
    let entry = format!(r#"{{"resource":{{"resourceType":"Observation","id":"{id}"}}}}"#);
    json(format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entry}]{link}}}"#))
}

/// A server whose n-th answer (from 0) is `answer(n, uri)`, and what it was asked.
struct Ehr {
    base: Url,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Ehr {
    async fn start(answer: impl Fn(usize, &str) -> Response + Clone + Send + Sync + 'static) -> Ehr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}/fhir", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = Router::new().fallback(move |uri: Uri| {
            let (answer, log) = (answer.clone(), log.clone());
            async move {
                let mut log = log.lock().unwrap();
                log.push(uri.to_string());
                answer(log.len() - 1, log.last().unwrap())
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ehr { base, asked }
    }

    fn client(&self, limits: Limits) -> Client {
        let deadline = Instant::now() + Duration::from_secs(60);
        Client::new(egress(), Processor::default(), self.base.clone().into(), None, limits, deadline)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn read(answer: impl Fn(usize, &str) -> Response + Clone + Send + Sync + 'static) -> (Result<Raw>, usize) {
    let ehr = Ehr::start(answer).await;
    let result = ehr.client(Limits::default()).read("Patient", "12").await;
    let asked = ehr.asked();
    (result, asked)
}

#[tokio::test]
async fn a_resource_is_read_as_it_was_sent() {
    for content_type in [JSON, "application/json", "application/json+fhir", ""] {
        let (result, _) = read(move |_, uri| {
            assert_eq!(uri, "/fhir/Patient/12");
            let body = "\u{feff} {\"resourceType\":\"Patient\",\"id\":\"12\", \"x\":72.50}\n";
            ([(CONTENT_TYPE, content_type)], body).into_response()
        })
        .await;
        assert_eq!(result.unwrap().get(), r#"{"resourceType":"Patient","id":"12", "x":72.50}"#, "{content_type}");
    }
}

#[tokio::test]
async fn a_resource_other_than_the_one_asked_for_is_refused() {
    for body in [
        r#"{"resourceType":"Patient","id":"13"}"#,
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Observation","id":"12"}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"12"}}]}"#,
        r#"{"resourceType":"OperationOutcome","id":"12"}"#,
    ] {
        assert_eq!(read(move |_, _| json(body)).await.0.unwrap_err().kind, Kind::Upstream, "{body}");
    }
}

#[tokio::test]
async fn what_is_not_fhir_json_is_refused() {
    for (content_type, body) in [
        ("text/html", "<html>log in</html>"),
        ("application/json", "<html>log in</html>"),
        ("text/html", r#"{"resourceType":"Patient","id":"12"}"#),
        ("application/fhir+xml", "<Patient/>"),
        (JSON, r#"{"id":"12"}"#),
        (JSON, r#"{"resourceType":"Patient","id":"12"} trailing"#),
        (JSON, r#"{"resourceType":"Patient","id":"1"#),
        (JSON, ""),
    ] {
        let (result, asked) = read(move |_, _| ([(CONTENT_TYPE, content_type)], body).into_response()).await;
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str(), asked),
            (Kind::Upstream, "the answer is not FHIR JSON", 1),
            "{body}"
        );
    }
}

#[tokio::test]
async fn statuses_become_kinds_and_only_passing_failures_are_repeated() {
    for (status, kind, calls) in [
        (401, Kind::Forbidden, 1),
        (403, Kind::Forbidden, 1),
        (404, Kind::NotFound, 1),
        (410, Kind::NotFound, 1),
        (400, Kind::Upstream, 1),
        (302, Kind::Upstream, 1),
        (501, Kind::Upstream, 1),
        (429, Kind::Upstream, 2),
        (503, Kind::Upstream, 2),
    ] {
        let (result, asked) = read(move |_, _| StatusCode::from_u16(status).unwrap().into_response()).await;
        assert_eq!((result.unwrap_err().kind, asked), (kind, calls), "{status}");
    }
    let (result, asked) = read(|n, _| match n {
        0 => StatusCode::BAD_GATEWAY.into_response(),
        _ => json(r#"{"resourceType":"Patient","id":"12"}"#),
    })
    .await;
    assert!(result.is_ok() && asked == 2);
}

#[tokio::test]
async fn a_retry_that_would_come_after_the_deadline_is_not_made() {
    let (result, asked) =
        read(|_, _| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3600")]).into_response()).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.retry_after, asked), (Kind::Upstream, Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn a_path_is_not_an_id() {
    let ehr = Ehr::start(|_, _| json("{}")).await;
    for (resource_type, id) in [
        ("Patient", ".."),
        ("Patient", "."),
        ("Patient", "1/2"),
        ("Patient", ""),
        ("..", "1"),
        ("Patient", "1?x=1"),
        ("Patient", "ü"),
    ] {
        assert_eq!(ehr.client(Limits::default()).read(resource_type, id).await.unwrap_err().kind, Kind::Invalid);
    }
    assert_eq!(ehr.asked(), 0);
}

#[tokio::test]
async fn pages_are_followed_absolute_and_relative() {
    let ehr = Ehr::start(|n, uri| match n {
        0 => bundle(n, "Observation?page=2"),
        1 => bundle(n, "/fhir?page=3"),
        2 => bundle(n, "?page=4"),
        _ => {
            assert_eq!(uri, "/fhir?page=4");
            bundle(n, "")
        }
    })
    .await;
    let found = ehr.client(Limits::default()).search(&query("Observation", &[("patient", "1 &2")])).await.unwrap();
    assert_eq!((found.resources.len(), found.complete, found.problems.len()), (4, true, 0));
    assert_eq!(ehr.asked.lock().unwrap()[..2], ["/fhir/Observation?patient=1+%262", "/fhir/Observation?page=2"]);
}

#[tokio::test]
async fn a_next_link_leaves_neither_the_base_nor_the_limits() {
    for next in [
        "http://169.254.169.254/fhir/Observation?page=2",
        "https://ehr.example/fhir/Observation?page=2",
        "/admin",
        "../fhirevil",
        "/fhir/..%2fadmin",
        "//ehr.example/fhir",
        "file:///etc/passwd",
        "http://[",
    ] {
        let ehr = Ehr::start(move |n, _| bundle(n, next)).await;
        let found = ehr.client(Limits::default()).search("Observation?patient=1").await.unwrap();
        assert_eq!(
            (found.resources.len(), found.complete, found.problems.len(), ehr.asked()),
            (1, false, 1, 1),
            "{next}"
        );
    }
    let endless = Ehr::start(|n, _| bundle(n, &format!("Observation?page={n}"))).await;
    let found = endless.client(Limits::default()).search("Observation?patient=1").await.unwrap();
    assert_eq!((found.resources.len(), found.complete, endless.asked()), (10, false, 10));
    let few = Limits { max_calls: 3, ..Limits::default() };
    let found = endless.client(few).search("Observation?patient=1").await.unwrap();
    assert_eq!((found.resources.len(), found.complete, found.problems.len()), (3, false, 1));
}

#[tokio::test]
async fn a_server_is_asked_where_it_is_reached_and_its_links_are_followed_under_either_name() {
    let next = |n: usize, base: &str| match n {
        0 => "https://ehr.example/fhir/Observation?page=1".to_owned(),
        1 => format!("{base}/Observation?page=2"),
        2 => "/fhir?page=3".to_owned(),
        3 => "https://ehr.example/fhir/?page=4".to_owned(),
        _ => "https://ehr.example/fhirevil?page=5".to_owned(),
    };
    for named in ["https://ehr.example/fhir", "https://ehr.example/fhir/"] {
        let own = Arc::new(Mutex::new(String::new()));
        let known = own.clone();
        let ehr = Ehr::start(move |n, _| bundle(n, &next(n, &known.lock().unwrap()))).await;
        *own.lock().unwrap() = ehr.base.to_string();
        let base = Base::new(named.parse().unwrap(), ehr.base.clone());
        let deadline = Instant::now() + Duration::from_secs(60);
        let client = Client::new(egress(), Processor::default(), base, None, Limits::default(), deadline);
        let found = client.search("Observation?patient=1").await.unwrap();
        assert_eq!((found.resources.len(), found.complete, found.problems.len()), (5, false, 1));
        let asked = [
            "/fhir/Observation?patient=1",
            "/fhir/Observation?page=1",
            "/fhir/Observation?page=2",
            "/fhir?page=3",
            "/fhir/?page=4",
        ];
        assert_eq!(*ehr.asked.lock().unwrap(), asked);
    }
}

#[tokio::test]
async fn a_loop_of_pages_is_noticed() {
    let ehr =
        Ehr::start(|n, _| bundle(n, if n % 2 == 0 { "Observation?page=2" } else { "Observation?patient=1" })).await;
    let found = ehr.client(Limits::default()).search("Observation?patient=1").await.unwrap();
    assert_eq!((found.complete, ehr.asked()), (false, 2));
    assert!(found.problems[0].contains("repeat"), "{:?}", found.problems);
}

#[tokio::test]
async fn a_failing_page_keeps_the_pages_before_it() {
    let ehr =
        Ehr::start(|n, _| if n == 0 { bundle(n, "?page=2") } else { StatusCode::FORBIDDEN.into_response() }).await;
    let found = ehr.client(Limits::default()).search("Observation?patient=1").await.unwrap();
    assert_eq!((found.resources.len(), found.complete, found.problems.len()), (1, false, 1));
}

/// INVARIANT: a_search_answered_otherwise_is_never_complete
#[tokio::test]
async fn a_search_answered_otherwise_is_never_complete() {
    for (own, complete) in [
        ("AllergyIntolerance?patient=1", true),
        ("https://ehr.example/fhir/AllergyIntolerance?_format=json&patient=Patient%2F1&_count=50", true),
        ("AllergyIntolerance?patient=2", false),
        ("AllergyIntolerance?patient=1&criticality=high", false),
        ("AllergyIntolerance", false),
        ("Condition?patient=1", false),
    ] {
        let ehr = Ehr::start(move |_, _| {
            let link = format!(r#"[{{"relation":"self","url":"{own}"}}]"#);
            json(format!(r#"{{"resourceType":"Bundle","type":"searchset","total":0,"link":{link}}}"#))
        })
        .await;
        let found = ehr.client(Limits::default()).search("AllergyIntolerance?patient=1").await.unwrap();
        assert_eq!((found.complete, found.problems.is_empty()), (complete, complete), "{own}");
    }
}

#[tokio::test]
async fn a_search_needs_a_bundle() {
    for body in [r#"{"resourceType":"Patient","id":"12"}"#, r#"{"resourceType":"OperationOutcome"}"#, "[]"] {
        let ehr = Ehr::start(move |_, _| json(body)).await;
        assert_eq!(
            ehr.client(Limits::default()).search("Patient?_id=12").await.unwrap_err().kind,
            Kind::Upstream,
            "{body}"
        );
    }
}

#[tokio::test]
async fn bytes_are_limited_for_one_answer_and_for_all() {
    let ehr = Ehr::start(|n, _| bundle(n, &format!("Observation?page={n}"))).await;
    let size = 140;
    let small = Limits { max_bytes_per_response: 50, ..Limits::default() };
    assert_eq!(ehr.client(small).search("Observation?patient=1").await.unwrap_err().kind, Kind::Upstream);
    let small = Limits { max_bytes: 2 * size, ..Limits::default() };
    let found = ehr.client(small).search("Observation?patient=1").await.unwrap();
    assert!(!found.complete && (1..=2).contains(&found.resources.len()), "{found:?}");
}

#[tokio::test]
async fn what_was_fetched_keeps_its_share_of_memory_until_its_request_ends() {
    let next = |n| if n == 0 { "Observation?page=1" } else { "" };
    let ehr = Ehr::start(move |n, _| bundle(n, next(n))).await;
    let (egress, all) = (egress(), Limits::default().max_held_bytes);
    let (base, far) = (ehr.base.clone().into(), Instant::now() + Duration::from_secs(60));
    let client = Client::new(egress.clone(), Processor::default(), base, None, Limits::default(), far);
    let found = client.search("Observation?patient=1").await.unwrap();
    let held: usize = found.resources.iter().map(|raw| raw.get().len()).sum();
    assert!(found.resources.len() == 2 && all - egress.room() > held, "{}", egress.room());
    // Nor does a copy with another deadline let go of it.
    let copy = client.until(far);
    drop(client);
    assert!(all - egress.room() > held);
    drop(copy);
    assert_eq!(egress.room(), all);
}

#[tokio::test]
async fn requests_at_once_are_limited() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/fhir", listener.local_addr().unwrap())).unwrap();
    let app = Router::new().fallback(|| async {
        MOST.fetch_max(NOW.fetch_add(1, SeqCst) + 1, SeqCst);
        sleep(Duration::from_millis(20)).await;
        NOW.fetch_sub(1, SeqCst);
        json(r#"{"resourceType":"Patient","id":"12"}"#)
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let limits = Limits { parallel: 2, ..Limits::default() };
    let client = Client::new(
        egress(),
        Processor::default(),
        base.into(),
        None,
        limits,
        Instant::now() + Duration::from_secs(60),
    );
    let all = futures::future::join_all((0..12).map(|_| client.read("Patient", "12"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(MOST.load(SeqCst) <= 2);
}

#[tokio::test]
async fn depth_does_not_reach_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"resourceType":"Patient","id":"12","x":{deep}}}"#);
    assert!(read(move |_, _| json(body.clone())).await.0.is_ok());
    assert_eq!(read(move |_, _| json(deep.clone())).await.0.unwrap_err().kind, Kind::Upstream);
    let known = format!(r#"{{"resourceType":"Patient","id":"12","modifierExtension":{}}}"#, "[".repeat(100_000));
    assert_eq!(read(move |_, _| json(known.clone())).await.0.unwrap_err().kind, Kind::Upstream);
}

#[test]
fn limits_have_defaults_and_no_unknown_names() {
    let limits: Limits = toml::from_str("max_calls = 7").unwrap();
    assert_eq!(limits, Limits { max_calls: 7, ..Limits::default() });
    assert!(limits.check().is_ok());
    assert!(toml::from_str::<Limits>("max_call = 7").is_err());
    assert!(Limits { parallel: 0, ..limits }.check().is_err());
}
