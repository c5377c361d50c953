use serde_json::{Value, json};

use super::*;
use crate::{cds_hooks::State, error::Kind};

fn order_sign() -> Value {
    json!({
        "hook": "order-sign",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {
            "access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "scope": "patient/Patient.read",
            "subject": "curbside", "patient": "p1"
        },
        "context": {
            "userId": "Practitioner/dr", "patientId": "p1", "encounterId": "e1",
            "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "ServiceRequest", "id": "s1"}}]}
        },
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}}
    })
}

/// The request with one member changed; `None` removes it.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut body = order_sign();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None => parent.remove(name),
    };
    body
}

fn parse(body: &Value) -> Result<HookRequest> {
    HookRequest::parse(body.to_string().as_bytes(), true)
}

fn refused(body: &Value) -> (Option<String>, String) {
    let error = parse(body).err().unwrap_or_else(|| panic!("accepted: {body}"));
    assert_eq!(error.kind, Kind::Invalid);
    (error.expression, error.message)
}

#[test]
fn a_whole_request_is_read() {
    let request = parse(&order_sign()).unwrap();
    assert_eq!(request.hook, "order-sign");
    assert_eq!(request.hook_instance.to_string(), "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea");
    assert_eq!(request.fhir_server.unwrap().as_str(), "https://ehr.example/fhir");
    assert_eq!(request.context.patient_id, "p1");
    assert_eq!(request.context.user_id.as_deref(), Some("Practitioner/dr"));
    assert_eq!(request.context.encounter_id.as_deref(), Some("e1"));
    assert_eq!(request.context.draft_orders.unwrap().len(), 1);
    assert!(request.context.problems.is_empty() && request.deviations.is_empty());
    assert!(matches!(request.prefetch.get("patient"), Some(State::Resource(_))));
    let authorization = request.authorization.unwrap();
    assert_eq!(authorization.expires_in, Some(300));
    assert_eq!(authorization.scope.as_deref(), Some("patient/Patient.read"));
    assert_eq!(authorization.patient.as_deref(), Some("p1"));
}

#[test]
fn optional_members_may_be_missing_or_null() {
    for pointer in [
        "/fhirAuthorization",
        "/prefetch",
        "/context/encounterId",
        "/fhirAuthorization/expires_in",
        "/fhirAuthorization/scope",
        "/fhirAuthorization/subject",
        "/fhirAuthorization/patient",
    ] {
        assert!(parse(&with(pointer, None)).is_ok(), "{pointer}");
        assert!(parse(&with(pointer, Some(Value::Null))).is_ok(), "{pointer} null");
    }
    let mut body = with("/fhirAuthorization", None);
    body.as_object_mut().unwrap().remove("fhirServer");
    assert!(parse(&body).unwrap().fhir_server.is_none());
}

#[test]
fn a_missing_null_or_ill_typed_member_is_named() {
    let places = [
        ("/hook", json!(7)),
        ("/hookInstance", json!("not a uuid")),
        ("/context", json!([])),
        ("/context/userId", json!({})),
        ("/context/patientId", json!(12)),
        ("/context/draftOrders", json!("Bundle")),
        ("/fhirAuthorization/access_token", json!(["x"])),
        ("/fhirAuthorization/token_type", json!("MAC")),
    ];
    for (pointer, ill_typed) in places {
        let at = pointer.trim_start_matches('/').replace('/', ".");
        for value in [None, Some(Value::Null), Some(ill_typed)] {
            let (expression, message) = refused(&with(pointer, value.clone()));
            assert_eq!(expression.as_deref(), Some(at.as_str()), "{value:?}");
            assert!(message.contains(&at), "{message}");
        }
    }
}

#[test]
fn an_ill_typed_optional_member_is_named() {
    let places = [
        ("/fhirServer", json!("not a url")),
        ("/fhirServer", json!("file:///etc/passwd")),
        ("/fhirServer", json!("https://user:secret@ehr.example/fhir")),
        ("/fhirServer", json!("https://ehr.example/fhir?x=1")),
        ("/fhirAuthorization", json!("token")),
        ("/fhirAuthorization/expires_in", json!("soon")),
        ("/fhirAuthorization/expires_in", json!(-1)),
        ("/fhirAuthorization/scope", json!(1)),
        ("/fhirAuthorization/patient", json!({})),
        ("/fhirAuthorization/access_token", json!("two\r\nlines")),
        ("/context/encounterId", json!(5)),
        ("/context/draftOrders", json!({"resourceType": "ServiceRequest"})),
        ("/prefetch", json!([])),
    ];
    for (pointer, value) in places {
        let (expression, message) = refused(&with(pointer, Some(value.clone())));
        assert_eq!(expression.unwrap(), pointer.trim_start_matches('/').replace('/', "."), "{value}");
        assert!(!message.contains("secret") && !message.contains("passwd"), "{message}");
    }
}

