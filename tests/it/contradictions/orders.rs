//! Orders, studies and patient numbers that speak against themselves.

use curbside::demo::Fault;
use serde_json::{Value, json};

use crate::study_choice::{open, order, study, unnamed, words};

#[tokio::test]
async fn a_series_of_two_parts_of_the_body_is_told_and_not_chosen() {
    let hospital = open(|resources| {
        study(resources, "demo-current")["series"][0]["bodySite"] = json!({"code": "69536005", "display": "Chest"})
    })
    .await;
    let card = order(&hospital, unnamed).await;
    assert!(words(&card).contains("1 give two parts of the body for one series, and were not considered"), "{card}");
    assert!(words(&card).contains("there is no unreported DX study of the chest"), "{card}");
    assert_eq!(hospital.app.engine.calls(), 0);
    let card = order(&hospital, |_| {}).await;
    let told = "current study: its record gives two parts of the body for one series";
    assert!(words(&card).contains("named by the order") && words(&card).contains(told), "{card}");
    hospital.close().await;
}

/// INVARIANT: an_order_that_contradicts_itself_is_not_read_for
#[tokio::test]
async fn an_order_that_contradicts_itself_is_not_read_for() {
    let hospital = open(|_| {}).await;
    let chest = || json!({"system": "http://loinc.org", "code": "36643-5", "display": "XR Chest 2 Views"});
    let head = "its code is for the chest, and it names the head";
    let sides = "it names the left side and the right side";
    for (change, why) in [
        (json!({"bodySite": [{"coding": [{"system": "http://snomed.info/sct", "code": "69536005"}]}]}), head),
        (json!({"bodySite": [{"text": "chest"}, {"text": "Head"}]}), head),
        (json!({"code": {"coding": [chest()], "text": "CT of the head"}}), head),
        (
            json!({"code": {"coding": [chest(), {"system": "http://loinc.org", "code": "24725-4"}]}}),
            "its codes are those of different examinations",
        ),
        (
            json!({"code": {"coding": [chest()], "text": "XR left hemithorax"}, "bodySite": [{"text": "Right hemithorax"}]}),
            sides,
        ),
        (
            json!({"code": {"coding": [{"system": "urn:local", "code": "7", "display": "Left chest wall"}], "text": "right chest wall"}}),
            sides,
        ),
    ] {
        let card =
            order(&hospital, |order| order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone())).await;
        assert!(words(&card).contains(&format!("the order contradicts itself: {why}")), "{change}: {card}");
    }
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0));
    assert!(hospital.ehr.requests.under("/dicomweb").is_empty(), "no film is fetched");
    for change in [
        json!({"bodySite": [{"coding": [{"code": "51185008", "display": "Thoracic structure"}]}]}),
        json!({"bodySite": [{"text": "chest"}], "code": {"coding": [chest()], "text": "X-ray of chest and head"}}),
        json!({"code": {"coding": [chest()], "text": "both sides, left and right"}, "bodySite": [{"text": "left"}]}),
        json!({"code": {"coding": [chest(), {"system": "http://loinc.org", "code": "36554-4"}]}}),
    ] {
        let card =
            order(&hospital, |order| order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone())).await;
        assert!(words(&card).contains("named by the order"), "{change}: {card}");
        assert!(!words(&card).contains("contradicts"), "{change}: {card}");
    }
    let card = order(&hospital, |order| order["authoredOn"] = json!("2025-11-31")).await;
    let told = "draft order 1: the date given is not a valid date, so films up to now were looked for";
    assert!(words(&card).contains(told), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_study_that_is_changed_in_meaning_in_any_part_is_not_read() {
    let modifier = json!([{"url": "https://ehr.example/not-this-one", "valueBoolean": true}]);
    let changed = "changed in meaning (modifier extension or rules) in a way we do not know";
    for (part, rules) in
        [("/series/0", false), ("/series/0/instance/0", false), ("/contained/0", false), ("/contained/0", true)]
    {
        let hospital = open(|resources| {
            let study = study(resources, "demo-current");
            study["contained"] = json!([{"resourceType": "Endpoint", "id": "e"}]);
            let part = study.pointer_mut(part).expect("the part");
            match rules {
                true => part["implicitRules"] = json!("https://ehr.example/rules"),
                false => part["modifierExtension"] = modifier.clone(),
            }
        })
        .await;
        for naming in [true, false] {
            let card = order(&hospital, |order| {
                if !naming {
                    unnamed(order)
                }
            })
            .await;
            assert!(words(&card).contains(changed), "{part}, named: {naming}: {card}");
            assert!(card.get("links").is_none(), "{part}: {card}");
        }
        assert_eq!(hospital.app.engine.calls(), 0);
        hospital.close().await;
    }
    let endpoint = |resources: &mut Vec<Value>| {
        resources.iter_mut().find(|r| r["resourceType"] == "Endpoint").expect("an Endpoint")["implicitRules"] =
            json!("x")
    };
    let hospital = open(endpoint).await;
    let card = order(&hospital, |_| {}).await;
    assert!(words(&card).contains(changed), "{card}");
    assert_eq!(hospital.app.engine.calls(), 0);
    assert!(hospital.ehr.requests.under("/dicomweb").is_empty(), "no film is fetched");
    hospital.close().await;
}

#[tokio::test]
async fn a_film_under_a_number_the_patient_no_longer_has_is_not_read() {
    for change in [json!({"use": "old"}), json!({"period": {"end": "2025-01-31"}})] {
        let hospital = open(|resources| {
            let patient = resources.iter_mut().find(|r| r["resourceType"] == "Patient").expect("the patient");
            let mut former = patient["identifier"][0].clone();
            former.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            patient["identifier"][0]["value"] = json!("another number");
            patient["identifier"].as_array_mut().unwrap().push(former);
        })
        .await;
        let card = order(&hospital, |_| {}).await;
        let told = "the film's patient number is one that the patient no longer has";
        assert!(words(&card).contains(told), "{change}: {card}");
        assert_eq!(hospital.app.engine.calls(), 0);
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_value_received_twice_for_one_key_is_counted_once() {
    let hospital = open(|_| {}).await;
    let value = json!({"resourceType": "Observation", "id": "twice", "status": "preliminary", "code": {"text": "potassium"},
        "subject": {"reference": "Patient/demo"}, "effectiveDateTime": "2025-11-19", "valueInteger": 4});
    let entries = json!([{"resource": value}, {"resource": value}]);
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": 2, "entry": entries});
    hospital.ehr.faults.set("/fhir/Observation", Fault::Body(bundle.to_string()));
    let page = hospital.page(&order(&hospital, |_| {}).await).await;
    for key in ["vitals", "laboratory", "examinations"] {
        let examined = page["examined"].as_array().unwrap().iter().find(|e| e["what"] == key).unwrap();
        assert_eq!((examined["resources"].to_string().trim_matches('"'), &examined["complete"]), ("1", &json!(false)));
    }
    let value = page["evidence"].as_array().unwrap().iter().find(|e| e["text"] == "potassium: 4, preliminary").unwrap();
    assert_eq!(value["shown"], true, "{value}");
    hospital.close().await;
}
