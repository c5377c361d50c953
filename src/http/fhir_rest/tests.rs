mod search;

use axum::{body::to_bytes, http::Request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::{
    caller::AllowedBase,
    error::Kind,
    http::{reply::status, tests::app_of},
    store::{Commit, Draft, Store, search::SERVED},
};

const A: &str = "https://a.example/fhir";
const B: &str = "https://b.example/fhir";

fn caller(tenant: &str, bases: &[&str]) -> Caller {
    let base = |fhir: &&str| AllowedBase {
        fhir: fhir.parse().unwrap(),
        dicomweb: Vec::new(),
        patient_id_systems: Vec::new(),
        suggestions: false,
        dicomweb_takes_token: false,
    };
    Caller { tenant: tenant.into(), client: "local".into(), allowed_bases: bases.iter().map(base).collect() }
}

/// One report with its Observation, Provenance and Device, about `Patient/{patient}` of `base`; report and Observation
/// have the members of `more`.
async fn report(store: &Store, tenant: &str, base: &str, patient: &str, id: &str, more: Value) {
    let patient = format!("{base}/Patient/{patient}");
    let loinc = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let with = |mut resource: Value| {
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    };
    let author = json!([{"who": {"reference": "Device/model"}}]);
    let resources = vec![
        with(
            json!({"resourceType": "DiagnosticReport", "id": id, "status": "partial", "subject": {"reference": patient},
            "category": [loinc("LP29684-5")], "code": loinc("30745-4")}),
        ),
        with(
            json!({"resourceType": "Observation", "id": format!("{id}-o"), "status": "preliminary", "subject": {"reference": patient},
            "category": [loinc("LP29684-5")], "code": loinc("59776-5"), "valueString": "v"}),
        ),
        json!({"resourceType": "Provenance", "id": format!("{id}-p"), "target": [{"reference": format!("DiagnosticReport/{id}")}],
            "recorded": "2025-06-02T08:00:00Z", "agent": author}),
        json!({"resourceType": "Device", "id": "model", "status": "active"}),
    ];
    let event =
        Event { action: Action::Hook, target: "chest".into(), patient: None, outcome: 200, request_id: "r".into() };
    let draft = Draft {
        report_id: id.into(),
        source_base: base.into(),
        patient,
        resources,
        page: json!({}),
        pictures: vec![("b".repeat(64), Arc::new(vec![1]))],
    };
    let commit = Commit { key: None, answer: String::new(), report: Some(draft), event };
    store.commit(&caller(tenant, &[base]), commit).await.unwrap();
}

/// A server that has reports of two EHRs and two tenants.
async fn server() -> (TempDir, Arc<App>) {
    let (app, folder) = app_of(caller("t", &[A]), None).await;
    let store = &app.store;
    report(store, "t", A, "1", "r1", json!({"effectiveDateTime": "2025-06-02T08:00:00Z"})).await;
    report(store, "t", A, "1", "r2", json!({"effectiveDateTime": "2025-07-01"})).await;
    report(store, "t", A, "2", "r3", json!({"status": "registered"})).await;
    report(store, "t", B, "1", "r4", json!({"effectivePeriod": {"start": "2024-12-31", "end": "2025-01-01"}})).await;
    report(store, "other", A, "1", "x1", json!({"effectiveDateTime": "2025-06-02"})).await;
    (folder, app)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

fn arrival() -> Extension<Arrival> {
    Extension(Arrival { received: tokio::time::Instant::now(), request_id: "r".into() })
}

async fn searched(
    app: &Arc<App>,
    caller: &Caller,
    resource_type: &str,
    query: &str,
    headers: HeaderMap,
) -> Result<Value> {
    let (path, query) = (Path(resource_type.to_owned()), RawQuery(Some(query.to_owned())));
    Ok(json_of(search(State(app.clone()), caller.clone(), arrival(), path, query, headers).await?).await)
}

async fn got(app: &Arc<App>, caller: &Caller, id: &str, query: &str, headers: HeaderMap) -> Result<Response> {
    let (path, query) = (Path(("DiagnosticReport".to_owned(), id.to_owned())), RawQuery(Some(query.to_owned())));
    read(State(app.clone()), caller.clone(), arrival(), path, query, headers).await
}

fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<_> = entries.iter().map(|e| e["resource"]["id"].as_str().unwrap_or("-").to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_read_answers_with_version_and_time() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    let get = async |id: &str, query: &str, given: HeaderMap| got(&app, &caller, id, query, given).await;
    let response = get("r1", "_format=json", HeaderMap::new()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/fhir+json");
    assert_eq!(response.headers()["etag"], "W/\"1\"");
    let modified = response.headers()["last-modified"].to_str().unwrap().to_owned();
    assert!(chrono::DateTime::parse_from_rfc2822(&modified).is_ok() && modified.ends_with(" GMT"), "{modified}");
    assert_eq!(json_of(response).await["id"], "r1");

    for (tag, status) in
        [("W/\"1\"", 304), ("\"1\"", 304), ("*", 304), ("\"7\", W/\"1\"", 304), ("W/\"2\"", 200), ("1", 200)]
    {
        let response = get("r1", "", headers(&[("if-none-match", tag)])).await.unwrap();
        assert_eq!(response.status(), status, "{tag}");
        assert_eq!(response.headers()["etag"], "W/\"1\"");
    }
    for id in ["x1", "nobody", "r1' OR '1'='1", "", &"x".repeat(10_000)] {
        assert_eq!(get(id, "", HeaderMap::new()).await.unwrap_err().kind, Kind::NotFound);
    }
    assert_eq!(get("r1", "_summary=true", HeaderMap::new()).await.unwrap_err().kind, Kind::Invalid);
    assert_eq!(get("r1", "_format=xml", HeaderMap::new()).await.unwrap_err().kind, Kind::NotAcceptable);
}

#[tokio::test]
async fn no_audit_no_answer() {
    let (folder, app) = server().await;
    let caller = caller("t", &[A]);
    let outside =
        sqlx::SqlitePool::connect(&format!("sqlite:{}", folder.path().join("curbside.db").display())).await.unwrap();
    let trail = async || {
        let rows = "SELECT action || ' ' || target || ' ' || outcome || ' ' || COALESCE(patient, '-') FROM audit WHERE sequence > 5";
        sqlx::query_scalar::<_, String>(rows).fetch_all(&outside).await.unwrap()
    };
    let _ = got(&app, &caller, "r3", "", HeaderMap::new()).await;
    let _ = got(&app, &caller, "Jane Doe", "", HeaderMap::new()).await;
    let _ = searched(&app, &caller, "DiagnosticReport", "patient=2", HeaderMap::new()).await;
    let _ = searched(&app, &caller, "DiagnosticReport", "name=Jane", HeaderMap::new()).await;
    let patient = format!("{A}/Patient/2");
    assert_eq!(
        trail().await,
        [
            format!("read DiagnosticReport/r3 200 {patient}"),
            "read DiagnosticReport 404 -".into(),
            format!("search DiagnosticReport 200 {patient}"),
            "search DiagnosticReport 400 -".into(),
        ]
    );

    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'refused'); END";
    sqlx::query(refuse).execute(&outside).await.unwrap();
    let error = got(&app, &caller, "r1", "", HeaderMap::new()).await.unwrap_err();
    assert_eq!(status(error.kind), 503);
    assert!(error.retry_after.is_some());
    let error = searched(&app, &caller, "DiagnosticReport", "", HeaderMap::new()).await.unwrap_err();
    assert_eq!(status(error.kind), 503);
}

/// Every parameter that the statement claims finds, of several resources, exactly the one it names.
#[tokio::test]
async fn the_capability_statement_claims_what_is_there() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    report(&app.store, "t", A, "9", "r9", json!({"status": "amended", "effectiveDateTime": "2031-05-05"})).await;
    let response = metadata(State(app.clone()), RawQuery(None), HeaderMap::new()).await.unwrap();
    assert_eq!(response.status(), 200);
    let statement = json_of(response).await;
    assert_eq!((&statement["fhirVersion"], &statement["rest"][0]["mode"]), (&json!("4.0.1"), &json!("server")));
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    assert_eq!(resources.len(), SERVED.len());
    for resource in resources {
        let resource_type = resource["type"].as_str().unwrap();
        let (id, status) = match resource_type {
            "DiagnosticReport" => ("r9", "amended"),
            "Observation" => ("r9-o", "amended"),
            "Provenance" => ("r9-p", ""),
            _ => ("model", "active"),
        };
        for parameter in resource["searchParam"].as_array().unwrap() {
            let (name, kind) = (parameter["name"].as_str().unwrap(), parameter["type"].as_str().unwrap());
            let value = match (name, kind) {
                ("_id", "token") => id,
                ("patient" | "subject", "reference") => "9",
                ("target", "reference") => "DiagnosticReport/r9",
                ("status", "token") => status,
                ("date", "date") => "2031-05-05",
                other => panic!("the statement claims {other:?}"),
            };
            let query = format!("{name}={value}");
            let bundle = searched(&app, &caller, resource_type, &query, HeaderMap::new()).await.unwrap();
            assert_eq!(ids(&bundle), [id], "{resource_type}?{query}");
            assert_eq!(bundle["total"].to_string(), "1", "{resource_type}?{query}");
        }
    }
    let xml = metadata(State(app), RawQuery(Some("_format=xml".into())), HeaderMap::new()).await;
    assert_eq!(xml.unwrap_err().kind, Kind::NotAcceptable);
}

/// Through the real router: what axum adds is right.
#[tokio::test]
async fn head_is_answered_and_other_methods_are_told_what_is_allowed() {
    let (_folder, app) = server().await;
    let router = crate::http::router(app, &crate::http::Config::default(), None);
    for (method, path, status) in [
        ("GET", "/fhir/DiagnosticReport/r1", 200),
        ("HEAD", "/fhir/DiagnosticReport/r1", 200),
        ("HEAD", "/fhir/DiagnosticReport/x1", 404),
        ("DELETE", "/fhir/DiagnosticReport/r1", 405),
        ("PUT", "/fhir/DiagnosticReport/r1", 405),
        ("GET", "/fhir/DiagnosticReport?patient=1", 200),
        ("POST", "/fhir/DiagnosticReport", 405),
        ("GET", "/fhir/Patient", 404),
        ("GET", "/fhir/DiagnosticReport?code=1", 400),
    ] {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/fhir+json");
        assert_eq!(response.headers().get("allow").is_some(), status == 405);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        match method {
            "HEAD" => assert!(body.is_empty()),
            _ => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["resourceType"] == "OperationOutcome", status >= 400, "{method} {path}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_list_of_tags_or_preferences_is_read(text in "[ -~]{0,60}|((W/)?\"[0-9*]{0,3}\"[ ,;]{0,3}){0,5}|(handling=[a-z]{0,8}[,; ]{0,2}){0,3}") {
        let headers = headers(&[("if-none-match", &text), ("prefer", &text)]);
        let tagged = text.split(',').any(|tag| ["*", "\"7\"", "W/\"7\""].contains(&tag.trim()));
        proptest::prop_assert_eq!(known(&headers, 7), tagged);
        proptest::prop_assert!(!lenient(&headers) || text.to_lowercase().contains("handling=lenient"));
    }

    #[test]
    fn a_query_is_what_its_own_link_says(text in "\\PC{0,60}|((_id|patient|subject|status|date|target|_count|_page|_format|x)(:[a-z]{1,3})?=[a-zA-Z0-9,.|/:%+ -]{0,20}&?){0,5}") {
        let base = Url::parse("https://curbside.example/fhir").unwrap();
        let caller = caller("t", &[A]);
        for served in SERVED {
            for lenient in [false, true] {
                let Ok(query) = Query::read(served, &caller, &base, &text, lenient) else { continue };
                let link = Url::parse(&query.url(&base, query.search.after.as_ref())).unwrap();
                let again = Query::read(served, &caller, &base, link.query().unwrap_or_default(), false).unwrap();
                proptest::prop_assert_eq!(again.search, query.search);
            }
        }
    }
}
