//! One word that is known makes no record known, and what one clause says is not said of the next.

use serde_json::{Value, json};

use super::{Answer, BOTH, checked, text_allergy, text_order, with};

const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

fn asked(order: &Value, allergy: &Value) -> Answer {
    checked(&BOTH, std::slice::from_ref(order), std::slice::from_ref(allergy))
}

fn assert_silent(order: &Value, allergy: &Value) {
    let answer = asked(order, allergy);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.is_empty(), "{order} {allergy}: {answer:?}");
}

#[test]
fn what_is_tolerated_ends_with_its_clause() {
    for (allergen, ordered) in [
        ("Amoxicillin tolerated; ceftriaxone: anaphylaxis", "ceftriaxone 1 g IV"),
        ("Amoxicillin tolerated, ceftriaxone anaphylaxis", "ceftriaxone 1 g IV"),
        ("Tolerates amoxicillin but ceftriaxone caused hives", "ceftriaxone"),
        ("Tolerates cephalosporins except cefazolin", "cefazolin"),
        ("Sulfa - rash. Could not tolerate amoxicillin", "amoxicillin 500 mg"),
        ("Sulfa, cannot tolerate amoxicillin", "amoxicillin"),
        ("Sulfa, didn't tolerate amoxicillin", "amoxicillin"),
        ("Sulfa, unable to tolerate amoxicillin", "amoxicillin"),
        ("설파, tolerate 못함 amoxicillin", "amoxicillin"),
    ] {
        let answer = asked(&text_order(ordered), &text_allergy(allergen));
        assert_eq!(answer.alerts.len(), 1, "{allergen}, {ordered}: {answer:?}");
    }
    for allergen in ["Sulfa (tolerates amoxicillin)", "Sulfa, but tolerates amoxicillin and ampicillin"] {
        assert_silent(&text_order("amoxicillin"), &text_allergy(allergen));
    }
}

#[test]
fn what_a_reaction_was_to_is_a_name_of_the_allergy() {
    let to = |substance: Value| with(text_allergy("Sulfa"), &json!({"reaction": [{"substance": substance}]}));
    let coded = json!({"coding": [{"system": RXNORM, "code": "723"}]});
    for substance in [json!({"text": "amoxicillin"}), coded] {
        let answer = asked(&text_order("amoxicillin"), &to(substance.clone()));
        assert_eq!(answer.alerts.len(), 1, "{substance}: {answer:?}");
    }
    assert_silent(&text_order("amoxicillin"), &to(json!({"text": "Sulfa drug"})));
}

#[test]
fn what_is_denied_of_a_reaction_denies_no_allergy() {
    for allergen in [
        "Penicillin: anaphylaxis 2010; do not give without allergy consult",
        "Penicillin: hives, denied anaphylaxis",
        "Penicillin - hives - patient denies swelling",
        "페니실린: 두드러기, 호흡곤란 없음",
    ] {
        let answer = asked(&text_order("amoxicillin"), &text_allergy(allergen));
        assert_eq!(answer.alerts.len(), 1, "{allergen}: {answer:?}");
    }
    for allergen in ["Penicillin: denied", "페니실린: 알레르기 없음", "Penicillin: delabeled 2020"] {
        let answer = asked(&text_order("amoxicillin"), &text_allergy(allergen));
        assert!(answer.alerts.is_empty() && !answer.not_evaluated.is_empty(), "{allergen}: {answer:?}");
    }
}

#[test]
fn a_denial_beside_anaphylaxis_takes_nothing_from_it() {
    let shown = |text: &str| json!({"manifestation": [{"text": text}]});
    let icd = json!({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "T78.2XXA"}]});
    for (reaction, grave) in [
        (shown("Could not breathe - anaphylaxis"), true),
        (shown("Could not breathe, anaphylaxis"), true),
        (shown("Denies rash; anaphylaxis"), true),
        (shown("아나필락시스, 발진 없음"), true),
        (json!({"description": "anaphylactic shock"}), true),
        (json!({ "manifestation": [icd] }), true),
        (shown("No rash, hives, or anaphylaxis"), false),
        (shown("Denies rash and anaphylaxis"), false),
        (shown("발진, 아나필락시스 없음"), false),
        (json!({"description": "hives, no anaphylaxis"}), false),
    ] {
        let allergy = with(text_allergy("amoxicillin"), &json!({ "reaction": [reaction] }));
        let answer = asked(&text_order("amoxicillin"), &allergy);
        assert_eq!(answer.alerts[0].allergy.map(|(_, grave)| grave), Some(grave), "{allergy}");
    }
}
