mod full_disk;
mod pages;

use std::{panic, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode, header},
    routing::get,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tower::ServiceExt;
use url::Url;

use super::{
    Config,
    log::{panicked, tests::Lines},
    openapi::tests::{document, documented},
    router,
    router::wrapped,
};
use crate::{
    app::{App, Settings},
    caller::Caller,
    engine::{Engine, ModelInfo, Priority, Prompt, Step},
    service, store,
};

/// The application, without a model, and the folder of its store.
async fn app(intended_use: Option<&str>) -> (Arc<App>, TempDir) {
    let caller = Caller { tenant: "local".into(), client: "local".into(), allowed_bases: Vec::new() };
    app_of(caller, intended_use).await
}

pub(super) async fn app_of(caller: Caller, intended_use: Option<&str>) -> (Arc<App>, TempDir) {
    app_with(caller, intended_use, Engine::absent()).await
}

async fn app_with(caller: Caller, intended_use: Option<&str>, engine: Engine) -> (Arc<App>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        caller,
        intended_use: intended_use.map(str::to_owned),
        public_base: Url::parse("https://curbside.example").unwrap(),
        services: None,
        rules: None,
        engine: Default::default(),
        store: store::Config { path: folder.path().join("curbside.db") },
        upstream: Default::default(),
        imaging: Default::default(),
        program: Default::default(),
        report: Default::default(),
    };
    (Arc::new(App::with(settings, engine, Arc::new(chrono::Utc::now)).await.unwrap()), folder)
}

/// The answer of an application of its own; it is one that the OpenAPI document tells of.
pub(super) async fn send(intended_use: Option<&str>, request: Request<Body>) -> Response<Body> {
    let (app, _folder) = app(intended_use).await;
    let router = router(app, &Config { max_body_bytes: 2048, ..Config::default() }, None);
    let (method, target) = (request.method().to_string(), request.uri().path().to_owned());
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let answer = documented::Answer { status: head.status.as_u16(), header: &header, body: &body };
    document().check(&method, &target, &answer);
    Response::from_parts(head, Body::from(body))
}

async fn read(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

async fn outcome(response: Response<Body>) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/fhir+json");
    let outcome: Value = serde_json::from_str(&read(response).await).unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    outcome
}

pub(super) fn ask(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost").body(Body::empty()).unwrap()
}

fn patient_view() -> Value {
    json!({
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/dr", "patientId": "p1"},
    })
}

fn call(id: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(format!("/cds-services/{id}")).header(header::HOST, "localhost");
    request.header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

/// Under which name a picture of that one byte is kept.
fn named(picture: char) -> String {
    format!("{:x}", Sha256::digest([picture as u8]))
}

async fn report(app: &App, tenant: &str, patient: &str, picture: char) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let patient = format!("https://ehr.example/fhir/Patient/{patient}");
    let loinc = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let resource = json!({"resourceType": "DiagnosticReport", "id": id, "status": "registered", "subject": {"reference": patient},
        "category": [loinc("LP29684-5")], "code": loinc("30745-4")});
    let report = Some(store::Draft {
        report_id: id.clone(),
        source_base: "https://ehr.example/fhir".into(),
        patient,
        resources: vec![resource],
        page: json!({"service": format!("Draft of {tenant}"), "issued": "2034-08-15", "patient": {}, "model": {}, "prompt": {}}),
        pictures: vec![(named(picture), Arc::new(vec![picture as u8]))],
    });
    let caller = Caller { tenant: tenant.into(), ..app.caller.clone() };
    let event = store::Event::hook("chest", "https://ehr.example/fhir", "https://ehr.example/fhir/Patient/1", "r");
    app.store.commit(&caller, store::Commit { key: None, answer: String::new(), report, event }).await.unwrap();
    id
}

async fn outside(folder: &TempDir) -> sqlx::SqlitePool {
    sqlx::SqlitePool::connect(&format!("sqlite:{}", folder.path().join("curbside.db").display())).await.unwrap()
}

