//! One word that is known makes no record known, and what one clause says is not said of the next.

use serde_json::{Value, json};

use super::{Answer, BOTH, an_order, checked, text_allergy, text_order, with};

const SNOMED: &str = "http://snomed.info/sct";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

fn asked(order: &Value, allergy: &Value) -> Answer {
    checked(&BOTH, std::slice::from_ref(order), std::slice::from_ref(allergy))
}

fn assert_spoken(order: &Value, allergy: &Value) {
    let answer = asked(order, allergy);
    assert!(!answer.alerts.is_empty() || !answer.not_evaluated.is_empty(), "silent: {order} {allergy}");
}

fn assert_silent(order: &Value, allergy: &Value) {
    let answer = asked(order, allergy);
    assert!(answer.alerts.is_empty() && answer.not_evaluated.is_empty(), "{order} {allergy}: {answer:?}");
}

fn coded_allergy(text: &str, coding: Value) -> Value {
    json!({"resourceType": "AllergyIntolerance", "code": {"text": text, "coding": [coding]}})
}

fn coded_order(text: &str, coding: Value) -> Value {
    an_order(&json!({"medicationCodeableConcept": {"text": text, "coding": [coding]}}))
}

#[test]
fn what_is_known_in_part_only_is_told() {
    for (allergen, ordered) in [
        ("Penicillin, cefalosporins", "cefazolin"),
        ("PCN, cephs", "cefazolin"),
        ("페니실린, 세파", "cefazolin"),
        ("페니실린, 마크로라이드계", "azithromycin"),
        ("설파제, 펜잘", "아세트아미노펜"),
        ("Sulfa, Ibuprophen", "ibuprofen 400 mg"),
        ("NSAIDs, APAP", "acetaminophen 500 mg"),
        ("Penicillin, erythromycin", "azithromycin"),
        ("Penicillin (beta-lactams)", "ceftriaxone"),
        ("Sulfa, Z-pak", "azithromycin"),
        ("Sulfa, all antibiotics", "amoxicillin"),
        ("Penicillin. Also: Tylonol", "acetaminophen"),
        ("Sulfa; penem (free text)", "amoxicillin"),
        ("Sulfa drugs; amoxicillin (free text)", "ampicillin"),
        ("Sulfa, loop diuretics", "furosemide 40 mg"),
        ("Tylenol", "Ibuprofen-APAP 125-250 mg"),
        ("Tylenol", "Advil Dual Action"),
        ("sulfa", "furosemide + septrim"),
        ("ibuprofen", "Paracetamol/Brufen"),
        ("Hydrocodone-Acetaminophen", "Hydrocodone-Ibuprofen 7.5-200 mg"),
        ("codeine", "Tylenol with codeine #3"),
    ] {
        assert_spoken(&text_order(ordered), &text_allergy(allergen));
    }
    let answer = asked(&text_order("cefazolin"), &text_allergy("Penicillin, <b>cefalosporins</b>"));
    let why = "it is known in part only, and no order was compared with the rest: cefalosporins";
    assert!(answer.not_evaluated.iter().any(|gap| gap.why == why), "{answer:?}");
    // What alerts already is not doubted, too.
    for (allergen, ordered) in [("Penicillin, macrolides", "amoxicillin"), ("ibuprofen", "Ibuprofen-Whatever")] {
        let answer = asked(&text_order(ordered), &text_allergy(allergen));
        assert!(answer.alerts.len() == 1 && answer.not_evaluated.is_empty(), "{ordered} {allergen}: {answer:?}");
    }
    let both = checked(&BOTH, &[text_order("amoxicillin"), text_order("azithromycin")], &[text_allergy("PCN, cephs")]);
    assert!(both.alerts.len() == 1 && both.not_evaluated.len() == 1, "{both:?}");
}

