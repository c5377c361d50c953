//! The chart summary over HTTP: every kind of resource is found, every failure is told, nothing is called absent unproved.

use curbside::{demo::Fault, engine::Engine};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, copy_of, patient, read_json};

/// Resources added to a patient's record: the key they come under, the resource, words that must stand on the card.
fn additions(patient: &str) -> Vec<(&'static str, Value, &'static str)> {
    let subject = json!({"reference": format!("Patient/{patient}")});
    let category = |code: &str| json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": code}]}]);
    let active = |system: &str| json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": "active"}]});
    let potassium = |id: &str, value: &str, day: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","category":{},"code":{{"text":"Potassium","coding":[{{"system":"http://loinc.org","code":"2823-3"}}]}},
               "subject":{subject},"effectiveDateTime":"{day}","valueQuantity":{{"value":{value},"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}},
               "referenceRange":[{{"low":{{"value":3.5,"unit":"mmol/L","code":"mmol/L"}},"high":{{"value":5.1,"unit":"mmol/L","code":"mmol/L"}}}}]}}"#,
            category("laboratory")
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    vec![
        (
            "conditions",
            json!({"resourceType": "Condition", "id": "added-problem", "clinicalStatus": active("condition-clinical"), "code": {"text": "Added problem"}, "subject": subject, "onsetDateTime": "2020-02"}),
            "Added problem, active, since 2020-02",
        ),
        (
            "medications",
            json!({"resourceType": "MedicationRequest", "id": "added-medicine", "status": "active", "intent": "order", "medicationCodeableConcept": {"text": "Added medicine"}, "subject": subject, "dosageInstruction": [{"text": "one at night"}]}),
            "Added medicine, one at night",
        ),
        (
            "allergies",
            json!({"resourceType": "AllergyIntolerance", "id": "added-allergy", "code": {"text": "Added allergen"}, "patient": subject, "criticality": "high", "reaction": [{"manifestation": [{"text": "hives"}]}]}),
            "Added allergen, criticality high, hives",
        ),
        ("laboratory", potassium("added-test-1", "4.40", "2025-10-01"), ""),
        (
            "laboratory",
            potassium("added-test-2", "5.70", "2025-11-10"),
            "Potassium: 5.70 mmol/L, high, up from 4.40 on 2025-10-01, 2025-11-10",
        ),
        (
            "examinations",
            json!({"resourceType": "Observation", "id": "added-note", "status": "final", "category": category("exam"), "code": {"text": "Examination note"}, "subject": subject, "effectiveDateTime": "2025-11-10", "valueString": "added note"}),
            "added note",
        ),
        (
            "studies",
            json!({"resourceType": "ImagingStudy", "id": "added-study", "status": "available", "subject": subject, "started": "2019-05-05", "description": "Added study", "modality": [{"code": "MR"}]}),
            "Added study, MR, 2019-05-05",
        ),
        (
            "reports",
            json!({"resourceType": "DiagnosticReport", "id": "added-report", "status": "final", "code": {"text": "Added report"}, "subject": subject, "effectiveDateTime": "2019-05-06", "conclusion": "all well"}),
            "Added report, final, all well, 2019-05-06",
        ),
    ]
}

async fn open_with(additions: &[Value], name: &str) -> Hospital {
    let copy = copy_of(&patient(name));
    let mut bundle = read_json(&copy.path().join("fhir.json"));
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.extend(additions.iter().map(|resource| json!({"resource": resource})));
    std::fs::write(copy.path().join("fhir.json"), bundle.to_string()).unwrap();
    // No model: the summary needs none.
    Plan::new(vec![copy.path().to_owned()], Engine::absent()).open().await
}

fn folder(hospital: &Hospital) -> String {
    hospital.ehr.names().next().unwrap().to_owned()
}

