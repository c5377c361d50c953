//! Null and empty are not "none": what each way of answering a prefetch key leads to, for every key and client.
//! <https://cds-hooks.hl7.org/2.0/#prefetch-template>

mod single;

use curbside::{
    demo::Fault,
    engine::{Engine, Step},
};
use serde_json::{Value, json};

use crate::{
    harness::{Hospital, Plan, copy_of, patient, read_json, scripted_model},
    relay::Traps,
};

const NAME: &str = "no-imaging";

/// What is looked for under a heading of the summary, and the keys it comes under.
struct Kind {
    heading: &'static str,
    keys: &'static [&'static str],
    resource_type: &'static str,
    /// Queries that are counted as asking for it.
    asks: &'static str,
    safety: bool,
}

const KINDS: [Kind; 7] = [
    Kind {
        heading: "Problems",
        keys: &["conditions"],
        resource_type: "Condition",
        asks: "/fhir/Condition?",
        safety: true,
    },
    Kind {
        heading: "Current medicines",
        keys: &["medications"],
        resource_type: "MedicationRequest",
        asks: "/fhir/MedicationRequest?",
        safety: true,
    },
    Kind {
        heading: "Allergies",
        keys: &["allergies"],
        resource_type: "AllergyIntolerance",
        asks: "/fhir/AllergyIntolerance?",
        safety: true,
    },
    Kind {
        heading: "Last value of each test",
        keys: &["vitals", "laboratory"],
        resource_type: "Observation",
        asks: "category=laboratory",
        safety: false,
    },
    Kind {
        heading: "Examination notes",
        keys: &["examinations"],
        resource_type: "Observation",
        asks: "category=exam",
        safety: false,
    },
    Kind {
        heading: "Imaging studies",
        keys: &["studies"],
        resource_type: "ImagingStudy",
        asks: "/fhir/ImagingStudy?",
        safety: false,
    },
    Kind {
        heading: "Reports",
        keys: &["reports"],
        resource_type: "DiagnosticReport",
        asks: "/fhir/DiagnosticReport?",
        safety: false,
    },
];

/// What a client may send for a key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sent {
    Absent,
    Null,
    Matches,
    OneResource,
    Wrapped,
    EmptyBundle,
    EmptyEntries,
    OnlyAWarning,
    OnlyAnError,
    Outcome,
    WrappedFailure,
    FirstPage,
    OddKey,
    NoFhir,
}
use Sent::*;

const SENT: [Sent; 14] = [
    Absent,
    Null,
    Matches,
    OneResource,
    Wrapped,
    EmptyBundle,
    EmptyEntries,
    OnlyAWarning,
    OnlyAnError,
    Outcome,
    WrappedFailure,
    FirstPage,
    OddKey,
    NoFhir,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Token,
    NoToken,
    NoServer,
}

/// What the summary says under a heading.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    /// The resource that was sent, or the one the EHR holds.
    Sent,
    Held,
    NoneRecorded,
    NotEstablished,
    NotKnown,
}

/// What ought to happen, from the table of the five states alone: what is said, and whether the EHR is asked.
fn expected(sent: Sent, client: Client, holds: bool, safety: bool) -> (Says, bool) {
    let fetched = (if holds { Says::Held } else { Says::NoneRecorded }, true);
    match sent {
        Absent if client == Client::NoServer => (Says::NotKnown, false),
        Absent => fetched,
        Matches | OneResource | Wrapped | OddKey => (Says::Sent, false),
        Null | EmptyBundle | EmptyEntries | OnlyAWarning if safety && client == Client::Token => fetched,
        Null | EmptyBundle | EmptyEntries | OnlyAWarning => (Says::NotEstablished, false),
        FirstPage if client == Client::Token => fetched,
        FirstPage => (Says::Sent, false),
        OnlyAnError | Outcome | WrappedFailure | NoFhir => (Says::NotKnown, false),
    }
}