#[test]
fn a_code_that_no_rule_knows_is_told_beside_words_that_one_knows() {
    let unnamed = |system: &str, code: &str| json!({"system": system, "code": code});
    let named = |code: &str, display: &str| json!({"system": SNOMED, "code": code, "display": display});
    let icd = "http://hl7.org/fhir/sid/icd-10";
    for (allergy, ordered) in [
        (coded_allergy("Sulfa", unnamed(icd, "Z88.0")), "amoxicillin"),
        (coded_allergy("Penicillin", named("373262009", "Beta-lactam antibiotic")), "ceftriaxone"),
        (coded_allergy("Penicillin", unnamed(RXNORM, "999999999")), "ceftriaxone"),
        (coded_allergy("Sulfa", json!({"code": "7980"})), "amoxicillin"),
    ] {
        assert_spoken(&text_order(ordered), &allergy);
    }
    assert_spoken(&coded_order("furosemide", unnamed(RXNORM, "999999999")), &text_allergy("sulfa"));
    let package = unnamed("http://hl7.org/fhir/sid/ndc", "0054-4297-25");
    assert_silent(&coded_order("furosemide", package), &text_allergy("sulfa"));
    for coding in [
        named("999999999", "Allergy to penicillin (finding)"),
        json!({"system": icd, "code": "Z88.0", "display": "Allergy status to penicillin"}),
        named("416098002", "Drug allergy"),
        named("764146007", "Penicillin -class of antibiotic-"),
        unnamed(RXNORM, "7980"),
    ] {
        assert_silent(&text_order("azithromycin"), &coded_allergy("Penicillin", coding));
    }
    let amoxicillin = json!({"system": RXNORM, "code": "999999999", "display": "amoxicillin 500 MG Oral Capsule"});
    assert_silent(&coded_order("Amoxicillin 500 MG", amoxicillin), &text_allergy("sulfa"));
}

#[test]
fn ordinary_names_are_known_whole() {
    for ordered in [
        "Amoxicillin 500 MG Oral Tablet",
        "amoxicillin/clavulanate 875-125 mg PO BID x 7 days",
        "amoxicillin 250 mg/5 mL oral suspension for reconstitution",
        "amoxicillin-pot clavulanate 875 mg",
        "Ibuprofen 400 mg tab (Advil)",
        "ibuprofen 600 MG Oral Tablet [Motrin], take one tablet by mouth every 6 hours as needed for pain",
        "acetaminophen 325 mg tab, 2 tabs q6h prn fever",
        "cefazolin 2 g in sodium chloride 0.9% 100 mL IVPB",
        "ceftriaxone 1 GM Injection, intramuscular, once",
        "Aspirin EC 81 mg delayed-release tablet daily",
        "azithromycin hydrochloride 500 mg IV infusion over 1 hour, preservative-free",
        "furosemide 20 mg tablet twice a day",
        "아목시실린캡슐500밀리그램",
        "이부프로펜정 200밀리그램 1일 3회 식후",
    ] {
        assert_silent(&text_order(ordered), &text_allergy("trimethoprim"));
    }
    for allergen in [
        "Penicillin",
        "Penicillins",
        "Allergy to penicillin (finding)",
        "Penicillin G - rash",
        "Penicillin V potassium",
        "PCN: hives as a child",
        "Penicillin - severe anaphylactic reaction in 2010",
        "Penicillin, no rash",
        "Penicillin allergy (reported by patient's mother)",
        "Penicillin: throat swelling and shortness of breath",
        "Penicillin (tolerates cefazolin)",
        "History of allergy to penicillins",
        "Sulfa drugs: nausea, vomiting",
        "Sulfa (Sulfonamide Antibiotics)",
        "Aspirin - GI upset",
        "페니실린 알레르기",
        "페니실린에 두드러기",
        "페니실린계 항생제",
        "페니실린 (과거력: 전신 발진, 호흡곤란)",
        "아스피린 부작용",
    ] {
        assert_silent(&text_order("azithromycin"), &text_allergy(allergen));
    }
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
    assert_spoken(&text_order("amoxicillin"), &to(json!({"text": "amoxycilin"})));
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