#[test]
fn a_server_is_required_beside_an_authorization() {
    assert_eq!(refused(&with("/fhirServer", None)).0.as_deref(), Some("fhirServer"));
}

#[test]
fn what_real_senders_write_is_accepted() {
    for (pointer, value) in [
        ("/fhirAuthorization/expires_in", json!("300")),
        ("/fhirAuthorization/expires_in", json!(300.0)),
        ("/fhirAuthorization/token_type", json!("bearer")),
        ("/fhirAuthorization/scope", json!("Observation.Read (Labs) (R4)")),
    ] {
        let authorization = parse(&with(pointer, Some(value))).unwrap().authorization.unwrap();
        assert_eq!(authorization.expires_in, Some(300));
    }
}

#[test]
fn a_patient_id_with_its_type_is_understood() {
    let request = parse(&with("/context/patientId", Some(json!("Patient/p1")))).unwrap();
    assert_eq!(request.context.patient_id, "p1");
    assert_eq!(request.deviations, ["a patient id with its type"]);
    let request = parse(&with("/context/encounterId", Some(json!("Encounter/e1")))).unwrap();
    assert_eq!(request.context.encounter_id.as_deref(), Some("e1"));
}

#[test]
fn an_id_never_alters_a_path() {
    let long = "x".repeat(129);
    for id in [
        "Practitioner/p1",
        "Patient/",
        "Patient/Patient/p1",
        "..",
        ".",
        "Patient/..",
        "a/b",
        "a?b",
        "a#b",
        "a%2Fb",
        "a b",
        "a\u{0}b",
        "é",
        &long,
    ] {
        let (expression, message) = refused(&with("/context/patientId", Some(json!(id))));
        assert_eq!(expression.as_deref(), Some("context.patientId"), "{id:?}");
        assert!(!message.contains(id) || id.len() == 1, "{message}");
    }
    assert_eq!(
        refused(&with("/context/encounterId", Some(json!("Patient/e1")))).0.as_deref(),
        Some("context.encounterId")
    );
}

#[test]
fn a_token_of_one_patient_is_never_used_for_another() {
    assert_eq!(
        refused(&with("/fhirAuthorization/patient", Some(json!("p2")))).0.as_deref(),
        Some("fhirAuthorization.patient")
    );
    assert!(parse(&with("/fhirAuthorization/patient", Some(json!("Patient/p1")))).is_ok());
}

#[test]
fn a_user_that_is_no_reference_is_left_out() {
    for user in ["dr", "Practitioner/a b", "Practitioner/..", "practitioner/dr"] {
        let request = parse(&with("/context/userId", Some(json!(user)))).unwrap();
        assert_eq!(request.context.user_id, None, "{user}");
        assert_eq!(request.deviations, ["context.userId is no reference"]);
    }
    let request = parse(&with("/context/userId", Some(json!("https://ehr.example/fhir/Practitioner/dr")))).unwrap();
    assert_eq!(request.context.user_id.as_deref(), Some("Practitioner/dr"));
}

#[test]
fn the_hash_leaves_out_the_token_and_nothing_else() {
    let hash = |body: &Value| parse(body).unwrap().body_sha256.unwrap_or_default();
    let first = hash(&order_sign());
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(&with("/fhirAuthorization/access_token", Some(json!("fresh")))));
    assert_ne!(first, hash(&with("/context/encounterId", Some(json!("e2")))));
    assert_ne!(first, hash(&with("/prefetch/patient", Some(Value::Null))));
}

#[test]
fn ids_longer_than_fhir_allows_are_read() {
    let id = format!("{}.-_", "x".repeat(125));
    let mut body = with("/context/patientId", Some(json!(id)));
    body["fhirAuthorization"].as_object_mut().unwrap().remove("patient");
    assert_eq!(parse(&body).unwrap().context.patient_id, id);
}

#[test]
fn another_version_of_fhir_is_refused() {
    let key = "com.epic.cdshooks.request.fhir-version";
    for version in ["R4", "r4", "4.0.1"] {
        assert!(parse(&with("/extension", Some(json!({key: version})))).is_ok(), "{version}");
    }
    for version in ["DSTU2", "STU3", "R5", "5.0.0"] {
        assert!(refused(&with("/extension", Some(json!({key: version})))).1.contains("R4"), "{version}");
    }
    for extension in [json!("text"), json!([]), json!({"com.example.other": {"a": [1]}}), Value::Null] {
        assert!(parse(&with("/extension", Some(extension))).is_ok());
    }
}

