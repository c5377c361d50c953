//! Which study an order is answered with: the one it names, else the newest unreported one that fits.

use curbside::engine::{Engine, Step};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, cases, copy_of, patient, read_json, record_of, scripted_model};

const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;

/// The demonstration patient with a changed record, and an order that a test changes.
pub async fn open(change: impl Fn(&mut Vec<Value>)) -> Hospital {
    let copy = record_of(&patient("demo"), change);
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let mut plan = Plan::new(vec![copy.path().to_owned()], engine);
    plan.kept.push(copy);
    plan.open().await
}

pub async fn order(hospital: &Hospital, change: impl Fn(&mut Value)) -> Value {
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).unwrap();
    change(&mut request["context"]["draftOrders"]["entry"][0]["resource"]);
    hospital.sign(&request).await.only_card()
}

pub fn unnamed(order: &mut Value) {
    order.as_object_mut().unwrap().remove("supportingInfo");
}

pub fn study<'a>(resources: &'a mut [Value], id: &str) -> &'a mut Value {
    resources.iter_mut().find(|r| r["id"] == id && r["resourceType"] == "ImagingStudy").expect("the study")
}

pub fn words(card: &Value) -> String {
    format!("{} {}", card["summary"].as_str().unwrap(), card["detail"].as_str().unwrap())
}

