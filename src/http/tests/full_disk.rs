//! A signed order and the reading of reports while the disk is full: 503, and everything works again without a restart.

use std::path::Path;

use axum::http::header::RETRY_AFTER;

use super::*;
use crate::{
    demo,
    engine::{ModelInfo, Scope, Step},
};

const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;

#[tokio::test]
async fn a_full_disk_is_told_at_every_door_and_ends_without_a_restart() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let any = "127.0.0.1:0".parse().unwrap();
    let ehr = demo::start(&[fixtures.join("patients/demo")], any, any).await.unwrap();
    let scope = std::fs::read_to_string(fixtures.join("model/curbside.json")).unwrap();
    let scope: Scope = serde_json::from_str(&scope).unwrap();
    let info = ModelInfo {
        revision: "00".repeat(32),
        weights_sha256: scope.weights_sha256.clone(),
        context: 1024,
        image_size: 224,
        tokens_per_image: 64,
        scope: Some(scope),
        ..ModelInfo::scripted()
    };
    let caller = Caller { tenant: "local".into(), client: "local".into(), allowed_bases: vec![ehr.allowed_base()] };
    let engine = Engine::scripted(info, vec![Step::Text(ANSWER.into())]);
    let (app, _folder) = app_with(caller, Some("research"), engine).await;
    let routes = router(app.clone(), &Config::default(), None);
    let order = || {
        let mut request = ehr.authorized_request("demo").unwrap();
        request["hookInstance"] = json!(uuid::Uuid::new_v4());
        request
    };
    let sign =
        async |order: &Value| routes.clone().oneshot(call("imaging-draft-report", order.to_string())).await.unwrap();
    let get = async |path: &str| routes.clone().oneshot(ask(Method::GET, path)).await.unwrap();

    // The process that decodes films is not there in a test of the library: the order is answered without a report.
    assert_eq!(sign(&order()).await.status(), StatusCode::OK);
    let page = format!("/reports/{}", report(&app, "local", "1", 'a').await);
    assert_eq!(get("/readyz").await.status(), StatusCode::OK);

    app.store.full_disk(true).await;
    let late = order();
    // The audit trail takes what room there is left in the file; nothing is smaller than its entry of a search.
    let mut answered = 0;
    while get("/fhir/DiagnosticReport").await.status() == StatusCode::OK {
        answered += 1;
        assert!(answered < 1000, "the disk is never full");
    }
    let response = sign(&late).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    outcome(response).await;
    for path in [page.as_str(), "/fhir/DiagnosticReport", "/fhir/DiagnosticReport/x", "/"] {
        let response = get(path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(response.headers().contains_key(RETRY_AFTER), "{path}");
        outcome(response).await;
    }
    let response = get("/readyz").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(read(response).await.contains("the disk is full"));

    app.store.full_disk(false).await;
    assert_eq!(get("/readyz").await.status(), StatusCode::OK);
    assert_eq!(get(&page).await.status(), StatusCode::OK, "what was acknowledged is there");
    let found: Value = serde_json::from_str(&read(get("/fhir/DiagnosticReport").await).await).unwrap();
    assert_eq!(found["total"], 1, "what was refused left nothing");
    assert_eq!(sign(&late).await.status(), StatusCode::OK, "the same call again is answered");
    ehr.shutdown().await;
}

#[tokio::test]
async fn a_stored_page_that_is_damaged_is_never_a_server_fault() {
    let (app, folder) = app(None).await;
    let id = report(&app, "local", "1", 'a').await;
    let outside = outside(&folder).await;
    let routes = router(app, &Config::default(), None);
    for damage in [
        "UPDATE report_page SET json = '{\"service\":'",
        "UPDATE report_page SET json = 'zz'",
        "UPDATE report_page SET json = CAST(x'ff00fe' AS TEXT)",
        "UPDATE resource SET json = '{\"resourceType\":'",
        "UPDATE resource SET json = CAST(x'ff00fe' AS TEXT)",
    ] {
        sqlx::query(damage).execute(&outside).await.unwrap();
        for path in [
            format!("/reports/{id}"),
            format!("/fhir/DiagnosticReport/{id}"),
            "/fhir/DiagnosticReport".into(),
            "/".into(),
        ] {
            let response = routes.clone().oneshot(ask(Method::GET, &path)).await.unwrap();
            let status = response.status();
            assert!(matches!(status.as_u16(), 200 | 503), "{damage}: {path}: {status}");
            if status != StatusCode::OK {
                assert!(response.headers().contains_key(RETRY_AFTER), "{damage}: {path}");
                outcome(response).await;
            }
        }
    }
}