/// What the audit trail holds of everything but hooks.
async fn trail(outside: &sqlx::SqlitePool) -> Vec<String> {
    let rows = "SELECT action || ' ' || target || ' ' || outcome || ' ' || COALESCE(source_base || ' ' || patient, '-')
                FROM audit WHERE action <> 'hook' ORDER BY sequence";
    sqlx::query_scalar(rows).fetch_all(outside).await.unwrap()
}

#[tokio::test]
async fn discovery_always_answers() {
    let response = send(None, ask(Method::GET, "/cds-services")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let shown: Value = serde_json::from_str(&read(response).await).unwrap();
    assert!(shown["services"].is_array());
}

#[tokio::test]
async fn readiness_tells_of_the_last_canary_and_ends_with_one_that_fails() {
    let caller = Caller { tenant: "local".into(), client: "local".into(), allowed_bases: Vec::new() };
    let engine = Engine::scripted(ModelInfo::scripted(), vec![Step::SickCanary, Step::Text("{}".into())]);
    let (app, _folder) = app_with(caller, None, engine.clone()).await;
    let routes = router(app, &Config::default(), None);
    let ready = async || {
        let response = routes.clone().oneshot(ask(Method::GET, "/readyz")).await.unwrap();
        (response.status(), serde_json::from_str::<Value>(&read(response).await).unwrap())
    };
    let (status, body) = ready().await;
    assert_eq!((status, &body["engine"]["canary_age_seconds"]), (StatusCode::OK, &Value::Null), "none was asked");
    engine.ask_canary().await;
    let (status, body) = ready().await;
    assert!(status == StatusCode::OK && body["engine"]["canary_age_seconds"].is_u64(), "{body}");
    // The answer to a call is what the script has next, and the canary behind it fails.
    let admitted = engine.admit(Priority::Clinician).unwrap();
    let prompt = Prompt { max_new_tokens: 8, ..Prompt::default() };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    engine.generate(admitted, prompt, deadline).await.unwrap();
    engine.ask_canary().await;
    let (status, body) = ready().await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")), "{body}");
    assert!(body["reason"].as_str().unwrap().contains("not finite"), "{body}");
}

#[tokio::test]
async fn without_a_stated_intended_use_no_model_is_asked() {
    let built_in = service::load(None).unwrap().0;
    let all: Vec<_> = built_in.iter().map(|service| service.id.as_str()).collect();
    for (intended_use, ids, status) in [
        (None, vec!["chart-summary", "order-checks", "order-checks"], StatusCode::NOT_FOUND),
        (Some("research"), all, StatusCode::BAD_REQUEST),
    ] {
        let response = send(intended_use, ask(Method::GET, "/cds-services")).await;
        let shown: Value = serde_json::from_str(&read(response).await).unwrap();
        let shown: Vec<_> = shown["services"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
        assert_eq!(shown, ids);
        let response = send(intended_use, call("imaging-draft-report", patient_view().to_string())).await;
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_call_is_answered_with_cards() {
    let mut body = patient_view();
    body["prefetch"] = json!({"patient": {"resourceType": "Patient", "id": "p1", "gender": "female"}});
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "application/fhir+json",
        "Application/JSON;charset=UTF-8",
    ] {
        let mut request = call("chart-summary", body.to_string());
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let response = send(None, request).await;
        assert_eq!(response.status(), StatusCode::OK, "{kind}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let answer: Value = serde_json::from_str(&read(response).await).unwrap();
        assert_eq!(answer["cards"].as_array().unwrap().len(), 1, "{answer}");
        assert!(answer["cards"][0]["summary"].is_string() && answer["cards"][0]["source"]["label"].is_string());
    }
}

#[tokio::test]
async fn what_cannot_be_read_has_its_status_and_an_outcome() {
    let with = |name: header::HeaderName, value: &str| {
        let mut request = call("chart-summary", patient_view().to_string());
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let mut untyped = call("chart-summary", patient_view().to_string());
    untyped.headers_mut().remove(header::CONTENT_TYPE);
    let large = format!("{}{}", patient_view(), " ".repeat(2048));
    let endless = Body::from_stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 512])));
    let cases = [
        (call("chart-summary", "{}"), 400),
        (call("chart-summary", "not json"), 400),
        (call("chart-summary", Body::empty()), 400),
        (call("unknown", "{}"), 404),
        (ask(Method::GET, "/nowhere"), 404),
        (ask(Method::GET, "/reports/Jane"), 404),
        (ask(Method::GET, "/pictures/..%2fsecret"), 404),
        (ask(Method::GET, "/pictures/%ff"), 400),
        (call("chart-summary", large), 413),
        (with(header::CONTENT_LENGTH, "9999999999"), 413),
        (call("chart-summary", endless), 413),
        (untyped, 415),
        (with(header::CONTENT_TYPE, "text/xml"), 415),
        (with(header::CONTENT_TYPE, "application/fhir+xml"), 415),
        (with(header::CONTENT_TYPE, "application/x-www-form-urlencoded"), 415),
        (with(header::CONTENT_TYPE, "application/json; charset=utf-16"), 415),
        (with(header::CONTENT_ENCODING, "gzip"), 415),
        (with(header::CONTENT_ENCODING, "br"), 415),
    ];
    for (request, status) in cases {
        let what = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let response = send(None, request).await;
        assert_eq!(response.status(), status, "{what}");
        let outcome = outcome(response).await.to_string();
        assert!(!outcome.contains("Jane") && !outcome.contains("secret"), "{outcome}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    for (method, path, allow) in [
        (Method::GET, "/cds-services/chart-summary", "POST"),
        (Method::DELETE, "/cds-services", "GET,HEAD"),
        (Method::POST, "/fhir/DiagnosticReport", "GET,HEAD"),
        (Method::POST, "/livez", "GET,HEAD"),
    ] {
        let response = send(None, ask(method, path)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], allow, "{path}");
        outcome(response).await;
    }
}

#[tokio::test]
async fn another_hook_than_offered_is_refused() {
    let mut body = patient_view();
    for hook in ["order-select", "com.example.custom"] {
        body["hook"] = json!(hook);
        let response = send(None, call("chart-summary", body.to_string())).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(!outcome(response).await.to_string().contains(hook));
    }
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_sniffed_by_nobody() {
    for path in
        ["/", "/cds-services", "/fhir/DiagnosticReport", "/reports/x", "/nowhere", "/livez", "/readyz", "/openapi.json"]
    {
        let response = send(None, ask(Method::GET, path)).await;
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn pages_run_nothing() {
    let response = send(None, ask(Method::GET, "/")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
}

/// A report on `Patient/{patient}` with one picture; its page names nothing but the service.
#[tokio::test]
async fn the_log_has_its_closed_set_of_fields_and_nothing_of_the_request() {
    let lines = Lines::default();
    let guard = lines.capture();
    let mut body = patient_view();
    body["context"]["patientId"] = json!("marker-patient");
    body["fhirServer"] = json!("https://marker-server.example/fhir");
    body["fhirAuthorization"] = json!({"access_token": "marker-token", "token_type": "Bearer"});
    body["prefetch"] =
        json!({"marker-key": {"resourceType": "Patient", "id": "marker-patient", "name": [{"text": "marker-name"}]}});
    let mut request = call("chart-summary?marker=query", body.to_string());
    request.headers_mut().insert("x-request-id", "given-1".parse().unwrap());
    request.headers_mut().insert(header::AUTHORIZATION, "Bearer marker-header".parse().unwrap());
    let response = send(None, request).await;
    assert_eq!(response.headers()["x-request-id"], "given-1");
    let mut odd = ask(Method::from_bytes(b"MARKER").unwrap(), "/marker-path");
    odd.headers_mut().insert("x-request-id", "marker id".parse().unwrap());
    let response = send(None, odd).await;
    let made = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    drop(guard);

    let logged = lines.text();
    assert!(!logged.to_lowercase().contains("marker"), "{logged}");
    assert!(!logged.contains("d1577c69"), "the hook instance is hashed: {logged}");
    let answered: Vec<Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|l: &Value| l["message"] == "answered")
        .collect();
    assert_eq!(answered.len(), 2, "{logged}");
    let span = &answered[0]["span"];
    assert_eq!(
        (&span["method"], &span["route"], &span["request_id"], &span["service"], &span["tenant"]),
        (&json!("POST"), &json!("/cds-services/{id}"), &json!("given-1"), &json!("chart-summary"), &json!("local"))
    );
    assert_eq!(span["hook_instance"].as_str().unwrap().len(), 16);
    assert!(answered[0]["status"].is_u64() && answered[0]["ms"].is_u64());
    let span = &answered[1]["span"];
    assert_eq!((&span["method"], &span["route"], &span["request_id"]), (&json!("other"), &json!("none"), &json!(made)));
    for line in &answered {
        for field in line.as_object().unwrap().keys() {
            assert!(["timestamp", "level", "message", "status", "ms", "span"].contains(&field.as_str()), "{field}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_a_fault_and_what_it_said_is_told_to_nobody() {
    let lines = Lines::default();
    let guard = lines.capture();
    let (before, here) = (panic::take_hook(), thread::current().id());
    panic::set_hook(Box::new(move |info| match thread::current().id() == here {
        true => panicked(info),
        false => before(info),
    }));
    let routes = wrapped(
        Router::new().route(
            "/",
            get(|| async {
                if true {
                    panic!("marker")
                }
            }),
        ),
        &Config::default(),
    );
    let response = routes.oneshot(ask(Method::GET, "/")).await.unwrap();
    drop(guard);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!outcome(response).await.to_string().contains("marker"));
    assert!(!lines.text().contains("marker"));
    assert!(lines.text().contains("\"status\":500"), "{}", lines.text());
    assert!(lines.text().contains("\"place\":\"src/http/tests.rs:"), "{}", lines.text());
}

#[tokio::test]
async fn a_refusal_that_has_a_body_keeps_it_and_a_401_stays_bare() {
    let routes = Router::new()
        .route("/page", get(|| async { (StatusCode::GONE, [(header::CONTENT_TYPE, "text/html")], "gone") }))
        .route("/bare", get(|| async { StatusCode::UNAUTHORIZED }));
    let routes = wrapped(routes, &Config::default());
    let response = routes.clone().oneshot(ask(Method::GET, "/page")).await.unwrap();
    assert_eq!(read(response).await, "gone");
    let response = routes.oneshot(ask(Method::GET, "/bare")).await.unwrap();
    assert_eq!((response.status(), read(response).await), (StatusCode::UNAUTHORIZED, String::new()));
}

#[test]
fn a_limit_that_is_none_is_refused() {
    assert!(Config::default().check().is_ok());
    let cases = [
        ("max_body_bytes", Config { max_body_bytes: 0, ..Config::default() }),
        ("max_connections", Config { max_connections: 0, ..Config::default() }),
        ("header_timeout_ms", Config { header_timeout_ms: 0, ..Config::default() }),
        ("body_timeout_ms", Config { body_timeout_ms: 0, ..Config::default() }),
        ("write_timeout_ms", Config { write_timeout_ms: 0, ..Config::default() }),
        ("drain_ms", Config { drain_ms: u64::MAX, ..Config::default() }),
    ];
    for (member, config) in cases {
        assert_eq!(config.check().unwrap_err().expression, Some(format!("http.{member}")));
    }
}
