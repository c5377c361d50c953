//! What a record says of itself that keeps it from being a plain fact: told in words, never smoothed, and no absence from it.

mod bundles;
mod orders;
mod records;
mod values;

use curbside::{demo::Fault, engine::Engine};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, patient};

const NAME: &str = "no-imaging";
const UNKNOWN: &str = "not known: it could not be read in full";

/// A record that one search answers with, the words the card must say, and the words it must not.
struct Row {
    what: &'static str,
    resources: Vec<Value>,
    said: &'static [&'static str],
    unsaid: &'static [&'static str],
}

fn row(
    what: &'static str,
    resources: Vec<Value>,
    said: &'static [&'static str],
    unsaid: &'static [&'static str],
) -> Row {
    Row { what, resources, said, unsaid }
}

fn subject() -> Value {
    json!({ "reference": format!("Patient/{NAME}") })
}

fn with(mut resource: Value, more: Value) -> Value {
    resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    resource
}

fn searchset(resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
}

async fn open() -> Hospital {
    // No model: the summary needs none.
    Plan::new(vec![patient(NAME)], Engine::absent()).open().await
}

async fn card(hospital: &Hospital) -> Value {
    hospital.view_chart_of(NAME).await.only_card()
}

fn words(card: &Value) -> String {
    format!("{}\n{}", card["summary"].as_str().unwrap(), card["detail"].as_str().unwrap())
}

/// Asks for the summary with each row in turn as the answer to a search, and lists what is wrong with what was said.
async fn check(path: &str, rows: Vec<Row>) {
    let hospital = open().await;
    let mut wrong = Vec::new();
    for Row { what, resources, said, unsaid } in rows {
        hospital.ehr.faults.clear();
        hospital.ehr.faults.set(path, Fault::Body(searchset(&resources).to_string()));
        let words = words(&card(&hospital).await);
        wrong.extend(said.iter().filter(|w| !words.contains(*w)).map(|w| format!("{what}: {w:?} is not in\n{words}")));
        wrong.extend(unsaid.iter().filter(|w| words.contains(*w)).map(|w| format!("{what}: {w:?} is in\n{words}")));
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    hospital.close().await;
}

fn potassium(more: Value) -> Value {
    let value = json!({
        "resourceType": "Observation", "id": "odd", "status": "final", "subject": subject(), "effectiveDateTime": "2025-11-19",
        "category": [{ "coding": [{ "code": "laboratory" }] }], "code": { "text": "potassium" },
        "valueQuantity": { "value": 6.9, "unit": "mmol/L" },
    });
    with(value, more)
}

fn pressure(components: Value) -> Value {
    let value = json!({
        "resourceType": "Observation", "id": "odd", "status": "final", "subject": subject(), "effectiveDateTime": "2025-11-19",
        "category": [{ "coding": [{ "code": "vital-signs" }] }], "code": { "text": "blood pressure" },
    });
    with(value, json!({ "component": components }))
}

fn part(loinc: &str, value: u32, more: Value) -> Value {
    let coding = json!({ "coding": [{ "system": "http://loinc.org", "code": loinc }] });
    with(json!({ "code": coding, "valueQuantity": { "value": value, "unit": "mmHg" } }), more)
}

const MODIFIER: &str =
    "odd: it or a part of it is changed in meaning (modifier extension or rules) in a way we do not know";

fn penicillin() -> Value {
    json!({ "resourceType": "AllergyIntolerance", "id": "real", "patient": subject(), "code": { "text": "penicillin" } })
}
