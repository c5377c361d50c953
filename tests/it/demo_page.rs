//! The demonstration's page over HTTP, without a browser: `tests/browser` has one.

use std::collections::BTreeSet;

use curbside::engine::{Engine, Step};
use serde_json::{Value, json};

use crate::{
    first_light::ANSWER,
    harness::{Answer, Hospital, Plan, fixtures, patient, scripted_model},
};

/// The names of the files that the page is made of.
fn files() -> Vec<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/www")).unwrap();
    folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

async fn shown(names: &[&str], steps: Vec<Step>) -> Hospital {
    let folders = names.iter().map(|name| patient(name)).collect();
    Plan { page: Some("demo"), ..Plan::new(folders, Engine::scripted(scripted_model(), steps)) }.open().await
}

async fn get(hospital: &Hospital, path: &str) -> Answer {
    sent(hospital.client.get(hospital.url.join(path).unwrap())).await
}

async fn post(hospital: &Hospital, path: &str, body: &Value) -> Answer {
    let request = hospital.client.post(hospital.url.join(path).unwrap()).header("content-type", "application/json");
    sent(request.body(body.to_string())).await
}

async fn sent(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap_or_default() }
}

async fn fired(hospital: &Hospital, hook: &str, service: &str) -> Answer {
    let request = post(hospital, "/demo/patients/demo/request", &json!({ "hook": hook })).await;
    assert_eq!(request.status, 200, "{}", request.text);
    hospital.call(service, &request.json(), None).await
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_modules() {
    let hospital = shown(&["demo"], vec![]).await;
    let page = get(&hospital, "/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("require-trusted-types-for 'script'") && !policy.contains("unsafe"), "{policy}");
    for inline in ["style=", "<style", "onclick", "<script>", "http://", "https://"] {
        assert!(!page.text.contains(inline), "{inline}");
    }
    assert!(page.text.contains("not a medical device"), "the banner");
    assert!(files().len() > 10);
    for file in files() {
        let answer = get(&hospital, &format!("/demo/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!answer.text.contains(markup), "{file}: {markup}");
        }
    }
    for odd in ["/demo/nothing.js", "/demo/..%2fpage.rs", "/demo/%2e%2e%2fpage.rs", "/demo/page.rs"] {
        assert_eq!(get(&hospital, odd).await.status, 404, "{odd}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_server_that_is_no_demonstration_has_no_such_page() {
    let engine = Engine::scripted(scripted_model(), vec![]);
    let hospital = Plan::new(vec![patient("demo")], engine).open().await;
    for path in ["/demo/main.js", "/demo/state", "/demo/patients", "/demo/films/1"] {
        assert_eq!(get(&hospital, path).await.status, 404, "{path}");
    }
    assert_eq!(post(&hospital, "/demo/faults", &json!({})).await.status, 404);
    assert!(!get(&hospital, "/").await.text.contains("<script"));
    hospital.close().await;
}

#[tokio::test]
async fn what_the_page_sends_is_what_the_services_take() {
    let hospital = shown(&["demo"], vec![Step::Text(ANSWER.into())]).await;
    let answer = fired(&hospital, "patient-view", "chart-summary").await;
    assert_eq!(answer.cards().len(), 1);
    assert!(answer.headers["server-timing"].to_str().unwrap().starts_with("chart;dur="));
    let answer = fired(&hospital, "order-sign", "imaging-draft-report").await;
    let card = answer.only_card();
    let timing = answer.headers["server-timing"].to_str().unwrap();
    let stages: Vec<&str> = timing.split(", ").filter_map(|metric| metric.split(";dur=").next()).collect();
    assert_eq!(stages, ["chart", "films", "queue", "model", "draft", "store", "total"]);
    let link = card["links"][0]["url"].as_str().unwrap();
    let report = get(&hospital, &format!("/demo/reports/{}", link.rsplit('/').next().unwrap())).await.json();
    let films: BTreeSet<&str> =
        report["pictures"].as_array().unwrap().iter().filter_map(|picture| picture["instance_uid"].as_str()).collect();
    assert_eq!(films.len(), 2);
    for film in films {
        let header = get(&hospital, &format!("/demo/films/{film}")).await.json();
        assert_eq!((&header["rows"], &header["columns"]), (&json!(224.0), &json!(224.0)));
        let pixels = get(&hospital, &format!("/demo/films/{film}/pixels")).await;
        assert_eq!((pixels.status, pixels.headers["content-length"].to_str().unwrap()), (200, "100352"));
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_report_on_the_demonstrations_page_is_in_the_audit_trail() {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let plan =
        Plan { page: Some("demo"), data: Some(data.path().to_owned()), ..Plan::new(vec![patient("demo")], engine) };
    let hospital = plan.open().await;
    let card = fired(&hospital, "order-sign", "imaging-draft-report").await.only_card();
    let id = card["links"][0]["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(get(&hospital, &format!("/demo/reports/{id}")).await.status, 200);
    assert_eq!(get(&hospital, "/demo/reports/00000000-0000-4000-8000-000000000000").await.status, 404);
    let db = sqlx::SqlitePool::connect(&format!("sqlite:{}/curbside.db", data.path().display())).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM audit WHERE action = 'read' AND target = ? AND patient <> ''");
    let read: i64 = count.bind(format!("DiagnosticReport/{id}")).fetch_one(&db).await.unwrap();
    assert_eq!(read, 1);
    db.close().await;
    hospital.close().await;
}

#[tokio::test]
async fn each_switch_fails_what_it_names_and_is_mended() {
    let hospital = shown(&["demo"], vec![Step::Text(ANSWER.into()); 8]).await;
    let statuses = [
        (json!({ "ehr": "error" }), "chart-summary", "patient-view", 412),
        (json!({ "ehr": "garbage" }), "chart-summary", "patient-view", 412),
        (json!({ "pacs": "missing" }), "imaging-draft-report", "order-sign", 200),
        (json!({ "engine": "busy" }), "imaging-draft-report", "order-sign", 503),
        (json!({ "engine": "loading" }), "imaging-draft-report", "order-sign", 503),
        (json!({ "engine": "broken" }), "imaging-draft-report", "order-sign", 503),
        (json!({ "engine": "dies" }), "imaging-draft-report", "order-sign", 200),
    ];
    for (outage, service, hook, status) in statuses {
        let state = post(&hospital, "/demo/faults", &outage).await.json();
        let (part, how) = outage.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&state["faults"][part], how);
        let answer = fired(&hospital, hook, service).await;
        assert_eq!(answer.status, status, "{outage}: {}", answer.text);
        if status == 200 && part == "pacs" {
            assert_eq!(hospital.reports().await, 0, "{}", answer.text);
        }
        assert_eq!(post(&hospital, "/demo/faults", &json!({})).await.json()["faults"]["engine"], "works");
        hospital.app.engine.wait_ready().await.unwrap();
    }
    assert_eq!(fired(&hospital, "patient-view", "chart-summary").await.status, 200);
    assert_eq!(post(&hospital, "/demo/faults", &json!({ "ehr": "on fire" })).await.status, 422);
    let plain = hospital.client.post(hospital.url.join("/demo/faults").unwrap()).body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415, "a form of another site is not taken");
    hospital.close().await;
}

#[tokio::test]
async fn every_story_has_its_place_and_its_request() {
    let folders: Vec<String> = std::fs::read_dir(fixtures().join("patients"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().join("story.json").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let names: Vec<&str> = folders.iter().map(String::as_str).collect();
    let hospital = shown(&names, vec![]).await;
    let list = get(&hospital, "/demo/patients").await.json();
    let told = list["patients"].as_array().unwrap();
    assert_eq!((told.len(), &list["first"]), (names.len(), &json!("demo")));
    assert_eq!(told[0]["name"], "demo");
    let place = |name: &String| {
        let story = std::fs::read(fixtures().join("patients").join(name).join("story.json")).unwrap();
        serde_json::from_slice::<Value>(&story).unwrap()["place"].as_u64().unwrap()
    };
    assert_eq!(folders.iter().map(place).collect::<BTreeSet<u64>>(), (1..=folders.len() as u64).collect());
    for story in told {
        assert!(story["about"].as_str().is_some_and(|about| about.ends_with('.')), "{story}");
        let chart = get(&hospital, &format!("/demo/patients/{}", story["name"].as_str().unwrap())).await.json();
        assert!(chart["resources"].as_array().unwrap().iter().any(|r| r["resourceType"] == "Patient"), "{story}");
    }
    hospital.close().await;
}