#[test]
fn h1_a_context_field_the_hook_requires_is_named() {
    let mut body = with("/context/draftOrders", None);
    body["hook"] = json!("patient-view");
    assert!(parse(&body).unwrap().context.draft_orders.is_none());
    body["hook"] = json!("encounter-start");
    assert!(parse(&body).is_ok());
    body["context"].as_object_mut().unwrap().remove("encounterId");
    assert_eq!(refused(&body).0.as_deref(), Some("context.encounterId"));
    body["hook"] = json!("patient-view");
    body["context"].as_object_mut().unwrap().remove("userId");
    assert_eq!(refused(&body).0.as_deref(), Some("context.userId"));
}

#[test]
fn unknown_members_are_ignored_at_every_level() {
    for pointer in ["/x", "/context/x", "/fhirAuthorization/x", "/prefetch/x"] {
        assert!(parse(&with(pointer, Some(json!({"deep": [1, {"a": null}]})))).is_ok(), "{pointer}");
    }
}

#[test]
fn odd_json_is_refused_or_harmless_and_never_a_panic() {
    let whole = order_sign().to_string();
    let spliced = |member: &str| format!("{{{member},{}", &whole[1..]);
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let with_nul = whole.replace("opaque", "\u{0}");
    let bad: [&[u8]; 10] = [
        b"",
        b"[]",
        b"null",
        b"\"text\"",
        br#"["order-sign","d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"]"#,
        &[&b"\xEF\xBB\xBF"[..], whole.as_bytes()].concat(),
        &[whole.as_bytes(), b"{}"].concat(),
        &whole.as_bytes()[..whole.len() - 1],
        with_nul.as_bytes(),
        &[&whole.as_bytes()[..10], &b"\xff"[..], &whole.as_bytes()[10..]].concat(),
    ];
    for body in bad {
        assert_eq!(HookRequest::parse(body, true).err().unwrap().kind, Kind::Invalid);
    }
    for member in [r#""hook":"patient-view""#, r#""context":null"#, r#""fhirAuthorization":null"#] {
        assert!(HookRequest::parse(spliced(member).as_bytes(), true).is_err(), "{member} twice");
    }
    for value in [
        deep("[", "]"),
        deep(r#"{"a":"#, "}"),
        "1e400".into(),
        "9".repeat(10_000),
        r#""\ud800""#.into(),
        r#""\u0000""#.into(),
    ] {
        assert!(
            HookRequest::parse(spliced(&format!(r#""x":{value}"#)).as_bytes(), true).is_ok(),
            "harmless where it is ignored"
        );
        let prefetched = whole.replace(r#""prefetch":{"#, &format!(r#""prefetch":{{"x":{value},"#));
        assert!(matches!(
            HookRequest::parse(prefetched.as_bytes(), true).unwrap().prefetch.get("x"),
            Some(State::Failed(_))
        ));
        for place in [r#""patientId":"p1""#, r#""hookInstance":"d1577c69-dfbe-44ad-ba6d-3e05e953b2ea""#] {
            let name = place.split(':').next().unwrap();
            let odd = whole.replace(place, &format!("{name}:{value}"));
            assert_ne!(odd, whole);
            assert!(HookRequest::parse(odd.as_bytes(), true).is_err(), "{name}");
        }
        let extended = spliced(&format!(r#""extension":{{"com.epic.cdshooks.request.fhir-version":{value}}}"#));
        let _ = HookRequest::parse(extended.as_bytes(), true);
        let orders = whole.replace(r#""draftOrders":{"#, &format!(r#""draftOrders":{{"x":{value},"#));
        assert_ne!(orders, whole);
        assert!(HookRequest::parse(orders.as_bytes(), true).is_ok());
    }
}

#[test]
fn a_million_members_are_refused_or_ignored() {
    let members: String = (0..1_000_000).map(|n| format!("\"{n}\":0,")).collect();
    let whole = order_sign().to_string();
    assert!(HookRequest::parse(format!("{{{members}{}", &whole[1..]).as_bytes(), true).is_ok());
    let prefetched = whole.replace(r#""prefetch":{"#, &format!(r#""prefetch":{{{members}"#));
    assert_eq!(HookRequest::parse(prefetched.as_bytes(), true).err().unwrap().expression.as_deref(), Some("prefetch"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused_and_no_error_quotes_them(
        text in "\\PC{0,200}|[{}\\[\\]\":,a-zA-Z0-9\\\\ .-]{0,200}", at in 0usize..900, with in proptest::prelude::any::<[u8; 3]>()
    ) {
        let whole = order_sign().to_string().into_bytes();
        let at = at.min(whole.len());
        let (before, after) = whole.split_at(at);
        for body in [text.as_bytes().to_vec(), [before, &with, after].concat(), [before, text.as_bytes(), after].concat(),
            [before, after.get(3..).unwrap_or_default()].concat()]
        {
            if let Err(error) = HookRequest::parse(&body, true) {
                proptest::prop_assert_eq!(error.kind, Kind::Invalid);
                proptest::prop_assert!(error.message.len() < 200 && (text.len() < 12 || !error.message.contains(&text)));
            }
        }
    }
}
