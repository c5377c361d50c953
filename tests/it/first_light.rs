//! The whole path over HTTP: an order is signed, a card comes back, a draft report can be read.

use curbside::{
    demo::Fault,
    engine::{Engine, Step},
};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, cases, copy_of, patient, scripted_model};

pub const ANSWER: &str = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;

/// A hospital whose model answers what a test tells it to.
async fn scripted(folders: Vec<std::path::PathBuf>, steps: Vec<Step>) -> Hospital {
    Plan::new(folders, Engine::scripted(scripted_model(), steps)).open().await
}

async fn answering(name: &str) -> Hospital {
    scripted(vec![patient(name)], vec![Step::Text(ANSWER.into())]).await
}

#[tokio::test]
async fn an_order_gives_a_card_and_a_report_that_can_be_read() {
    let hospital = answering("demo").await;
    let card = hospital.sign_order_of("demo").await.only_card();
    assert!(card["summary"].as_str().unwrap().contains("AI draft"), "{card}");
    assert_eq!(card["indicator"], "warning");
    assert!(card["detail"].as_str().unwrap().contains("AI-generated draft, review before signing"));
    assert!(card["detail"].as_str().unwrap().contains("It is not the ordered examination"));

    let page = hospital.page(&card).await;
    let html = hospital.get(card["links"][0]["url"].as_str().unwrap()).await;
    assert_eq!(html.status, 200);
    assert!(html.text.contains("AI-generated draft, review before signing"));
    for picture in page["pictures"].as_array().unwrap() {
        let png = hospital
            .client
            .get(hospital.url.join(&format!("/pictures/{}", picture["sha256"].as_str().unwrap())).unwrap());
        let png = png.send().await.unwrap();
        assert_eq!((png.status().as_u16(), png.headers()["content-type"].to_str().unwrap()), (200, "image/png"));
    }

    let id = page["report_id"].as_str().unwrap();
    let report = hospital.get(&format!("/fhir/DiagnosticReport/{id}")).await;
    assert_eq!(report.status, 200, "{}", report.text);
    let report = report.json();
    assert_eq!(report["status"], "partial");
    let mut resources = vec![report.clone()];
    for result in report["result"].as_array().unwrap() {
        resources.push(hospital.get(&format!("/fhir/{}", result["reference"].as_str().unwrap())).await.json());
    }
    let provenance = hospital.get(&format!("/fhir/Provenance?target=DiagnosticReport/{id}")).await.json();
    assert_eq!(provenance["total"], 1, "{provenance}");
    resources.push(provenance["entry"][0]["resource"].clone());
    let device = resources[1]["device"]["reference"].as_str().unwrap();
    resources.push(hospital.get(&format!("/fhir/{device}")).await.json());
    for resource in &resources {
        curbside::fhir::check(resource).unwrap_or_else(|e| panic!("{e} at {:?}: {resource}", e.expression));
    }
    hospital.close().await;
}