#[tokio::test]
async fn the_study_the_order_names_is_read_by_reference_or_by_uid() {
    let hospital = open(|_| {}).await;
    let record = read_json(&patient("demo").join("fhir.json"));
    let uid =
        record["entry"].as_array().unwrap().iter().find(|e| e["resource"]["id"] == "demo-current").unwrap()["resource"]
            ["identifier"][0]["value"]
            .clone();
    let by_uid = json!([{"identifier": {"system": "urn:dicom:uid", "value": uid}}]);
    for info in [json!([{"reference": "ImagingStudy/demo-current"}]), by_uid] {
        let card = order(&hospital, |order| order["supportingInfo"] = info.clone()).await;
        assert!(words(&card).contains("named by the order"), "{card}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_named_study_that_is_not_there_is_told() {
    let hospital = open(|_| {}).await;
    let nowhere = json!([{"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}]);
    for info in [json!([{"reference": "ImagingStudy/nowhere"}]), nowhere] {
        let card = order(&hospital, |order| order["supportingInfo"] = info.clone()).await;
        assert!(words(&card).contains("the study the order names could not be had"), "{card}");
    }
    assert_eq!(hospital.app.engine.calls(), 0);
    hospital.close().await;
}

#[tokio::test]
async fn without_a_name_the_newest_unreported_fitting_study_is_read() {
    let hospital = open(|_| {}).await;
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("2025-11-19, the newest unreported one that fits the order"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn cr_and_dx_are_one_modality() {
    let hospital = open(|resources| {
        let study = study(resources, "demo-current");
        study["modality"] = json!([{"code": "CR"}]);
        study["series"][0]["modality"]["code"] = json!("CR");
    })
    .await;
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("the newest unreported one that fits the order"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_study_that_does_not_fit_is_not_read() {
    type Change = fn(&mut Vec<Value>);
    let changes: [(&str, Change); 5] = [
        ("signed report", |resources| {
            resources.push(json!({
                "resourceType": "DiagnosticReport", "id": "signed", "status": "final", "code": {"text": "Chest"},
                "subject": {"reference": "Patient/demo"}, "imagingStudy": [{"reference": "ImagingStudy/demo-current"}],
            }));
        }),
        ("after the order", |resources| study(resources, "demo-current")["started"] = json!("2025-11-21T08:00:00Z")),
        ("before the window", |resources| study(resources, "demo-current")["started"] = json!("2025-10-01T08:00:00Z")),
        ("another modality", |resources| {
            let study = study(resources, "demo-current");
            study["modality"] = json!([{"code": "CT"}]);
            study["series"][0]["modality"]["code"] = json!("CT");
        }),
        ("another body part", |resources| {
            study(resources, "demo-current")["series"][0]["bodySite"] = json!({"code": "KNEE"})
        }),
    ];
    for (why, change) in changes {
        let hospital = open(change).await;
        let card = order(&hospital, unnamed).await;
        assert!(words(&card).contains("there is no unreported DX study of the chest"), "{why}: {card}");
        assert_eq!(hospital.app.engine.calls(), 0, "{why}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn what_was_not_searched_to_the_end_is_not_called_absent() {
    use curbside::demo::Fault;
    let hospital = open(|_| {}).await;
    hospital.ehr.faults.set("/fhir/DiagnosticReport", Fault::Status(500));
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("whether it was reported could not be checked"), "{card}");
    assert!(words(&card).contains("the study may have been reported already"), "{card}");
    hospital.ehr.faults.set("/fhir/ImagingStudy", Fault::Status(500));
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("there may be others"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn an_order_of_a_day_includes_that_day() {
    let hospital = open(|resources| study(resources, "demo-current")["started"] = json!("2025-11-20T09:30:00Z")).await;
    let card = order(&hospital, |order| {
        unnamed(order);
        order["authoredOn"] = json!("2025-11-20");
    })
    .await;
    assert!(words(&card).contains("the newest unreported one"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_study_on_another_server_is_not_ours() {
    let hospital = open(|_| {}).await;
    let info = json!([{"reference": "https://other.example/fhir/ImagingStudy/demo-current"}]);
    let card = order(&hospital, |order| order["supportingInfo"] = info.clone()).await;
    assert!(words(&card).contains("it lies on another server"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_film_without_a_date_is_not_asked_about() {
    let copy = copy_of(&patient("demo"));
    let path = copy.path().join("images/current.dcm");
    let film = std::fs::read(&path).unwrap();
    // Study Date (0008,0020), VR DA, 8 bytes: made empty text of the same length.
    let at = film.windows(8).position(|b| b == [0x08, 0, 0x20, 0, b'D', b'A', 8, 0]).expect("a Study Date");
    let mut without = film.clone();
    without[at + 8..at + 16].copy_from_slice(b"        ");
    std::fs::write(&path, without).unwrap();
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let mut plan = Plan::new(vec![copy.path().to_owned()], engine);
    plan.kept.push(copy);
    let hospital = plan.open().await;
    let card = order(&hospital, |_| {}).await;
    assert!(words(&card).contains("does not state its date"), "{card}");
    assert_eq!(hospital.app.engine.calls(), 0);
    hospital.close().await;
}

/// The demonstration patient with a draft of an AI about the current study in the EHR.
async fn open_with_a_draft() -> Hospital {
    open(|resources| {
        resources.push(json!({
            "resourceType": "DiagnosticReport", "id": "drafted", "status": "partial", "code": {"text": "Chest"},
            "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}]},
            "conclusion": "drafted words", "subject": {"reference": "Patient/demo"}, "imagingStudy": [{"reference": "ImagingStudy/demo-current"}],
        }));
    })
    .await
}

#[tokio::test]
async fn a_draft_of_ours_does_not_count_as_a_report() {
    let hospital = open_with_a_draft().await;
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("the newest unreported one"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn ai_reports_are_never_evidence() {
    let hospital = open_with_a_draft().await;
    let card = order(&hospital, |_| {}).await;
    let page = hospital.page(&card).await;
    assert!(!page["evidence"].to_string().contains("drafted words"), "{page}");
    assert!(words(&card).contains("it is AI-generated and never evidence"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn an_order_is_known_by_its_category_alone() {
    let hospital = open(|_| {}).await;
    let card = order(&hospital, |order| {
        order["category"] =
            json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}]);
        order["code"] = json!({"coding": [{"system": "urn:local", "code": "7"}], "text": "Film of the chest"});
    })
    .await;
    assert!(words(&card).contains("named by the order"), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (1, 1));
    hospital.close().await;
}

#[tokio::test]
async fn an_order_is_known_by_its_code_alone() {
    let hospital = open(|_| {}).await;
    let card = order(&hospital, |order| {
        order.as_object_mut().unwrap().remove("category");
        unnamed(order);
    })
    .await;
    assert!(words(&card).contains("the newest unreported one that fits the order"), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (1, 1));
    hospital.close().await;
}

#[tokio::test]
async fn an_order_of_another_modality_is_not_answered_with_a_chest_film() {
    let hospital = open(|_| {}).await;
    let card = order(&hospital, |order| {
        order["code"] = json!({"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]});
        unnamed(order);
    })
    .await;
    assert!(words(&card).contains("there is no unreported CT study of the chest"), "{card}");
    assert!(card.get("links").is_none(), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0));
    assert!(hospital.ehr.requests.under("/dicomweb").is_empty(), "no film is fetched");
    hospital.close().await;
}

#[tokio::test]
async fn views_that_differ_are_told() {
    for (case, differ) in [("c00", true), ("c01", false)] {
        let folder = cases().into_iter().find(|f| f.ends_with(case)).unwrap();
        let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
        let hospital = Plan::new(vec![folder], engine).open().await;
        let card = hospital.sign_order_of(case).await.only_card();
        assert_eq!(words(&card).contains("The views differ"), differ, "{case}: {card}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn more_orders_than_one_are_told() {
    let hospital = open(|_| {}).await;
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).unwrap();
    let entries = request["context"]["draftOrders"]["entry"].as_array_mut().unwrap();
    let mut second = entries[0].clone();
    second["resource"]["id"] = json!("second");
    entries.push(second);
    let card = hospital.sign(&request).await.only_card();
    assert!(words(&card).contains("1 further imaging order"), "{card}");
    assert_eq!(hospital.app.engine.calls(), 1);
    hospital.close().await;
}

#[tokio::test]
async fn a_draft_order_that_cannot_be_read_is_told() {
    let hospital = open(|_| {}).await;
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).unwrap();
    let good = request["context"]["draftOrders"]["entry"][0].clone();
    request["context"]["draftOrders"]["entry"] = json!([good, {"resource": 7}]);
    let card = hospital.sign(&request).await.only_card();
    assert!(words(&card).contains("could not be read"), "{card}");
    request["context"]["draftOrders"]["entry"] = json!([{"resource": 7}]);
    let answer = hospital.sign(&request).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.outcome().2.contains("context.draftOrders"));
    // Orders of other kinds are none of our business, however they are written.
    request["context"]["draftOrders"]["entry"] =
        json!([{"resource": {"resourceType": "MedicationRequest", "subject": "x"}}]);
    assert_eq!(hospital.sign(&request).await.json(), json!({"cards": []}));
    hospital.close().await;
}

#[tokio::test]
async fn an_order_for_another_patient_is_refused() {
    let hospital = open(|_| {}).await;
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).unwrap();
    request["context"]["draftOrders"]["entry"][0]["resource"]["subject"]["reference"] = json!("Patient/somebody-else");
    let answer = hospital.sign(&request).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.outcome().2.contains("context.draftOrders"));
    hospital.close().await;
}