fn resource(kind: &Kind, id: &str, text: &str) -> Value {
    let subject = json!({"reference": format!("Patient/{NAME}")});
    let concept = json!({"text": text});
    let (category, value) =
        if kind.keys == ["examinations"] { ("exam", "valueString") } else { ("laboratory", "valueInteger") };
    let mut resource = json!({"resourceType": kind.resource_type, "id": id, "status": "final", "code": concept, "subject": subject, "patient": subject,
        "effectiveDateTime": "2025-11-10", "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category}]}]});
    match kind.resource_type {
        "MedicationRequest" => {
            resource["status"] = json!("active");
            resource["intent"] = json!("order");
            resource["medicationCodeableConcept"] = concept;
        }
        "ImagingStudy" => {
            resource["status"] = json!("available");
            resource["description"] = json!(text);
        }
        "Observation" if value == "valueString" => resource["valueString"] = json!(text),
        "Observation" => resource["valueQuantity"] = json!({"value": 4, "unit": text}),
        _ => {}
    }
    resource
}

fn outcome(severity: &str) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing", "diagnostics": "Resource request returns no results"}]})
}

fn value(sent: Sent, kind: &Kind, query: &str) -> Option<Value> {
    let matched = resource(kind, "sent", "Sent words");
    let entry = json!([{"resource": matched, "search": {"mode": "match"}}]);
    let searchset = json!({"resourceType": "Bundle", "type": "searchset", "entry": entry});
    let only = |severity: &str| json!({"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [{"resource": outcome(severity), "search": {"mode": "outcome"}}]});
    Some(match sent {
        Absent => return None,
        Null => json!(null),
        Matches => searchset,
        OneResource => matched,
        Wrapped => json!({"response": {"status": "200 OK"}, "resource": searchset}),
        EmptyBundle => json!({"resourceType": "Bundle", "type": "searchset", "total": 0}),
        EmptyEntries => json!({"resourceType": "Bundle", "type": "searchset", "entry": []}),
        OnlyAWarning => only("warning"),
        OnlyAnError => only("error"),
        Outcome => outcome("error"),
        WrappedFailure => json!({"response": {"status": "404 Not Found"}, "resource": searchset}),
        FirstPage => {
            let mut first = searchset;
            first["link"] = json!([{"relation": "next", "url": "http://127.0.0.2:9/fhir/next"}]);
            first
        }
        OddKey => {
            let mut named = searchset;
            named["link"] = json!([{"relation": "self", "url": format!("https://inside.example/fhir/{query}")}]);
            named
        }
        NoFhir => json!("text"),
    })
}

/// An EHR that knows of this patient alone, and besides, where it `holds` anything, one resource of each kind.
async fn open(holds: bool) -> Hospital {
    let copy = copy_of(&patient(NAME));
    let path = copy.path().join("fhir.json");
    let mut bundle = read_json(&path);
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.retain(|entry| entry["resource"]["resourceType"] == "Patient");
    if holds {
        entries.extend(
            (0..).zip(&KINDS).map(|(n, kind)| json!({"resource": resource(kind, &format!("held-{n}"), "Held words")})),
        );
    }
    std::fs::write(&path, bundle.to_string()).unwrap();
    let mut plan = Plan::new(vec![copy.path().to_owned()], Engine::absent());
    plan.kept.push(copy);
    plan.open().await
}

/// The request of a client: with the Patient it always sends, and what it sends of one kind.
fn request(hospital: &Hospital, client: Client) -> Value {
    let name = hospital.ehr.names().next().unwrap();
    let mut request = match client {
        Client::Token => hospital.ehr.authorized_request(name).unwrap(),
        _ => hospital.ehr.request(name).unwrap(),
    };
    request["hookInstance"] = json!(uuid::Uuid::new_v4());
    request["hook"] = json!("patient-view");
    request["context"].as_object_mut().unwrap().remove("draftOrders");
    if client == Client::NoServer {
        request.as_object_mut().unwrap().remove("fhirServer");
    }
    request["prefetch"] = json!({"patient": the_patient()});
    request
}

fn the_patient() -> Value {
    let bundle = read_json(&patient(NAME).join("fhir.json"));
    let mut resources = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    resources.find(|resource| resource["resourceType"] == "Patient").unwrap().clone()
}

/// The first line under a heading.
fn line<'a>(detail: &'a str, heading: &str) -> &'a str {
    let section = detail.split(&format!("**{heading}**")).nth(1).unwrap_or_else(|| panic!("no {heading} in {detail}"));
    section.trim().lines().next().unwrap_or_default()
}

fn says(line: &str) -> Option<Says> {
    let words = [
        ("Sent words", Says::Sent),
        ("Held words", Says::Held),
        ("none recorded in the EHR", Says::NoneRecorded),
        ("no active ones recorded in the EHR", Says::NoneRecorded),
        ("none received; that none exist was not established", Says::NotEstablished),
        ("not known: it could not be read in full", Says::NotKnown),
    ];
    words.into_iter().find(|(words, _)| line.contains(words)).map(|(_, says)| says)
}

fn query(hospital: &Hospital, discovery: &Value, key: &str) -> String {
    let services = discovery["services"].as_array().unwrap();
    let service = services.iter().find(|service| service["id"] == "chart-summary").unwrap();
    let patient = request(hospital, Client::NoServer)["context"]["patientId"].as_str().unwrap().to_owned();
    service["prefetch"][key].as_str().unwrap().replace("{{context.patientId}}", &patient)
}

#[tokio::test]
async fn every_key_in_every_state_for_every_client() {
    let mut tried = 0;
    for holds in [false, true] {
        for client in [Client::NoServer, Client::NoToken, Client::Token] {
            // An EHR that has given a token out demands one from then on.
            let hospital = open(holds).await;
            let discovery = hospital.get("/cds-services").await.json();
            for kind in &KINDS {
                for sent in SENT {
                    let mut request = request(&hospital, client);
                    for key in kind.keys {
                        let named = if sent == OddKey { format!("our-{key}") } else { (*key).to_owned() };
                        if let Some(value) = value(sent, kind, &query(&hospital, &discovery, key)) {
                            request["prefetch"][named] = value;
                        }
                    }
                    hospital.ehr.requests.clear();
                    let card = hospital.view(&request).await.only_card();
                    let detail = card["detail"].as_str().unwrap();
                    let asked = hospital.ehr.requests.all().iter().any(|request| request.path.contains(kind.asks));
                    let case = format!("{sent:?} of {} by {client:?}, held: {holds}: {detail}", kind.heading);
                    let (expected, fetched) = expected(sent, client, holds, kind.safety);
                    assert_eq!((says(line(detail, kind.heading)), asked), (Some(expected), fetched), "{case}");
                    // What failed or is cut short is a gap; what was answered with nothing is none.
                    let gaps = detail.split("**Gaps").nth(1).unwrap_or_default();
                    let told = kind.keys.iter().all(|key| gaps.contains(&format!("- {key}: ")));
                    let partial = sent == FirstPage && client != Client::Token;
                    assert_eq!(told, expected == Says::NotKnown || partial, "{case}");
                    let summary = card["summary"].as_str().unwrap();
                    let none = summary.contains(&format!("no {}", kind.heading.to_lowercase()));
                    assert!(!none || expected == Says::NoneRecorded, "{summary}: {case}");
                    tried += 1;
                }
            }
            hospital.close().await;
        }
    }
    assert_eq!(tried, KINDS.len() * SENT.len() * 6);
}
