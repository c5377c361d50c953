use serde_json::{Value, json};

use super::*;

const PREFIX: &str = "https://ehr.example/fhir";

fn report() -> Value {
    json!({
        "resourceType": "DiagnosticReport",
        "id": "r-1",
        "meta": { "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST" }] },
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Not reviewed.</p></div>" },
        "contained": [
            { "resourceType": "Device", "id": "d", "version": [{ "value": "1" }] },
            { "resourceType": "ImagingStudy", "id": "s", "status": "available", "subject": { "display": "x" },
              "series": [{ "uid": "1.2", "modality": { "code": "DX" } }] }
        ],
        "identifier": [{ "system": "urn:ietf:rfc:3986", "value": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" }],
        "status": "partial",
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "LP29684-5" }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "36643-5" }] },
        "subject": { "reference": format!("{PREFIX}/Patient/12") },
        "effectiveDateTime": "2025-06-02T08:00:00+02:00",
        "issued": "2025-06-02T08:10:00.123Z",
        "performer": [
            { "reference": "Organization/radiology" },
            { "display": "curbside", "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/alternate-reference",
                "valueReference": { "reference": "#d" }
            }] }
        ],
        "result": [{ "reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" }, { "reference": "Observation/o-1/_history/2" }],
        "imagingStudy": [{ "reference": format!("{PREFIX}/ImagingStudy/s_1") }],
        "conclusion": "No change.",
        "_conclusion": { "extension": [{ "url": "http://example.org/label", "valueCode": "AIAST" }] },
        "presentedForm": [{ "contentType": "text/html", "data": "PHA+eDwvcD4=", "size": 8, "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }]
    })
}

fn observation() -> Value {
    json!({
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging" }] }],
        "code": { "text": "finding" },
        "subject": { "reference": "Patient/12", "type": "Patient" },
        "device": { "reference": "Device/d" },
        "derivedFrom": [{ "reference": format!("{PREFIX}/ImagingStudy/s") }],
        "component": [{ "code": { "text": "size" }, "valueQuantity": { "value": 72.5, "unit": "mm" } }],
        "referenceRange": [{ "text": "below 50 mm" }]
    })
}

fn provenance() -> Value {
    json!({
        "resourceType": "Provenance",
        "target": [{ "reference": "DiagnosticReport/r-1/_history/1" }],
        "recorded": "2025-06-02T08:10:00Z",
        "agent": [{ "who": { "reference": "Device/d" } }, { "who": { "reference": format!("{PREFIX}/Practitioner/9") } }],
        "entity": [{ "role": "source", "what": { "identifier": { "system": "urn:dicom:uid", "value": "urn:oid:1.2.3" } } }]
    })
}

fn device() -> Value {
    json!({
        "resourceType": "Device",
        "status": "active",
        "deviceName": [{ "name": "reader", "type": "model-name" }],
        "version": [{ "value": "1" }]
    })
}

/// `good` with the value at a JSON pointer replaced, added, or removed where it is null.
fn with(mut good: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match good.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    good
}

#[test]
fn good_resources_pass() {
    for good in [report(), observation(), provenance(), device()] {
        check(&good).unwrap_or_else(|e| panic!("{e} at {:?}", e.expression));
    }
}