#[tokio::test]
async fn an_answer_without_a_finding_names_the_films_it_rests_on() {
    let nothing = r#"{"findings":[],"urgency":"routine"}"#;
    let hospital = scripted(vec![patient("demo")], vec![Step::Text(nothing.into())]).await;
    let detail = hospital.sign_order_of("demo").await.only_card()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("The model stated no finding (E1, E2)."), "{detail}");
    for film in ["- E1: current film", "- E2: prior film"] {
        assert!(detail.contains(film), "{film} is not in {detail}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn every_input_shown_is_in_the_provenance() {
    let hospital = answering("demo").await;
    let card = hospital.sign_order_of("demo").await.only_card();
    let page = hospital.page(&card).await;
    let report = page["report_id"].as_str().unwrap();
    let found = hospital.get(&format!("/fhir/Provenance?target=DiagnosticReport/{report}")).await.json();
    let provenance = found["entry"][0]["resource"].to_string();
    for evidence in page["evidence"].as_array().unwrap().iter().filter(|e| e["shown"] == true) {
        assert!(provenance.contains(evidence["reference"].as_str().unwrap()), "{evidence} is not in {provenance}");
    }
    assert!(provenance.contains(page["prompt"]["sha256"].as_str().unwrap()));
    hospital.close().await;
}

#[tokio::test]
async fn an_order_that_is_not_imaging_costs_nothing() {
    let hospital = answering("demo-two").await;
    let answer = hospital.sign_order_of("demo-two").await;
    assert_eq!(answer.json(), json!({"cards": []}));
    assert_eq!(hospital.app.engine.calls(), 0);
    assert!(hospital.ehr.requests.all().is_empty(), "nothing is fetched");
    hospital.close().await;
}

/// A film that cannot be had gives a card that says so: no model call, no report, never an error.
async fn abstains(hospital: &Hospital, name: &str, words: &[&str]) -> Value {
    let card = hospital.sign_order_of(name).await.only_card();
    let text = format!("{} {}", card["summary"], card["detail"]);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    assert_eq!(hospital.app.engine.calls(), 0, "the model is not asked");
    assert_eq!(hospital.reports().await, 0, "nothing is stored");
    assert!(card.get("links").is_none(), "{card}");
    card
}

#[tokio::test]
async fn another_persons_film_is_named_and_not_read() {
    let hospital = answering("other-patient-film").await;
    abstains(&hospital, "other-patient-film", &["another patient", "2.25."]).await;
    hospital.close().await;
}

#[tokio::test]
async fn a_missing_film_is_named() {
    let hospital = answering("missing-film").await;
    abstains(&hospital, "missing-film", &["No AI draft", "404"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn an_order_without_a_film_is_told() {
    let hospital = answering("no-imaging").await;
    abstains(&hospital, "no-imaging", &["no unreported"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn a_real_film_is_outside_the_bundled_models_scope() {
    // Unoptimised, decoding it takes longer than an order may.
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let mut plan = Plan::new(vec![patient("real-film")], engine).with_deadline(60_000);
    plan.imaging.max_decode_seconds = 60;
    let hospital = plan.open().await;
    abstains(&hospital, "real-film", &["cannot read such a film"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn an_unreadable_film_is_named() {
    let hospital = answering("demo").await;
    hospital.ehr.faults.set("/dicomweb", Fault::Body("not a film".into()));
    abstains(&hospital, "demo", &["No AI draft"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn only_the_manufacturer_changed_and_the_model_abstains() {
    let changed = copy_of(&cases()[0]);
    let images = std::fs::read_dir(changed.path().join("images")).unwrap().flatten();
    for path in images.map(|image| image.path()) {
        let mut film = std::fs::read(&path).unwrap();
        let (made_by, instead) = (b"curbside phantom", b"Acme Radiography");
        let at = film.windows(made_by.len()).position(|bytes| bytes == made_by).expect("a Manufacturer");
        film[at..at + instead.len()].copy_from_slice(instead);
        std::fs::write(&path, film).unwrap();
    }
    let hospital = scripted(vec![changed.path().to_owned()], vec![Step::Text(ANSWER.into())]).await;
    let name = hospital.ehr.names().next().unwrap().to_owned();
    abstains(&hospital, &name, &["made by: Acme Radiography"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn the_same_call_again_gets_the_same_answer_and_costs_nothing() {
    let hospital = answering("demo").await;
    let request = hospital.ehr.authorized_request("demo").unwrap();
    let first = hospital.sign(&request).await;
    let calls = hospital.app.engine.calls();
    // A retry carries a fresh token.
    let mut again = hospital.ehr.authorized_request("demo").unwrap();
    again["hookInstance"] = request["hookInstance"].clone();
    let second = hospital.sign(&again).await;
    assert_eq!(first.text, second.text);
    assert_eq!(hospital.app.engine.calls(), calls);
    assert_eq!(hospital.reports().await, 1);
    hospital.close().await;
}

#[tokio::test]
async fn twenty_equal_calls_at_once_make_one_report() {
    let hospital = answering("demo").await;
    let request = hospital.ehr.authorized_request("demo").unwrap();
    let answers = futures::future::join_all((0..20).map(|_| hospital.sign(&request))).await;
    for answer in &answers {
        assert_eq!(answer.text, answers[0].text);
    }
    assert_eq!(hospital.app.engine.calls(), 1);
    assert_eq!(hospital.reports().await, 1);
    hospital.close().await;
}

#[tokio::test]
async fn an_order_whose_patient_cannot_be_read_is_412() {
    let hospital = answering("demo").await;
    hospital.ehr.faults.set("/fhir/Patient", Fault::Status(401));
    let answer = hospital.sign_order_of("demo").await;
    assert_eq!(answer.status, 412, "{}", answer.text);
    let (code, diagnostics, expression) = answer.outcome();
    assert_eq!((code.as_str(), expression.as_str()), ("processing", "prefetch.patient"));
    assert!(diagnostics.contains("patient") && diagnostics.contains("refused"), "{diagnostics}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0));
    hospital.close().await;
}

#[tokio::test]
async fn a_search_that_hangs_is_a_gap_on_the_card_within_the_deadline() {
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let hospital = Plan::new(vec![patient("demo")], engine).open().await;
    hospital.ehr.faults.set("/fhir/Condition", Fault::Hang);
    let card = hospital.sign_order_of("demo").await.only_card();
    assert!(card["detail"].as_str().unwrap().contains("conditions: no answer before the deadline"), "{card}");
}

#[tokio::test]
async fn a_search_answered_with_something_else_is_a_gap_and_no_film_is_guessed() {
    let hospital = answering("demo").await;
    hospital.ehr.faults.set("/fhir/ImagingStudy?", Fault::ContentType("text/html".into()));
    let mut request = hospital.ehr.authorized_request("demo").unwrap();
    let order = &mut request["context"]["draftOrders"]["entry"][0]["resource"];
    order.as_object_mut().unwrap().remove("supportingInfo");
    let card = hospital.sign(&request).await.only_card();
    let gaps = card["detail"].as_str().unwrap().split("**Gaps").nth(1).unwrap_or_else(|| panic!("no gaps: {card}"));
    assert!(gaps.contains("studies: "), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0));
    hospital.close().await;
}

#[tokio::test]
async fn a_passed_deadline_is_504_and_nothing_is_stored() {
    let plan =
        Plan::new(vec![patient("demo")], Engine::scripted(scripted_model(), vec![Step::Stall])).with_deadline(6_000);
    let hospital = plan.open().await;
    let answer = hospital.sign_order_of("demo").await;
    assert_eq!(answer.status, 504, "{}", answer.text);
    assert_eq!(answer.outcome().0, "timeout");
    assert_eq!(hospital.reports().await, 0);
}

#[tokio::test]
async fn an_answer_that_was_cut_is_an_error_and_nothing_is_stored() {
    for step in [Step::Cut(ANSWER[..60].into()), Step::Text("{}".into()), Step::Text("no JSON".into())] {
        let hospital = scripted(vec![patient("demo")], vec![step]).await;
        let answer = hospital.sign_order_of("demo").await;
        assert_eq!(answer.status, 500, "{}", answer.text);
        answer.outcome();
        assert_eq!(hospital.reports().await, 0);
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_statement_without_its_picture_is_dropped_and_counted() {
    let kept = ANSWER.trim_end_matches(r#"],"urgency":"urgent"}"#);
    let forged = kept.trim_start_matches(r#"{"findings":["#).replace(r#"["E1"]"#, r#"["E3"]"#);
    let answer = format!(r#"{kept},{forged}],"urgency":"urgent"}}"#);
    let hospital = scripted(vec![patient("demo")], vec![Step::Text(answer)]).await;
    let card = hospital.sign_order_of("demo").await.only_card();
    assert!(card["detail"].as_str().unwrap().contains("Not kept of the model's answer: 1"), "{card}");
    let page = hospital.page(&card).await;
    assert_eq!(page["rejected"].as_array().unwrap().len(), 1);
    hospital.close().await;
}

#[tokio::test]
async fn an_answer_that_rests_on_nothing_is_no_report() {
    let forged = ANSWER.replace(r#"["E1"]"#, r#"["E3"]"#);
    let hospital = scripted(vec![patient("demo")], vec![Step::Text(forged)]).await;
    let card = hospital.sign_order_of("demo").await.only_card();
    let detail = card["detail"].as_str().unwrap();
    assert!(detail.contains("Nothing the model stated rested on the film") && detail.contains("answer: 1"), "{card}");
    assert_eq!(card["indicator"], "info");
    assert_eq!(hospital.reports().await, 0);
    hospital.close().await;
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let data = tempfile::TempDir::new().unwrap();
    let open = || {
        let mut plan =
            Plan::new(vec![patient("demo")], Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]));
        plan.data = Some(data.path().to_owned());
        plan.open()
    };
    let hospital = open().await;
    let card = hospital.sign_order_of("demo").await.only_card();
    let page = hospital.page(&card).await;
    hospital.close().await;

    let hospital = open().await;
    let id = page["report_id"].as_str().unwrap();
    assert_eq!(hospital.get(&format!("/fhir/DiagnosticReport/{id}")).await.status, 200);
    assert_eq!(hospital.get(&format!("/reports/{id}")).await.status, 200);
    let sha256 = page["pictures"][0]["sha256"].as_str().unwrap();
    assert_eq!(hospital.app.store.picture(&hospital.app.caller, sha256).await.unwrap().png[1..4], *b"PNG");
    hospital.close().await;
}

#[tokio::test]
async fn without_intended_use_there_is_no_imaging_service() {
    let mut plan = Plan::new(vec![patient("demo")], Engine::scripted(scripted_model(), vec![]));
    plan.intended_use = None;
    let hospital = plan.open().await;
    let services = hospital.get("/cds-services").await.json();
    let ids: Vec<&str> = services["services"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["chart-summary", "order-checks", "order-checks"]);
    assert_eq!(hospital.sign_order_of("demo").await.status, 404);
    assert_eq!(hospital.view_chart_of("demo").await.status, 200);
    hospital.close().await;
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered() {
    let hospital = answering("demo").await;
    for (host, status) in
        [("rebound.example", 403), ("127.0.0.1.evil.example", 403), ("localhost:1234", 200), ("[::1]", 200)]
    {
        let request = hospital.client.get(hospital.url.join("/cds-services").unwrap()).header("host", host);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{host}");
    }
    hospital.close().await;
}
