//! What draft orders say and refer to is read, or told.

use std::cell::Cell;

use serde_json::{Value, json};

use super::{
    BOTH, an_order, answer, chart_of, check, checked, drafts_of, now, rules, text_allergy, text_film, text_order, with,
};

#[test]
fn a_medicine_that_is_named_by_reference_is_read_or_told() {
    let medicine = |members: Value| with(json!({"resourceType": "Medication", "id": "m"}), &members);
    let amoxicillin = || medicine(json!({"code": {"text": "amoxicillin"}}));
    let acetaminophen = || medicine(json!({"code": {"text": "acetaminophen"}}));
    let by = |reference: &str, display: &str| {
        an_order(&json!({"medicationReference": {"reference": reference, "display": display}}))
    };
    let modified = json!({"modifierExtension": [{"url": "https://a.example/not", "valueBoolean": true}]});
    let by_ingredient =
        json!({"code": {"text": "Capsule"}, "ingredient": [{"itemReference": {"reference": "Medication/a"}}]});
    for (says, orders) in [
        ("an ingredient by reference", vec![by("Medication/m", ""), medicine(by_ingredient)]),
        ("two of one id", vec![by("Medication/m", "acetaminophen"), acetaminophen(), amoxicillin()]),
        ("changed in meaning", vec![by("Medication/m", "acetaminophen"), with(acetaminophen(), &modified)]),
        ("of another server", vec![by("https://other.example/fhir/Medication/m", "acetaminophen"), acetaminophen()]),
        ("not received", vec![by("Medication/m", "acetaminophen")]),
        ("cannot be read", vec![by("Medication/m", "acetaminophen"), medicine(json!({"code": 7}))]),
    ] {
        let answer = checked(&BOTH, &orders, &[text_allergy("Penicillin"), text_allergy("acetaminophen")]);
        let told = |what: &str| answer.not_evaluated.iter().any(|gap| gap.what.starts_with(what));
        assert!(told("draft order 1"), "{says}: {answer:?}");
        // What stands beside the reference is compared all the same.
        assert_eq!(answer.alerts.len(), usize::from(!says.contains("ingredient")), "{says}: {answer:?}");
    }
    let own = vec![by("Medication/m", ""), amoxicillin()];
    let answer = checked(&BOTH, &own, &[text_allergy("amoxicillin")]);
    assert!(answer.alerts.len() == 1 && answer.not_evaluated.is_empty(), "{answer:?}");
}

#[test]
fn an_id_that_two_drafts_share_is_never_suggested_for_removal() {
    let ampicillin = with(text_order("ampicillin"), &json!({"status": "stopped"}));
    for other in [text_order("ibuprofen"), ampicillin] {
        let drafts = drafts_of(&[text_order("amoxicillin"), other.clone()], Some(json!(["MedicationRequest/o"])));
        assert!(drafts.orders.iter().all(|order| order.checked && order.reference.is_none()), "{other}");
        assert_eq!(answer(&rules(), &BOTH, &drafts, &chart_of(&[text_allergy("amoxicillin")])).alerts.len(), 1);
    }
}

#[test]
fn a_selection_that_is_repeated_counts_once() {
    let films: Vec<Value> = (0..900).map(|_| with(text_film("CXR"), &json!({"id": "q"}))).collect();
    let drafts = drafts_of(&films, Some(json!(vec!["z"; 60_000])));
    assert!(drafts.orders.iter().all(|order| !order.checked));
    assert!(drafts.not_evaluated[0].why.starts_with("1 of them"), "{:?}", drafts.not_evaluated);
}

#[test]
fn a_passed_deadline_ends_the_checks() {
    let orders: Vec<Value> = (0..100).map(|_| text_order("amoxicillin")).collect();
    let (rules, drafts, chart, now) =
        (rules(), drafts_of(&orders, None), chart_of(&[text_allergy("amoxicillin")]), now());
    // Every order is asked for once before it is checked.
    let asked = Cell::new(0);
    let in_time = || {
        asked.set(asked.get() + 1);
        asked.get() <= 110
    };
    let checked = check(&rules, &BOTH, &drafts, &chart, &now, &in_time);
    assert!(checked.alerts.len() <= 10, "{}", checked.alerts.len());
    assert!(checked.not_evaluated.iter().any(|gap| gap.why.starts_with("the time for an answer")), "{checked:?}");
}