#[test]
fn each_broken_resource_fails_for_its_reason() {
    let (r, o, p, d) = (report, observation, provenance, device);
    let reference = |text: &str| json!({ "reference": text });
    let div = |text: &str| json!(format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>"));
    for (broken, reason) in [
        (with(r(), "/presentedForm/0/data", json!("PHA+e")), "not base64"),
        (with(r(), "/presentedForm/0/data", json!("PHA+ eDwvcD4=")), "not base64"),
        (with(r(), "/presentedForm/0/hash", json!("AAAA")), "SHA-1"),
        (with(r(), "/presentedForm/0/size", json!(9)), "number of bytes"),
        (with(r(), "/effectiveDateTime", json!("1970-13-45")), "no such day"),
        (with(r(), "/effectiveDateTime", json!("2025-02-30")), "no such day"),
        (with(r(), "/effectiveDateTime", json!("2025-06")), "less exact"),
        (with(r(), "/issued", json!("2025-06-02")), "no such day"),
        (with(r(), "/finding", json!("x")), "does not know"),
        (with(r(), "/contained/0/finding", json!("x")), "does not know"),
        (with(r(), "/status", json!("draft")), "required value set"),
        (with(r(), "/status", Value::Null), "required element"),
        (with(r(), "/subject", Value::Null), "required element"),
        (with(r(), "/code", Value::Null), "required element"),
        (with(r(), "/performer/0", reference("Device/d")), "does not allow"),
        (with(r(), "/performer/0", reference("https://ehr.example/fhir/Device/d")), "does not allow"),
        (with(r(), "/performer/0", reference("#d")), "does not allow"),
        (with(r(), "/performer/0", json!({ "type": "Device", "display": "x" })), "does not allow"),
        (with(r(), "/performer/0", reference("#e")), "not there"),
        (with(r(), "/performer/0", reference("Organization?name=x")), "not a reference"),
        (with(r(), "/subject", reference("javascript:x")), "not a reference"),
        (with(r(), "/category/0/coding/0/code", json!("LAB")), "US Core"),
        (with(r(), "/category/0/coding/0/system", json!("http://example.org")), "US Core"),
        (with(r(), "/effectiveDateTime", Value::Null), "us-core-10"),
        (with(r(), "/effectivePeriod", json!({ "start": "2025-06-02" })), "comes once"),
        (with(r(), "/text/div", div("<script>x</script>")), "not formatting"),
        (with(r(), "/text/div", div("<p onclick='x'>x</p>")), "not formatting"),
        (with(r(), "/text/div", div("<a href='javascript:x'>x</a>")), "foreign scheme"),
        (with(r(), "/result", json!([])), "never empty"),
        (with(r(), "/encounter", json!({})), "never empty"),
        (with(r(), "/conclusion", json!("  ")), "never empty"),
        (with(r(), "/media", json!([{ "comment": "x" }])), "required element"),
        (with(r(), "/id", json!("a_b")), "syntax of an id"),
        (with(r(), "/_conclusion/extension/0/valueCode", Value::Null), "ext-1"),
        (with(r(), "/status", json!(["partial"])), "does not repeat"),
        (with(r(), "/category", r()["category"][0].clone()), "JSON type"),
        (with(r(), "/presentedForm/0/size", json!("8")), "JSON type"),
        (with(r(), "/presentedForm/0/size", json!(4_294_967_304_u64)), "JSON type"),
        (with(r(), "/conclusion", json!(7)), "not a resource"),
        (with(o(), "/status", json!("partial")), "required value set"),
        (with(o(), "/derivedFrom/0", reference("Condition/1")), "does not allow"),
        (with(o(), "/derivedFrom/0", reference("https://ehr.example/fhir/MedicationRequest/1")), "does not allow"),
        (with(o(), "/device", reference("Organization/1")), "does not allow"),
        (with(o(), "/component", Value::Null), "us-core-2"),
        (with(o(), "/component/0/code", Value::Null), "required element"),
        (with(o(), "/component/0/dataAbsentReason", json!({ "text": "x" })), "obs-6"),
        (with(o(), "/referenceRange/0", json!({ "appliesTo": [{ "text": "x" }] })), "obs-3"),
        (with(o(), "/valueInteger", json!("x")), "not a resource"),
        (with(p(), "/recorded", json!("2025")), "no such day"),
        (with(p(), "/agent/0", json!({ "role": [{ "text": "x" }] })), "required element"),
        (with(p(), "/agent/0/who", reference("CareTeam/1")), "does not allow"),
        (with(p(), "/entity/0/role", json!("origin")), "required value set"),
        (with(d(), "/deviceName/0/type", json!("nickname")), "required value set"),
        (with(d(), "/version/0", json!({ "type": { "text": "x" } })), "required element"),
        (json!({ "status": "final" }), "names no type"),
        (json!({ "resourceType": "Jane" }), "nothing but its type"),
        (json!({ "resourceType": "Jane", "id": "1" }), "does not know"),
        (json!("Jane"), "not a resource"),
        (json!([]), "not a resource"),
    ] {
        match check(&broken) {
            Ok(()) => panic!("passes, though: {reason}\n{broken}"),
            Err(error) => {
                assert!(error.message.contains(reason), "{reason}: {error} at {:?}\n{broken}", error.expression)
            }
        }
    }
}

#[test]
fn what_fhirbolt_would_change_is_refused() {
    for (pointer, value) in [
        ("/category", json!({ "text": "x" })),
        ("/presentedForm/0/size", json!("8")),
        ("/presentedForm/0/size", json!(4_294_967_304_u64)),
    ] {
        let changed = with(report(), pointer, value);
        assert_ne!(normal(changed.clone()).unwrap(), changed);
        assert_eq!(check(&changed).unwrap_err().kind, Kind::Invalid, "{pointer}");
    }
}

#[test]
fn a_broken_rule_names_its_place() {
    let error = check(&with(report(), "/performer/0", json!({ "reference": "Device/d" }))).unwrap_err();
    assert_eq!((error.kind, error.expression.as_deref()), (Kind::Unprocessable, Some("DiagnosticReport.performer[0]")));
    let error = check(&with(report(), "/Jane", json!("Doe"))).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(!format!("{error:?}").contains("Jane"), "{error:?}");
}

#[test]
fn decimals_and_primitive_extensions_survive() {
    let text = r#"{"resourceType":"Observation","status":"final","category":[{"text":"x"}],"code":{"text":"x"},
        "subject":{"reference":"Patient/1"},"valueQuantity":{"value":72.50},
        "component":[{"code":{"text":"x"},"valueQuantity":{"value":0.12345678901234567890}}]}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    let written = normal(value.clone()).unwrap().to_string();
    assert!(written.contains("72.50") && written.contains("0.12345678901234567890"), "{written}");
    check(&value).unwrap();
    assert_eq!(normal(report()).unwrap(), report());
    assert_ne!(normal(with(value.clone(), "/valueQuantity/value", json!(72.5))).unwrap(), value);
}

