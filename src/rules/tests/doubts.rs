//! In doubt something is not evaluated and told: it is never silent and never called a danger.

use serde_json::{Value, json};

use super::{BOTH, an_order, checked, text_allergy, text_film, text_order, with};

const SNOMED: &str = "http://snomed.info/sct";

fn assert_told(order: Value, allergy: Value) {
    let answer =
        checked(&BOTH, std::slice::from_ref(&order), &[with(allergy.clone(), &json!({"criticality": "high"}))]);
    assert!(answer.alerts.is_empty() && !answer.not_evaluated.is_empty(), "{order} {allergy}: {answer:?}");
}

fn coded(system: &str, code: &str, text: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}], "text": text})
}

#[test]
fn words_that_say_none_are_known_never_hide_a_code_that_names_something() {
    let rxnorm = coded("http://www.nlm.nih.gov/research/umls/rxnorm", "70618", "No known drug allergies");
    for code in [coded(SNOMED, "91936005", "NKDA"), rxnorm] {
        let allergy = json!({"resourceType": "AllergyIntolerance", "code": code});
        let answer = checked(&BOTH, &[text_order("amoxicillin")], &[allergy]);
        assert!(answer.not_evaluated.iter().any(|gap| gap.why.contains("may name something")), "{answer:?}");
    }
}

#[test]
fn an_allergy_of_a_status_that_nobody_knows_is_told() {
    let refuted = |code: Value| json!({ "verificationStatus": code });
    for status in [
        refuted(json!({"text": "Refuted"})),
        refuted(json!({"coding": [{"system": SNOMED, "code": "410516002"}]})),
        json!({"clinicalStatus": {"text": "resolved"}}),
    ] {
        assert_told(text_order("amoxicillin"), with(text_allergy("penicillin"), &status));
    }
    let confirmed = with(text_allergy("penicillin"), &refuted(json!({"text": "Confirmed"})));
    assert_eq!(checked(&BOTH, &[text_order("amoxicillin")], &[confirmed]).alerts.len(), 1);
}

#[test]
fn a_code_that_two_things_carry_does_not_make_them_one() {
    for (system, code, ordered, allergen) in [
        ("http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "UNK", "paracetamol", "Peanut allergy"),
        ("http://hl7.org/fhir/sid/ndc", "00000-0000-00", "paracetamol", "Peanut allergy"),
        (SNOMED, "105590001", "paracetamol", "Peanut allergy"),
        ("https://hospital.example/drugs", "OTHER", "paracetamol", "Peanut allergy"),
        ("https://hospital.example/drugs", "", "paracetamol", "Peanut allergy"),
        (SNOMED, "373262009", "cefazolin", "amoxicillin"),
    ] {
        let order = an_order(&json!({ "medicationCodeableConcept": coded(system, code, ordered) }));
        assert_told(order, json!({"resourceType": "AllergyIntolerance", "code": coded(system, code, allergen)}));
    }
}

#[test]
fn a_service_that_gives_nothing_orders_no_substance() {
    for (ordered, allergen) in [("Acetaminophen level", "acetaminophen"), ("Iohexol injection, L4 level", "iohexol")] {
        assert_told(text_film(ordered), text_allergy(allergen));
    }
    let laboratory = with(text_film("Penicillin G IgE"), &json!({"category": [{"text": "Laboratory procedure"}]}));
    let answer = checked(&BOTH, &[laboratory], &[text_allergy("penicillin G")]);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.is_empty(), "{answer:?}");
}

#[test]
fn contrast_of_a_kind_that_is_not_stated_is_never_a_danger() {
    let high = with(text_allergy("Contrast"), &json!({"criticality": "high"}));
    let answer = checked(&BOTH, &[text_film("CT Chest W contrast IV")], &[high]);
    assert!(matches!(answer.alerts.as_slice(), [said] if said.allergy.is_some_and(|(_, grave)| !grave)), "{answer:?}");
}

#[test]
fn what_is_known_in_part_only_is_told() {
    for (ordered, allergen) in [
        ("Hydrocodone-Ibuprofen 7.5-200 mg", "Hydrocodone-Acetaminophen"),
        ("Aspirin-Butalbital-Caffeine-Codeine", "Tylenol-Codeine"),
        ("Tylenol with codeine #3", "codeine"),
        ("Percocet (oxycodone-acetaminophen)", "PCN, oxycodone"),
    ] {
        assert_told(text_order(ordered), text_allergy(allergen));
    }
    let answer = checked(&BOTH, &[text_order("ibuprofen 200 mg tablet")], &[text_allergy("amoxicillin tablet")]);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.is_empty(), "{answer:?}");
}
