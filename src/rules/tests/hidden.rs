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
fn a_second_kind_of_contrast_medium_takes_nothing_from_the_first() {
    let with_contrast = || text_film("CT Chest W contrast IV");
    allergies([
        ("IV contrast dye, gadolinium", with_contrast(), Alert),
        ("IV contrast and gadolinium", with_contrast(), Alert),
        ("Contrast dye, barium", with_contrast(), Alert),
        ("조영제, 바륨", with_contrast(), Alert),
        ("조영제와 바륨", with_contrast(), Alert),
        ("Contrast allergy. Also barium.", with_contrast(), Alert),
        ("CT/MRI contrast", with_contrast(), Alert),
        ("CT and MRI contrast", with_contrast(), Alert),
        ("Contrast media - all (iodinated, gadolinium)", with_contrast(), Alert),
        ("Gadolinium, IV dye", with_contrast(), Alert),
        ("iodinated", with_contrast(), Alert),
        ("Sensitivity to IV contrast dye", with_contrast(), Alert),
        ("IV contrast dye, gadolinium", text_film("CT Chest"), Told),
        ("IV contrast dye, gadolinium", text_film("MRI brain with contrast"), Alert),
        ("Contrast dye, barium", text_film("MRI brain with contrast"), Told),
        ("IV contrast dye, gadolinium", text_film("CT Chest WO contrast"), Nothing),
        ("gadolinium contrast", with_contrast(), Nothing),
        ("Contrast media - gadolinium", with_contrast(), Nothing),
        ("Contrast (barium)", with_contrast(), Nothing),
        ("contrast", text_film("Contrast sensitivity test"), Told),
        ("Iodinated Contrast- Oral and IV Dye", text_film("MRI brain with contrast"), Nothing),
    ]);
}

#[test]
fn an_examination_hides_nothing_that_is_given_with_it() {
    allergies([
        ("iodinated contrast", text_film("XR chest and esophagram with Gastrografin"), Alert),
        ("iohexol", text_film("XR chest, tube check with iohexol"), Alert),
        ("ketorolac", text_film("XR chest, then ketorolac 30 mg IM"), Alert),
        ("penicillin", text_film("XR chest, then penicillin G 1 MU IM"), Alert),
        ("gadobutrol", text_film("MRI brain with Gadavist"), Alert),
        ("gadolinium", text_film("XR arthrogram with gadolinium"), Told),
        ("iodinated contrast", text_film("XR abdomen with iodinated contrast"), Told),
        ("CT contrast", text_film("CT Head without contrast"), Nothing),
        ("iodinated contrast", text_film("Fluoroscopy with contrast"), Told),
        ("iodinated contrast", text_film("Fluoroscopy"), Told),
        ("iodinated contrast", text_film("Contrast enhanced mammography"), Told),
        ("iodinated contrast", text_film("XR barium enema"), Told),
        ("contrast dye", text_film("XR upper GI series"), Told),
        ("contrast dye", text_film("XR abdomen with oral contrast"), Told),
        ("iodinated contrast", text_film("Contrast enhanced ultrasound"), Told),
        ("iodinated contrast", text_film("US liver, with contrast"), Told),
        ("iodinated contrast", text_film("PET scan"), Told),
        ("lidocaine", text_film("CT guided lumbar injection"), Told),
        ("Penicillin", text_film("CT guided PCN"), Nothing),
    ]);
    for allergen in ["iodinated contrast", "penicillin", "gadolinium"] {
        for film in
            ["XR chest", "XR Knee", "CXR", "Mammography screening", "Ultrasound abdomen", "CT head without contrast"]
        {
            allergies([(allergen, text_film(film), Nothing)]);
        }
    }
    allergies([
        ("penicillin", text_film("CT Chest W contrast IV"), Nothing),
        ("penicillin", text_film("MRI brain w/o contrast"), Nothing),
        ("penicillin", text_film("Fluoroscopy"), Nothing),
    ]);
}

#[test]
fn without_contrast_counts_only_where_nothing_else_is_said_of_it() {
    for (order, wanted) in [
        ("CT head without contrast + CT perfusion", Told),
        ("CT head without contrast, CTP", Told),
        ("뇌 CT 비조영, 관류 CT", Told),
        ("CT head without contrast followed by contrast", Told),
        ("CT chest without contrast; give Omnipaque if PE suspected", Alert),
        ("CT chest non-contrast; CT abdomen pelvis contrast", Told),
        ("CT chest, no contrast allergy", Told),
        ("CT head without contrast; dye if needed", Told),
        ("CT chest without contrast, PE protocol", Told),
        ("CT abdomen without contrast, portal venous phase", Told),
        ("CT chest with contrast, compare prior MRI", Alert),
        ("CTA head, MRI brain", Alert),
        ("하지 CT 조영증강", Alert),
        ("흉부 CT 조영증강 하지 않음", Told),
        ("CT head without contrast", Nothing),
        ("CT HEAD, WITHOUT CONTRAST", Nothing),
        ("CT Chest without contrast enhancement", Nothing),
        ("Non-contrast enhanced CT head", Nothing),
        ("CT head without contrast (noncontrast)", Nothing),
        ("뇌 CT 비조영", Nothing),
        ("조영제 없이 흉부 CT", Nothing),
        ("MRI brain with contrast, CT head without contrast", Told),
    ] {
        allergies([("Iodinated contrast media", text_film(order), wanted)]);
    }
    allergies([
        ("gadolinium", text_film("MRI brain without contrast; add gadolinium if lesion"), Told),
        ("gadolinium", text_film("MRI brain without contrast, MR perfusion"), Told),
        ("gadolinium", text_film("MRI brain without contrast"), Nothing),
        ("gadolinium", text_film("MRI Brain w/o contrast"), Nothing),
    ]);
}

#[test]
fn a_category_hides_nothing_that_the_order_gives() {
    let of = |category: &str, text: &str| with(text_film(text), &json!({"category": [{ "text": category }]}));
    allergies([
        ("vancomycin", of("Outpatient referral", "Vancomycin infusion"), Told),
        ("vancomycin", of("Nutrition/Infusion therapy", "Vancomycin infusion"), Told),
        ("penicillin", of("Consultation and procedure", "Amoxicillin oral challenge"), Alert),
        ("penicillin", of("Consultation", "Amoxicillin oral challenge"), Alert),
        ("penicillin", of("Laboratory", "Amoxicillin oral challenge"), Alert),
        ("penicillin", of("Referral", "Amoxicillin"), Told),
        ("botulinum toxin", of("Consultation and procedure", "Botox"), Told),
        ("Lipid emulsion", of("Nutrition", "Total parenteral nutrition with lipids"), Told),
        ("penicillin", of("Laboratory procedure", "Penicillin G IgE"), Nothing),
        ("penicillin", of("Laboratory", "Penicillin G"), Nothing),
        ("vancomycin", of("Lab", "CBC"), Nothing),
        ("vancomycin", of("Laboratory test", "Basic metabolic panel"), Nothing),
        ("vancomycin", of("Outpatient Referral", "Cardiology"), Nothing),
        ("vancomycin", of("Referral to service", "Cardiology"), Nothing),
        ("vancomycin", of("Nutrition", "Regular diet"), Nothing),
        ("vancomycin", of("108252007", "CBC"), Nothing),
    ]);
}

#[test]
fn a_field_that_is_called_free_text_denies_nothing() {
    allergies([
        ("Penicillin (Free Text)", text_order("amoxicillin"), Alert),
        ("Sulfa free text", text_order("Bactrim"), Alert),
        ("sulfa-free diet", text_order("Bactrim"), Told),
    ]);
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
