//! Nothing that is sent makes a check fail, and much of it makes none grow without bounds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BOTH, an_order, checked, text_allergy, text_film, text_order, with};

#[test]
fn a_study_of_many_series_is_compared_and_one_that_says_too_much_is_told() {
    let study = |describe: &dyn Fn(usize) -> String| {
        let series: Vec<Value> =
            (0..200).map(|n| json!({"uid": format!("1.{n}"), "description": describe(n)})).collect();
        json!({"resourceType": "ImagingStudy", "status": "available", "started": "2025-11-20T08:00:00Z", "description": "Chest PA",
            "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}], "series": series})
    };
    let alike = study(&|_| "posteroanterior projection".into());
    let answer = checked(&BOTH, &[text_film("XR Chest")], &[alike]);
    assert_eq!(answer.alerts.len(), 1, "{answer:?}");
    let endless = study(&|n| format!("projection number {n} of very many"));
    let answer = checked(&BOTH, &[text_film("XR Chest")], &[endless]);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.len() == 1, "{answer:?}");
}

#[test]
fn words_of_an_allergy_beyond_all_measure_are_compared_with_nothing_and_told() {
    let long = "penicillin ".repeat(100_000);
    let answer = checked(&BOTH, &[text_order("amoxicillin")], &[text_allergy(&long)]);
    assert!(answer.alerts.is_empty(), "{}", answer.alerts.len());
    let told = answer.not_evaluated.iter().any(|gap| gap.what.starts_with("allergy to penicillin"));
    assert!(told, "{}", answer.not_evaluated.len());
}

#[test]
fn a_name_beyond_all_measure_is_compared_with_nothing_and_told() {
    let long = "amoxicillin ".repeat(100_000);
    let answer = checked(&BOTH, &[text_order(&long)], &[text_allergy("amoxicillin")]);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.len() == 1, "{}", answer.not_evaluated.len());
}

#[test]
fn many_orders_are_bounded_and_what_is_left_out_is_told() {
    const MANY: usize = 2_000;
    let films: Vec<Value> = (0..MANY).map(|n| with(text_film("CXR"), &json!({ "id": format!("x{n}") }))).collect();
    let answer = checked(&BOTH, &films, &[]);
    assert!(answer.alerts.len() <= 10_000, "{}", answer.alerts.len());
    let told: Vec<&str> = answer.not_evaluated.iter().map(|gap| gap.why.as_str()).collect();
    assert!(told.iter().any(|why| why.contains("1800 of them")), "{told:?}");
    assert!(told.iter().any(|why| why.contains("not listed")), "{told:?}");
    let medicines: Vec<Value> = (0..MANY).map(|_| text_order("amoxicillin")).collect();
    let allergies: Vec<Value> = (0..MANY).map(|_| text_allergy("amoxicillin")).collect();
    let answer = checked(&BOTH, &medicines, &allergies);
    assert!(answer.alerts.len() <= 10_000 && answer.not_evaluated.len() <= 10_000, "{}", answer.alerts.len());
    assert!(answer.not_evaluated.iter().any(|gap| gap.why.contains("1980 more")), "{:?}", answer.not_evaluated.first());
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,12}|Patient/p|amoxicillin|#m|CT|페니실린정|J01CA04|2025-11-19".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = "resourceType|id|code|coding|text|system|subject|reference|medicationCodeableConcept|medicationReference|contained|category|bodySite|status|authoredOn|[a-z]{1,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_order_and_no_record_makes_a_check_panic(
        kind in "MedicationRequest|ServiceRequest|Medication|[A-Z][a-z]{0,8}",
        members in prop::collection::btree_map("medicationCodeableConcept|medicationReference|contained|code|category|bodySite|id|status|authoredOn", anything(), 0..6),
        words in "\\PC{0,40}",
    ) {
        let members = Value::Object(members.into_iter().collect());
        let order = with(an_order(&json!({ "resourceType": kind })), &members);
        let records = [text_allergy(&words), text_allergy("penicillin"), json!({"resourceType": "ImagingStudy", "description": words})];
        let checked = checked(&BOTH, &[order, text_order(&words)], &records);
        for said in &checked.alerts {
            prop_assert!(said.reference.as_deref().is_none_or(|reference| reference.split('/').count() == 2));
        }
    }
}
