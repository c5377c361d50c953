//! Records that are changed in meaning, not confirmed, or contradicted by another.

use curbside::demo::Fault;
use serde_json::{Value, json};

use super::{
    MODIFIER, Row, UNKNOWN, card, check, open, part, penicillin, potassium, pressure, row, searchset, subject, with,
    words,
};

#[tokio::test]
async fn what_is_not_confirmed_is_not_said_plainly() {
    let verification = |system: &str, code: &str| json!({ "verificationStatus": { "coding": [{ "system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code }] } });
    let problem = |code: &str| {
        let active = json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] });
        let problem = json!({ "resourceType": "Condition", "id": "odd", "subject": subject(), "code": { "text": "tumour" }, "clinicalStatus": active });
        vec![with(problem, verification("condition-ver-status", code))]
    };
    let rows = vec![
        row("confirmed", problem("confirmed"), &["- tumour, active, since"], &[]),
        row("provisional", problem("provisional"), &["- tumour, active, provisional, since"], &[]),
        row("one of several", problem("differential"), &["- tumour, active, differential, since"], &[]),
    ];
    check("/fhir/Condition", rows).await;
    let allergy = vec![with(penicillin(), verification("allergyintolerance-verification", "unconfirmed"))];
    check("/fhir/AllergyIntolerance", vec![row("unconfirmed", allergy, &["- penicillin, unconfirmed, recorded"], &[])])
        .await;
}

/// INVARIANT: what_is_changed_in_meaning_anywhere_is_not_used
#[tokio::test]
async fn what_is_changed_in_meaning_anywhere_is_not_used() {
    let modifier = json!([{ "url": "https://ehr.example/negated", "valueBoolean": true }]);
    let medicine = |more: Value| {
        let medicine = json!({
            "resourceType": "MedicationRequest", "id": "odd", "status": "active", "intent": "order", "subject": subject(),
            "medicationReference": { "reference": "#m" }, "contained": [{ "resourceType": "Medication", "id": "m", "code": { "text": "warfarin" } }],
        });
        with(medicine, more)
    };
    let rows = vec![
        row(
            "unchanged",
            vec![medicine(json!({ "modifierExtension": [], "implicitRules": null }))],
            &["- warfarin"],
            &[],
        ),
        row(
            "the dosage",
            vec![medicine(json!({ "dosageInstruction": [{ "text": "one", "modifierExtension": modifier }] }))],
            &[MODIFIER, UNKNOWN],
            &["warfarin"],
        ),
        row(
            "rules of the contained medicine",
            vec![medicine(
                json!({ "contained": [{ "resourceType": "Medication", "id": "m", "implicitRules": "https://ehr.example/rules", "code": { "text": "warfarin" } }] }),
            )],
            &[MODIFIER, UNKNOWN],
            &["warfarin"],
        ),
        row(
            "a contained medicine entered in error",
            vec![medicine(
                json!({ "contained": [{ "resourceType": "Medication", "id": "m", "status": "entered-in-error", "code": { "text": "warfarin" } }] }),
            )],
            &["MedicationRequest/odd: the medicine it names was entered in error", UNKNOWN],
            &["warfarin"],
        ),
        row(
            "two medicines",
            vec![medicine(json!({ "medicationCodeableConcept": { "text": "aspirin" } }))],
            &["MedicationRequest/odd: it gives two values where there can be one", UNKNOWN],
            &["warfarin", "- aspirin"],
        ),
    ];
    check("/fhir/MedicationRequest", rows).await;
    let range = json!([{ "low": { "value": 3.5 }, "modifierExtension": modifier }]);
    let rows = vec![
        row("the range", vec![potassium(json!({ "referenceRange": range }))], &[MODIFIER], &["potassium: 6.9"]),
        row(
            "a component",
            vec![pressure(json!([
                part("8480-6", 120, json!({ "modifierExtension": modifier })),
                part("8462-4", 80, json!({}))
            ]))],
            &[MODIFIER],
            &["120/80"],
        ),
    ];
    check("/fhir/Observation", rows).await;
    let allergy = |reaction: Value| with(penicillin(), json!({ "id": "odd", "reaction": [reaction] }));
    let rows = vec![row(
        "a reaction",
        vec![allergy(json!({ "manifestation": [{ "text": "hives" }], "modifierExtension": modifier }))],
        &[MODIFIER, UNKNOWN],
        &["hives", "no allergies"],
    )];
    check("/fhir/AllergyIntolerance", rows).await;

    // The name of a member may be written with escapes.
    let hospital = open().await;
    let hidden = searchset(&[allergy(json!({ "modifierExtension": modifier }))]).to_string();
    let hidden = hidden.replace("modifierExtension", "modifier\\u0045xtension");
    hospital.ehr.faults.set("/fhir/AllergyIntolerance", Fault::Body(hidden));
    let said = words(&card(&hospital).await);
    assert!(said.contains(MODIFIER) && !said.contains("penicillin"), "{said}");
    hospital.close().await;
}

fn none_known(system: &str, code: &str, text: &str) -> Value {
    let code = json!({ "coding": [{ "system": system, "code": code, "display": text }] });
    json!({ "resourceType": "AllergyIntolerance", "id": "none", "patient": subject(), "code": code })
}

/// INVARIANT: a_statement_that_none_are_known_never_stands_beside_an_allergy
#[tokio::test]
async fn a_statement_that_none_are_known_never_stands_beside_an_allergy() {
    let snomed = |code: &str| none_known("http://snomed.info/sct", code, "None of these is known");
    let ips =
        |code: &str| none_known("http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips", code, "None known");
    let worded = |text: &str| with(penicillin(), json!({ "id": "none", "code": { "text": text } }));
    let contradicts: &[&str] = &[
        "AllergyIntolerance/none: it states that none are known, which the allergies recorded contradict, so it was not used",
        "- penicillin",
        "allergies 1",
    ];
    let both = |none: Value| vec![none, penicillin()];
    let mut rows: Vec<Row> = ["716186003", "409137002", "428607008", "429625007"]
        .into_iter()
        .map(|code| row(code, both(snomed(code)), contradicts, &["None of these is known", "no allergies"]))
        .collect();
    rows.push(row("of the IPS", both(ips("no-known-allergies")), contradicts, &["None known (", "no allergies"]));
    for text in ["No known allergies", "NKDA", "no known drug allergy"] {
        rows.push(row(text, both(worded(text)), contradicts, &["allergies 2", "no allergies"]));
    }
    let of_kind = |kind: &str| with(penicillin(), json!({ "category": [kind] }));
    rows.extend([
        row("of food, beside one of a medicine", vec![snomed("429625007"), of_kind("medication")], &["- penicillin", "- None of these is known", "allergies 1"], &["contradict"]),
        row("of food, beside one of food", vec![snomed("429625007"), of_kind("food")], contradicts, &["- None of these is known"]),
        row("of latex, beside another", vec![snomed("716184000"), penicillin()], &["- penicillin", "- None of these is known", "allergies 1"], &["contradict"]),
        row("of latex, beside latex", vec![snomed("716184000"), with(penicillin(), json!({ "code": { "text": "Latex glove" } }))], &["which the allergies recorded contradict", "- Latex glove", "allergies 1"], &["- None of these is known"]),
        row("a code of none with the name of one", vec![with(snomed("716186003"), json!({ "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "716186003" }], "text": "penicillin" } }))], &["- penicillin", "allergies 1", "AllergyIntolerance/none: its code says that none are known and its words name something"], &["no allergy named"]),
        row("alone", vec![snomed("716186003")], &["- None of these is known", "no allergy named"], &["allergies 1", "no allergies"]),
        row("beside one that is refuted", vec![snomed("716186003"), with(penicillin(), json!({ "verificationStatus": { "coding": [{ "code": "refuted" }] } }))], &["- None of these is known", "no allergy named"], &["contradict", "penicillin"]),
        row("beside one that cannot be used", vec![snomed("716186003"), with(penicillin(), json!({ "code": null }))], &["allergies not known"], &["no allergy named", "allergies 1"]),
        row("nothing known of allergies", vec![ips("no-allergy-info")], &["AllergyIntolerance/none: it says that nothing is known of allergies", "not known: it could not be read in full"], &["allergies 1", "no allergies"]),
    ]);
    check("/fhir/AllergyIntolerance", rows).await;
}

/// INVARIANT: a_status_at_odds_with_itself_is_no_absence
#[tokio::test]
async fn a_status_at_odds_with_itself_is_no_absence() {
    let odds: &[&str] =
        &["AllergyIntolerance/real: it gives two statuses that contradict each other", "allergies not known"];
    let coded = |member: &str, codes: [&str; 2]| {
        let coding = codes.map(|code| json!({ "code": code }));
        vec![with(penicillin(), json!({ member: { "coding": coding } }))]
    };
    let rows = vec![
        row("active and resolved", coded("clinicalStatus", ["active", "resolved"]), odds, &["no allergies"]),
        row("refuted and confirmed", coded("verificationStatus", ["refuted", "confirmed"]), odds, &["no allergies"]),
        row("active in two words", coded("clinicalStatus", ["active", "active"]), &["- penicillin"], &["contradict"]),
        row(
            "none known, and how one showed itself",
            vec![with(penicillin(), json!({ "code": { "text": "No known allergies" }, "criticality": "high" }))],
            &["AllergyIntolerance/real: it says that none are known and how one showed itself", "allergies not known"],
            &["no allergy named", "no allergies"],
        ),
        row(
            "none known but one",
            vec![with(penicillin(), json!({ "code": { "text": "No known allergies except penicillin" } }))],
            &[
                "- No known allergies except penicillin",
                "AllergyIntolerance/real: its words begin as a statement that none are known",
            ],
            &["no allergy named", "no allergies"],
        ),
    ];
    check("/fhir/AllergyIntolerance", rows).await;
}
