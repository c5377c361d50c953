//! A full, valid request of each service, its members, and the values put in their place.

use curbside::engine::{Engine, Step};
use serde_json::{Value, json};

use super::MARKER;
use crate::harness::{Hospital, Plan, patient, read_json, scripted_model};

const ANSWER: &str = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;

pub const ORDER_SIGN: &str = "/cds-services/imaging-draft-report";
pub const PATIENT_VIEW: &str = "/cds-services/chart-summary";

/// A hospital whose model answers every call, with more time than a loaded machine needs.
pub async fn hospital() -> Hospital {
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    Plan::new(vec![patient("demo")], engine).with_deadline(60_000).open().await
}

/// An order that is signed, with a token and everything the service asks for prefetched.
pub fn order_sign(hospital: &Hospital) -> Value {
    let mut request = hospital.ehr.authorized_request("demo").expect("the folder's request");
    let base = hospital.ehr.allowed_base();
    let text = std::fs::read_to_string(patient("demo").join("fhir.json")).expect("a fixture");
    let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
    let text = text
        .replace("{{fhir}}", &trimmed(base.fhir.as_str()))
        .replace("{{dicomweb}}", &trimmed(base.dicomweb[0].as_str()));
    let bundle: Value = serde_json::from_str(&text).expect("JSON");
    let resources: Vec<&Value> = bundle["entry"].as_array().expect("entries").iter().map(|e| &e["resource"]).collect();
    let all = |wanted: &dyn Fn(&Value) -> bool| {
        let entries: Vec<Value> = resources
            .iter()
            .filter(|r| wanted(r))
            .map(|r| json!({"resource": r, "search": {"mode": "match"}}))
            .collect();
        json!({"resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries})
    };
    let of = |kinds: &[&str]| all(&|r| kinds.iter().any(|kind| r["resourceType"] == *kind));
    let observed = |category: &str| {
        all(&|r| r["resourceType"] == "Observation" && r["category"][0]["coding"][0]["code"] == category)
    };
    let mut subject = (*resources.iter().find(|r| r["resourceType"] == "Patient").expect("a patient")).clone();
    subject["name"] = json!([{"text": MARKER, "family": MARKER, "given": [MARKER]}]);
    request["prefetch"] = json!({
        "patient": subject,
        "conditions": of(&["Condition"]),
        "medications": of(&["MedicationRequest"]),
        "allergies": of(&["AllergyIntolerance"]),
        "vitals": observed("vital-signs"),
        "laboratory": observed("laboratory"),
        "examinations": observed("exam"),
        "studies": of(&["ImagingStudy", "Endpoint"]),
        "reports": of(&["DiagnosticReport"]),
    });
    request["context"]["encounterId"] = json!("e1");
    request["extension"] = json!({"com.epic.cdshooks.request.fhir-version": "R4"});
    request
}

/// The same for a chart that is opened.
pub fn patient_view(hospital: &Hospital) -> Value {
    let mut request = order_sign(hospital);
    request["hook"] = json!("patient-view");
    request["context"].as_object_mut().expect("a context").remove("draftOrders");
    request
}

/// JSON pointers of every member at every depth; of arrays, the first item only, since the others are read alike.
pub fn members(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.first().map(|item| ("0".to_owned(), item)).into_iter().collect(),
            _ => Vec::new(),
        };
        for (name, value) in inner {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            found.push(at.clone());
            walk(value, &at, found);
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// What is done to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Missing,
    Twice,
    Null,
    Bool,
    Number,
    Text,
    Empty,
    Array,
    Object,
    LongText,
    Overflow,
    MinusZero,
    LargeNumber,
    LoneSurrogate,
    Nul,
    DeepArray,
    DeepObject,
    ManyMembers,
}

pub const CHANGES: [Change; 18] = [
    Change::Missing,
    Change::Twice,
    Change::Null,
    Change::Bool,
    Change::Number,
    Change::Text,
    Change::Empty,
    Change::Array,
    Change::Object,
    Change::LongText,
    Change::Overflow,
    Change::MinusZero,
    Change::LargeNumber,
    Change::LoneSurrogate,
    Change::Nul,
    Change::DeepArray,
    Change::DeepObject,
    Change::ManyMembers,
];

impl Change {
    /// The JSON that takes the member's place; `None` where the member itself goes or comes twice.
    fn value(self) -> Option<String> {
        Some(match self {
            Change::Missing | Change::Twice => return None,
            Change::Null => "null".into(),
            Change::Bool => "true".into(),
            Change::Number => "7.5".into(),
            Change::Text => format!(r#""{MARKER} <b>text</b>""#),
            Change::Empty => r#""""#.into(),
            Change::Array => format!(r#"["{MARKER}"]"#),
            Change::Object => "{}".into(),
            Change::LongText => format!(r#""{}""#, MARKER.repeat((1 << 20) / MARKER.len())),
            Change::Overflow => "1e400".into(),
            Change::MinusZero => "-0".into(),
            Change::LargeNumber => format!("1{}", "0".repeat(30)),
            Change::LoneSurrogate => r#""\ud800""#.into(),
            Change::Nul => format!(r#""{MARKER}\u0000""#),
            Change::DeepArray => format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
            Change::DeepObject => format!(r#"{}"{MARKER}"{}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000)),
            Change::ManyMembers => {
                let members: Vec<String> = (0..100_000).map(|n| format!(r#""{n}":0"#)).collect();
                format!("{{{}}}", members.join(","))
            }
        })
    }

    pub fn is_object(self) -> bool {
        matches!(self, Change::Object | Change::DeepObject | Change::ManyMembers)
    }
}

/// The request with one member changed, as text: not all of it can be held as a value.
pub fn changed(request: &Value, pointer: &str, change: Change) -> Vec<u8> {
    const HERE: &str = "@@HERE@@";
    let mut request = request.clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = name.replace("~1", "/").replace("~0", "~");
    let here = json!(HERE).to_string();
    let held = request.pointer(pointer).expect("a member").to_string();
    match (change.value(), request.pointer_mut(parent).expect("its parent")) {
        (None, Value::Object(members)) if change == Change::Missing => drop(members.remove(&name)),
        (None, Value::Array(items)) if change == Change::Missing => drop(items.remove(name.parse().expect("a place"))),
        (None, Value::Object(members)) => {
            members.insert(name.clone(), json!(HERE));
            let twice = format!("{held},{}:{held}", json!(name));
            return request.to_string().replacen(&here, &twice, 1).into_bytes();
        }
        (None, parent) => {
            parent[name.parse::<usize>().expect("a place")] = json!(HERE);
            return request.to_string().replacen(&here, &format!("{held},{held}"), 1).into_bytes();
        }
        (Some(value), _) => {
            *request.pointer_mut(pointer).expect("a member") = json!(HERE);
            return request.to_string().replacen(&here, &value, 1).into_bytes();
        }
    }
    request.to_string().into_bytes()
}

#[test]
fn a_changed_request_differs_in_the_one_member() {
    let request = json!({"a": {"b": [1, 2]}, "c/d": "x"});
    assert_eq!(members(&request), ["/a", "/a/b", "/a/b/0", "/c~1d"]);
    let text = |pointer, change| String::from_utf8(changed(&request, pointer, change)).unwrap();
    assert_eq!(text("/a/b", Change::Null), r#"{"a":{"b":null},"c/d":"x"}"#);
    assert_eq!(text("/a/b", Change::Missing), r#"{"a":{},"c/d":"x"}"#);
    assert_eq!(text("/c~1d", Change::Twice), r#"{"a":{"b":[1,2]},"c/d":"x","c/d":"x"}"#);
    assert_eq!(text("/a/b/0", Change::Twice), r#"{"a":{"b":[1,1,2]},"c/d":"x"}"#);
    assert_eq!(text("/a/b/0", Change::Missing), r#"{"a":{"b":[2]},"c/d":"x"}"#);
    let alike = changed(&json!({"a": "x", "b": ["x"]}), "/b/0", Change::Twice);
    assert_eq!(String::from_utf8(alike).unwrap(), r#"{"a":"x","b":["x","x"]}"#);
    assert_eq!(text("/a/b/0", Change::Overflow), r#"{"a":{"b":[1e400,2]},"c/d":"x"}"#);
    let demo = read_json(&patient("demo").join("request.json"));
    assert!(members(&demo).len() > 20);
}