async fn detail(hospital: &Hospital) -> String {
    let card = hospital.view_chart_of(&folder(hospital)).await.only_card();
    assert_eq!(card["source"]["label"], "computed from the chart");
    card["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_kind_of_resource_added_is_found_with_its_evidence() {
    let added = additions("no-imaging");
    let resources: Vec<Value> = added.iter().map(|(_, resource, _)| resource.clone()).collect();
    let hospital = open_with(&resources, "no-imaging").await;
    let detail = detail(&hospital).await;
    for (_, resource, words) in added.iter().filter(|(.., words)| !words.is_empty()) {
        let line =
            detail.lines().find(|l| l.contains(words)).unwrap_or_else(|| panic!("{words:?} is not in\n{detail}"));
        let reference = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        assert!(line.contains(&reference) && line.contains("(E"), "{line} does not cite {reference}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn every_line_cites_evidence() {
    let hospital = open_with(&[], "demo").await;
    let detail = detail(&hospital).await;
    let facts = detail.split("**Gaps").next().unwrap();
    let stated = |l: &&str| l.starts_with("- ") && !l.contains("none ") && !l.contains("more in the chart");
    let lines: Vec<&str> = facts.lines().filter(stated).collect();
    assert!(lines.len() > 20, "{detail}");
    for line in lines {
        assert!(line.contains("(E"), "{line}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn each_fetch_that_fails_is_a_gap_and_never_silence() {
    for (path, key, fault) in [
        ("/fhir/Condition", "conditions", Fault::Status(500)),
        ("/fhir/AllergyIntolerance", "allergies", Fault::Status(403)),
        ("/fhir/MedicationRequest", "medications", Fault::ContentType("text/html".into())),
        ("/fhir/DiagnosticReport", "reports", Fault::Truncate),
        (
            "/fhir/ImagingStudy",
            "studies",
            Fault::Body(
                "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"processing\"}]}"
                    .into(),
            ),
        ),
        ("/fhir/Observation", "laboratory", Fault::Redirect("http://127.0.0.1:1/elsewhere".into())),
    ] {
        let hospital = open_with(&[], "no-imaging").await;
        hospital.ehr.faults.set(path, fault.clone());
        let detail = detail(&hospital).await;
        let gaps = detail.split("**Gaps").nth(1).unwrap_or_else(|| panic!("no gap for {fault:?} in\n{detail}"));
        assert!(gaps.contains(&format!("- {key}: ")), "{key} after {fault:?} is not in {gaps}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn absence_is_stated_only_where_it_was_looked_for() {
    let hospital = open_with(&[], "no-imaging").await;
    let mut request = hospital.view_request(&folder(&hospital));
    let allergies = |text: &str| text.split("**Allergies**").nth(1).unwrap().trim().lines().next().unwrap().to_owned();
    // Searched ourselves to the last page.
    let detail = hospital.view(&request).await.only_card()["detail"].as_str().unwrap().to_owned();
    assert!(allergies(&detail).contains("none recorded in the EHR"), "{detail}");
    // Sent by the EHR, and no server to check: null, an empty Bundle, a failure.
    request.as_object_mut().unwrap().remove("fhirServer");
    request.as_object_mut().unwrap().remove("fhirAuthorization");
    let patient = read_json(&patient("no-imaging").join("fhir.json"));
    let patient = patient["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["resource"]["resourceType"] == "Patient")
        .unwrap()["resource"]
        .clone();
    for sent in [
        json!(null),
        json!({"resourceType": "Bundle", "type": "searchset"}),
        json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}),
    ] {
        request["prefetch"] = json!({"patient": patient, "allergies": sent});
        let detail = hospital.view(&request).await.only_card()["detail"].as_str().unwrap().to_owned();
        let line = allergies(&detail);
        assert!(line.contains("not established") || line.contains("not known"), "{sent}: {line}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn an_allergy_that_cannot_be_used_is_not_no_allergy() {
    for (spoiled, words) in [
        (
            json!({"code": {"text": "penicillin"}, "modifierExtension": [{"url": "https://ehr.example/negated"}]}),
            "not known",
        ),
        (json!({"code": {"text": "penicillin"}, "implicitRules": "https://ehr.example/rules"}), "not known"),
        (json!({"note": [{"text": "no code"}]}), "not known"),
        (json!({"code": "ill-typed"}), "not known"),
        (
            json!({"code": {"text": "penicillin"}, "clinicalStatus": {"coding": [{"code": "resolved"}]}}),
            "none current; 1 recorded",
        ),
    ] {
        let mut allergy = json!({"resourceType": "AllergyIntolerance", "id": "spoiled", "patient": {"reference": "Patient/no-imaging"}});
        allergy.as_object_mut().unwrap().extend(spoiled.as_object().unwrap().clone());
        let hospital = open_with(&[allergy], "no-imaging").await;
        let card = hospital.view_chart_of(&folder(&hospital)).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        let line = detail.split("**Allergies**").nth(1).unwrap().trim().lines().next().unwrap();
        assert!(line.contains(words), "{spoiled}: {line}");
        assert!(!card["summary"].as_str().unwrap().contains("no allergies") || words.starts_with("none"), "{card}");
        hospital.close().await;
    }
}

/// INVARIANT: a_medicine_of_unknown_status_is_not_no_medicine
#[tokio::test]
async fn a_medicine_of_unknown_status_is_not_no_medicine() {
    for status in [Value::Null, json!(""), json!("ACTIVE"), json!("unknown"), json!("in-progress")] {
        let medicine = json!({"resourceType": "MedicationRequest", "id": "spoiled", "intent": "order", "status": status,
            "medicationCodeableConcept": {"text": "warfarin"}, "subject": {"reference": "Patient/no-imaging"}});
        let hospital = open_with(&[], "no-imaging").await;
        // Not every EHR answers a search for active ones with active ones.
        let answer = json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": medicine}]});
        hospital.ehr.faults.set("/fhir/MedicationRequest", Fault::Body(answer.to_string()));
        let detail = detail(&hospital).await;
        let line = detail.split("**Current medicines**").nth(1).unwrap().trim().lines().next().unwrap();
        assert!(line.contains("not known"), "{status}: {line}");
        assert!(detail.contains("MedicationRequest/spoiled: its status is not stated"), "{status}: {detail}");
        hospital.close().await;
    }
}

/// INVARIANT: of_several_interpretations_the_gravest_is_said
#[tokio::test]
async fn of_several_interpretations_the_gravest_is_said() {
    let coded = |code: &str| json!({"coding": [{"code": code}]});
    for (interpretation, word) in [
        (json!([coded("N"), coded("HH")]), "critically high"),
        (json!([{"coding": [{"code": "L"}, {"code": "HH"}]}]), "critically high"),
        (json!([coded("N"), coded("L")]), ", low"),
        (json!([coded("N")]), "normal"),
    ] {
        let value = json!({"resourceType": "Observation", "id": "flagged", "status": "final",
            "subject": {"reference": "Patient/no-imaging"}, "effectiveDateTime": "2025-11-19",
            "category": [{"coding": [{"code": "laboratory"}]}], "code": {"text": "potassium"},
            "valueQuantity": {"value": 6.9, "unit": "mmol/L"}, "interpretation": interpretation});
        let hospital = open_with(&[value], "no-imaging").await;
        let detail = detail(&hospital).await;
        let line = detail.lines().find(|line| line.contains("potassium")).unwrap_or_else(|| panic!("{detail}"));
        assert!(line.contains(word), "{interpretation}: {line}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_bundle_that_may_not_be_all_is_doubtful() {
    for answer in [
        json!({"resourceType": "Bundle", "type": "searchset", "total": 5, "entry": []}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [null, null]}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": "https://ehr.example/fhir/AllergyIntolerance/1"}]}),
        json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": 7}]}),
        json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next"}]}),
        json!({"resourceType": "Bundle", "type": "searchset", "meta": {"tag": [{"code": "SUBSETTED"}]}}),
        json!({"resourceType": "Bundle", "type": "batch-response"}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": {"resourceType": "Basic", "id": "b"}}]}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"search": {"mode": "outcome"}, "resource":
            {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "incomplete"}]}}]}),
    ] {
        let hospital = open_with(&[], "no-imaging").await;
        hospital.ehr.faults.set("/fhir/AllergyIntolerance", Fault::Body(answer.to_string()));
        let detail = detail(&hospital).await;
        let line = detail.split("**Allergies**").nth(1).unwrap().trim().lines().next().unwrap();
        assert!(!line.contains("none recorded"), "{answer}: {line}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn an_id_that_is_a_path_is_never_cited() {
    for id in ["../../Patient/c00", "http://evil.example/fhir/Condition/1", "//evil.example/x", "..", "", "a/b"] {
        let condition = json!({"resourceType": "Condition", "id": id, "code": {"text": "planted"}, "subject": {"reference": "Patient/no-imaging"}});
        let hospital = open_with(&[], "no-imaging").await;
        let mut request = hospital.view_request(&folder(&hospital));
        request["prefetch"] =
            json!({"conditions": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": condition}]}});
        let card = hospital.view(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        assert!(!detail.contains("planted") && !detail.contains("evil") && !detail.contains("c00"), "{id}: {detail}");
        assert!(detail.contains("has no usable id"), "{id}: {detail}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn it_answers_without_a_model() {
    let hospital = open_with(&[], "demo").await;
    assert_eq!(hospital.view_chart_of(&folder(&hospital)).await.status, 200);
    let imaging = hospital.sign_order_of(&folder(&hospital)).await;
    assert_eq!(imaging.status, 503, "{}", imaging.text);
    assert!(imaging.headers.contains_key("retry-after"));
    hospital.close().await;
}

#[tokio::test]
async fn it_answers_while_the_model_is_loading() {
    let hospital = Plan::new(vec![patient("demo")], Engine::loading()).open().await;
    assert_eq!(hospital.view_chart_of("demo").await.status, 200);
    let imaging = hospital.sign_order_of("demo").await;
    assert_eq!(imaging.status, 503, "{}", imaging.text);
    let wait: u64 = imaging.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..60).contains(&wait), "{wait}");
    let ready = hospital.get("/readyz").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("loading")));
    assert!(hospital.ehr.requests.under("/dicomweb").is_empty(), "no film is fetched for an answer that cannot come");
    hospital.close().await;
}

#[tokio::test]
async fn required_data_that_cannot_be_had_is_412_naming_the_key() {
    let hospital = open_with(&[], "no-imaging").await;
    let request = hospital.view_request(&folder(&hospital));
    let mut requests = Vec::new();
    let mut without_server = request.clone();
    without_server.as_object_mut().unwrap().remove("fhirServer");
    without_server.as_object_mut().unwrap().remove("fhirAuthorization");
    requests.push(without_server.clone());
    without_server["prefetch"] =
        json!({"patient": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "security"}]}});
    requests.push(without_server.clone());
    without_server["prefetch"] = json!({"patient": {"resourceType": "Patient", "id": "somebody-else"}});
    requests.push(without_server);
    for request in requests {
        let answer = hospital.view(&request).await;
        assert_eq!(answer.status, 412, "{}", answer.text);
        let (code, diagnostics, expression) = answer.outcome();
        assert_eq!(code, "processing");
        assert!(
            diagnostics.contains("patient") && expression.contains("prefetch.patient"),
            "{diagnostics} {expression}"
        );
    }
    for fault in [Fault::Status(401), Fault::Status(404), Fault::Status(500), Fault::ContentType("text/plain".into())] {
        hospital.ehr.faults.clear();
        hospital.ehr.faults.set("/fhir/Patient", fault.clone());
        let answer = hospital.view(&request).await;
        assert_eq!(answer.status, 412, "{fault:?}: {}", answer.text);
    }
    hospital.close().await;
}

#[tokio::test]
async fn another_patients_resources_are_dropped_and_told() {
    let hospital = open_with(&[], "no-imaging").await;
    let mut request = hospital.view_request(&folder(&hospital));
    let foreign = json!({"resourceType": "AllergyIntolerance", "id": "theirs", "code": {"text": "Foreign secret"}, "patient": {"reference": "Patient/somebody-else"}});
    request["prefetch"] =
        json!({"allergies": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": foreign}]}});
    let card = hospital.view(&request).await.only_card();
    assert!(!card.to_string().contains("Foreign secret"));
    assert!(card["detail"].as_str().unwrap().contains("of another patient were received and not used"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_answered_within_the_deadline() {
    let hospital = open_with(&[], "no-imaging").await;
    hospital.ehr.faults.set("/fhir/Condition", Fault::Hang);
    let detail = detail(&hospital).await;
    assert!(detail.contains("- conditions: no answer before the deadline"), "{detail}");
    assert!(detail.contains("not known: it could not be read in full, see the gaps"), "{detail}");
}

#[tokio::test]
async fn a_server_that_is_not_allowed_is_never_contacted() {
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hospital = open_with(&[], "no-imaging").await;
    let mut request = hospital.view_request(&folder(&hospital));
    request["fhirServer"] = json!(format!("http://{}/fhir", stranger.local_addr().unwrap()));
    let answer = hospital.view(&request).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.outcome().2, "fhirServer");
    let contact = tokio::time::timeout(std::time::Duration::from_millis(200), stranger.accept()).await;
    assert!(contact.is_err(), "the stranger was contacted");
    hospital.close().await;
}