/// Members in alphabetical order at every depth, as some servers send them.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        primitive => primitive,
    }
}

#[test]
fn the_order_of_members_is_free() {
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": [
        { "resource": report() },
        { "response": { "status": "200", "outcome": { "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "invalid" }] } } }
    ] });
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "a", "resource": bundle.clone() },
        { "name": "b", "part": [{ "name": "c", "resource": observation() }] }
    ] });
    let scenario = json!({ "resourceType": "ExampleScenario", "status": "draft", "instance": [
        { "resourceId": "a", "resourceType": "Patient", "name": "x" }
    ] });
    for resource in [report(), bundle, parameters, scenario] {
        let resource = sorted(resource);
        assert_eq!(normal(resource.clone()).unwrap(), resource);
        check(&resource).unwrap();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
    /// Whatever stands anywhere in a report, checking it ends with a verdict.
    #[test]
    fn nothing_makes_it_panic(at in 0usize..60, kind in 0usize..9, text in "\\PC{0,12}") {
        let value = [json!(text), json!([text]), json!([[text]]), json!({ text.clone(): text }), json!(null), json!([null]),
            json!(1e300), json!({ "resourceType": text }), json!(-1)][kind].clone();
        let mut left = at;
        let broken = replaced(report(), &mut left, &value);
        let _ = check(&broken);
    }
}

/// `value` with its n-th part, counted in depth, replaced.
fn replaced(value: Value, left: &mut usize, by: &Value) -> Value {
    if *left == 0 {
        *left = usize::MAX;
        return by.clone();
    }
    *left -= 1;
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, replaced(value, left, by))).collect(),
        Value::Array(items) => items.into_iter().map(|item| replaced(item, left, by)).collect(),
        primitive => primitive,
    }
}
