//! What an allergy or an order says beside something else is never hidden by it; ordinary orders stay silent.

use serde_json::{Value, json};

use super::{Check, an_order, checked, text_allergy, text_film, text_order, with};

/// What is said of an order, most first.
#[derive(Debug, PartialEq)]
enum Said {
    Alert,
    Told,
    Nothing,
}
use Said::{Alert, Nothing, Told};

fn said(check: Check, order: &Value, record: Value) -> Said {
    let answer = checked(&[check], std::slice::from_ref(order), &[record]);
    match (answer.alerts.is_empty(), answer.not_evaluated.is_empty()) {
        (false, _) => Alert,
        (true, false) => Told,
        (true, true) => Nothing,
    }
}

/// Every line is looked at before one fails, so that all that are wrong are seen.
fn assert_all(lines: impl IntoIterator<Item = (String, Said, Said)>) {
    let wrong: Vec<String> = lines
        .into_iter()
        .filter(|(_, found, wanted)| found != wanted)
        .map(|(line, found, wanted)| format!("{line}: {found:?}, not {wanted:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn allergies(lines: impl IntoIterator<Item = (&'static str, Value, Said)>) {
    assert_all(lines.into_iter().map(|(allergen, order, wanted)| {
        let found = said(Check::Allergy, &order, text_allergy(allergen));
        (format!("{allergen}, {order}"), found, wanted)
    }));
}

#[test]
fn classes_are_compared_however_they_are_named() {
    allergies([
        ("cephalosporins", text_order("amoxicillin"), Told),
        ("Cephalosporin allergy", text_order("ampicillin"), Told),
        ("cefazolin", text_order("amoxicillin"), Nothing),
        ("NSAIDs", text_order("celecoxib 200 mg"), Told),
        ("aspirin", text_order("celecoxib 200 mg"), Told),
        ("sulfa", text_order("celecoxib 200 mg"), Told),
        ("celecoxib", text_order("ibuprofen"), Told),
        ("furosemide", text_order("celecoxib"), Nothing),
        ("NSAIDs", text_order("paracetamol"), Nothing),
    ]);
    let atc = |code: &str| json!({"coding": [{"system": "http://www.whocc.no/atc", "code": code}]});
    let lines = [
        ("J01C", "J01CA04", Alert),
        ("J01C", "J01DB01", Alert),
        ("J01D", "J01DD04", Alert),
        ("J01D", "J01CA04", Told),
        ("M01A", "M01AE01", Alert),
        ("M01A", "M01AH01", Told),
        ("J01E", "J01EE01", Alert),
        ("J01E", "J01EA01", Told),
        ("J01D", "J01DH02", Told),
        ("M01A", "M01AX05", Told),
        ("M01A", "M01AH05", Told),
        ("J01E", "J01EA02", Told),
        ("J01C", "J01FA10", Nothing),
        ("M01A", "N02BE01", Nothing),
    ];
    assert_all(lines.map(|(allergen, ordered, wanted)| {
        let order = an_order(&json!({"medicationCodeableConcept": atc(ordered)}));
        let allergy = json!({"resourceType": "AllergyIntolerance", "code": atc(allergen)});
        (format!("{allergen}, {ordered}"), said(Check::Allergy, &order, allergy), wanted)
    }));
}

#[test]
fn another_part_of_the_body_hides_no_study_of_the_one_asked_for() {
    let study = |description: &str, modality: &str| {
        json!({"resourceType": "ImagingStudy", "status": "available", "description": description, "started": "2025-11-19",
            "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality}]})
    };
    let lines = [
        ("CT Chest", "CT neck to pelvis", "CT", Told),
        ("CT Chest", "CT PE protocol incl upper abdomen", "CT", Told),
        ("CT Chest", "CTPA, liver lesion", "CT", Told),
        ("CT Chest", "CT pulmonary embolism, prior hip fracture", "CT", Told),
        ("CT Chest", "CT lungs incl. upper abdomen", "CT", Told),
        ("CT Chest", "CT chest, abdomen and pelvis", "CT", Alert),
        ("CT Chest", "CT chest and abdomen, compare ultrasound", "CT", Told),
        ("CT Head", "CTA neck and intracranial", "CT", Told),
        ("CT Head", "CTA head neck", "CT", Alert),
        ("XR Chest", "Abdomen series, lungs", "DX", Told),
        ("CT Chest", "CT abdomen and pelvis", "CT", Nothing),
        ("CT Chest", "CT thoracic spine", "CT", Nothing),
        ("CT Head", "CT chest abdomen pelvis", "CT", Nothing),
        ("CT Head", "CTPA, liver lesion", "CT", Nothing),
        ("CT Head", "CT cervical spine", "CT", Nothing),
        ("XR Chest", "XR hip", "DX", Nothing),
    ];
    assert_all(lines.map(|(ordered, recorded, modality, wanted)| {
        let found = said(Check::DuplicateImaging, &text_film(ordered), study(recorded, modality));
        (format!("{ordered}, {recorded}"), found, wanted)
    }));
}
