//! The cases through the server and the real engine: DICOM and FHIR in, card and report out.
//!
//! Eighteen are the reference; whatever other folder is put beside them is run as well.

use curbside::engine::{Config, Engine};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, cases, fixtures, patient, read_json};

pub async fn bundled() -> Engine {
    let engine = Engine::load(Config { model: Some(fixtures().join("model")), ..Config::default() });
    engine.wait_ready().await.expect("the bundled model is ready");
    engine
}

/// What the server said of one case, in the form of `expected.json`: read from FHIR and the page, not from our structs.
pub async fn said(hospital: &Hospital, name: &str) -> Value {
    let card = hospital.sign_order_of(name).await.only_card();
    let base = hospital.ehr.fhir_base.as_str().trim_end_matches('/').to_owned() + "/";
    if card.get("links").is_none() {
        let detail = card["detail"].as_str().unwrap();
        let reason = [("is not a chest film", "not a chest film"), ("picture blank", "blank film")]
            .iter()
            .find(|(words, _)| detail.contains(words));
        let (_, reason) = reason.unwrap_or_else(|| panic!("{name}: {detail}"));
        let cited = detail.split("**Evidence**").nth(1).unwrap_or_default().split("**").next().unwrap_or_default();
        let films = cited
            .lines()
            .filter_map(|l| Some(format!("urn:oid:{}", l.split("urn:oid:").nth(1)?.trim_end_matches(')'))));
        return json!({"insufficient_evidence": reason, "evidence": films.collect::<Vec<_>>()});
    }
    let page = hospital.page(&card).await;
    let reference = |id: &Value| {
        let evidence = page["evidence"].as_array().unwrap().iter().find(|e| e["id"] == *id).expect("a cited id exists");
        evidence["reference"].as_str().unwrap().trim_start_matches(&base).to_owned()
    };
    let report = hospital.get(&format!("/fhir/DiagnosticReport/{}", page["report_id"].as_str().unwrap())).await.json();
    let statements =
        page["sections"].as_array().unwrap().iter().flat_map(|s| s["statements"].as_array().unwrap().clone());
    let cited: Vec<Vec<String>> =
        statements.map(|s| s["evidence"].as_array().unwrap().iter().map(&reference).collect()).collect();
    let mut findings = Vec::new();
    for result in report["result"].as_array().unwrap() {
        let observation = hospital.get(&format!("/fhir/{}", result["reference"].as_str().unwrap())).await.json();
        if observation["code"]["coding"][0]["code"] != "59776-5" {
            continue;
        }
        let part = |name: &str| {
            let parts = observation["component"].as_array().unwrap();
            let found = parts.iter().find(|c| c["code"]["text"] == name);
            found.map(|c| c["valueCodeableConcept"]["text"].as_str().or(c["valueString"].as_str()).unwrap().to_owned())
        };
        let mut evidence = cited[findings.len()].clone();
        evidence.sort();
        findings.push(json!({
            "kind": part("finding"),
            "side": part("side of the patient"),
            "region": part("region"),
            "severity": part("severity").unwrap_or("none".into()),
            "change": part("change against the prior film").unwrap_or("unknown".into()),
            "evidence": evidence,
        }));
    }
    json!({"findings": findings, "urgency": page["urgency"]})
}

pub fn sorted(mut expected: Value) -> Value {
    let sort = |list: &mut Value| {
        let mut ids: Vec<String> = list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
        ids.sort();
        *list = json!(ids);
    };
    if let Some(findings) = expected.get_mut("findings") {
        findings.as_array_mut().unwrap().iter_mut().for_each(|f| sort(&mut f["evidence"]));
    }
    if expected.get("insufficient_evidence").is_some() {
        sort(&mut expected["evidence"]);
    }
    expected
}

#[tokio::test]
async fn every_case_is_answered_as_expected() {
    let folders = cases();
    for reference in (0..18).map(|number| format!("c{number:02}")) {
        assert!(folders.iter().any(|folder| folder.ends_with(&reference)), "the reference case {reference} is missing");
    }
    let hospital = Plan::new(folders.clone(), bundled().await).open().await;
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (said, expected) = (sorted(said(&hospital, &name).await), sorted(read_json(&folder.join("expected.json"))));
        if said != expected {
            wrong.push(format!("{name}\n  expected {expected}\n  said     {said}"));
        }
    }
    println!("{} of {} cases as expected", folders.len() - wrong.len(), folders.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hospital.close().await;
}

#[tokio::test]
async fn the_bundled_model_abstains_where_it_should() {
    let mut plan = Plan::new(vec![patient("blank-film"), patient("real-film")], bundled().await);
    // Unoptimised, decoding a real one takes longer than it may.
    plan.imaging.max_decode_seconds = 60;
    let hospital = plan.open().await;
    let blank = hospital.sign_order_of("blank-film").await.only_card();
    assert!(blank["summary"].as_str().unwrap().contains("the model found the picture blank"), "{blank}");
    let real = hospital.sign_order_of("real-film").await.only_card();
    assert!(real["detail"].as_str().unwrap().contains("cannot read such a film"), "{real}");
    assert_eq!(hospital.reports().await, 0);
    hospital.close().await;
}
