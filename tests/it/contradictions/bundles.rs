//! What a Bundle, or the patient's record, says against taking it as it stands.

use curbside::demo::Fault;
use serde_json::{Value, json};

use super::{NAME, open, penicillin, with, words};

/// INVARIANT: what_a_bundle_does_not_give_as_it_stands_is_no_fact
#[tokio::test]
async fn what_a_bundle_does_not_give_as_it_stands_is_no_fact() {
    let hospital = open().await;
    let base = hospital.ehr.fhir_base.to_string();
    let base = base.trim_end_matches('/');
    let entry = |more: Value| with(json!({ "resource": penicillin() }), more);
    let of = |entries: Value| json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries });
    let other = "the address of an entry names another record than the one in it";
    let rows = [
        ("as it stands", of(json!([entry(json!({ "fullUrl": format!("{base}/AllergyIntolerance/real") }))])), None),
        (
            "a version of it",
            of(json!([entry(json!({ "fullUrl": format!("{base}/AllergyIntolerance/real/_history/3") }))])),
            None,
        ),
        (
            "a name of its own",
            of(json!([entry(json!({ "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" }))])),
            None,
        ),
        ("it was read", of(json!([entry(json!({ "response": { "status": "200 OK" } }))])), None),
        (
            "a history",
            json!({ "resourceType": "Bundle", "type": "history", "entry": [entry(json!({}))] }),
            Some("- allergies: the EHR sent a history of changes and not the records as they stand"),
        ),
        (
            "an empty answer under rules of its own",
            json!({ "resourceType": "Bundle", "type": "searchset", "implicitRules": "urn:rules" }),
            Some("- allergies: the EHR's answer is changed in meaning"),
        ),
        (
            "an empty answer of changed meaning",
            json!({ "resourceType": "Bundle", "type": "searchset", "total": 0, "modifierExtension": [{ "url": "urn:x" }] }),
            Some("- allergies: the EHR's answer is changed in meaning"),
        ),
        (
            "an entry of changed meaning",
            of(json!([entry(json!({ "modifierExtension": [{ "url": "urn:x" }] }))])),
            Some("- allergies: an entry is changed in meaning"),
        ),
        (
            "a deletion",
            of(json!([entry(json!({ "request": { "method": "DELETE", "url": "AllergyIntolerance/real" } }))])),
            Some("- allergies: an entry says that its record was deleted"),
        ),
        (
            "a refusal",
            of(json!([entry(json!({ "response": { "status": "404" } }))])),
            Some("the server answered with status 404"),
        ),
        (
            "an error",
            of(json!([entry(json!({ "response": { "status": "500 Internal" } }))])),
            Some("the server answered with status 500"),
        ),
        (
            "another id",
            of(json!([entry(json!({ "fullUrl": format!("{base}/AllergyIntolerance/other") }))])),
            Some(other),
        ),
        ("another type", of(json!([entry(json!({ "fullUrl": format!("{base}/Condition/real") }))])), Some(other)),
        (
            "another server",
            of(json!([entry(json!({ "fullUrl": "https://other.example/fhir/AllergyIntolerance/real" }))])),
            Some("- allergies: 1 record(s) of another server were received and not used"),
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bundle, told) in rows {
        for sent in [false, true] {
            let mut request = hospital.view_request(NAME);
            hospital.ehr.faults.clear();
            // What is sent is asked for once more, and then there is only what was sent.
            let answer = if sent { Fault::Status(403) } else { Fault::Body(bundle.to_string()) };
            hospital.ehr.faults.set("/fhir/AllergyIntolerance", answer);
            if sent {
                request["prefetch"] = json!({ "allergies": bundle });
            }
            let said = words(&hospital.view(&request).await.only_card());
            let shown = said.contains("- penicillin");
            let line = said.split("**Allergies**").nth(1).unwrap().trim().lines().next().unwrap();
            let absent = line.contains("none recorded") || said.contains("no allergies");
            if shown != told.is_none() || absent || told.is_some_and(|told| !said.contains(told)) {
                wrong.push(format!("{what}, sent: {sent}: {told:?}\n{said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    hospital.close().await;
}

#[tokio::test]
async fn what_a_patients_record_says_against_itself_is_told() {
    let hospital = open().await;
    let patient = || json!({ "resourceType": "Patient", "id": NAME, "birthDate": "1950-03-01", "gender": "male" });
    let linked = |kind: &str| json!({ "link": [{ "other": { "reference": "Patient/other" }, "type": kind }] });
    let mut wrong = Vec::new();
    for (more, told) in [
        (json!({ "active": true }), None),
        (linked("replaces"), None),
        (linked("seealso"), None),
        (json!({ "active": false }), Some("- patient: the record says that it is no longer in use")),
        (
            linked("replaced-by"),
            Some("- patient: the record says that another one has replaced it, and what is new may stand there"),
        ),
        (json!({ "birthDate": "1950-02-30" }), Some("- patient: the birth date given is not a valid date")),
    ] {
        let mut request = hospital.view_request(NAME);
        request["prefetch"] = json!({ "patient": with(patient(), more.clone()) });
        let said = words(&hospital.view(&request).await.only_card());
        if said.contains("- patient: ") != told.is_some() || told.is_some_and(|told| !said.contains(told)) {
            wrong.push(format!("{more}: {told:?}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    hospital.close().await;
}
