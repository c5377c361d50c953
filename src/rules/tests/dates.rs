//! Where an examination lies in time, and which records may be one: told where it is not known.

use serde_json::{Value, json};

use super::{Answer, Check, an_order, checked, text_film, with};

fn study(description: &str, modality: &str, started: &str) -> Value {
    json!({"resourceType": "ImagingStudy", "status": "available", "description": description, "started": started,
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality}]})
}

/// Whether it is told as a repetition, and whether as not evaluated.
fn said(order: &Value, record: Value) -> (bool, bool) {
    let Answer { alerts, not_evaluated } = checked(&[Check::DuplicateImaging], std::slice::from_ref(order), &[record]);
    (!alerts.is_empty(), !not_evaluated.is_empty())
}

#[test]
fn a_date_that_may_be_recent_is_never_taken_for_an_old_one() {
    const FOUND: (bool, bool) = (true, false);
    const TOLD: (bool, bool) = (false, true);
    const NEITHER: (bool, bool) = (false, false);
    for (written, started, expected) in [
        ("", "2025-11", TOLD),
        ("", "2025", TOLD),
        ("", "2025-10", NEITHER),
        ("", "2024", NEITHER),
        ("", "2025-11-19", FOUND),
        ("", "2025-11-18", TOLD),
        ("", "2025-11-17", NEITHER),
        // Today in Korea.
        ("", "2025-11-21", FOUND),
        ("", "2025-11-22", TOLD),
        ("", "2026", TOLD),
        ("", "2025-11-20T13:00:00Z", TOLD),
        ("2025-12-20", "2025-11-19", FOUND),
        ("2025-11-19T10:00:00Z", "2025-11-17T11:00:00Z", FOUND),
        ("1990-01-01", "2015-01-01", TOLD),
        ("1990-01-01", "1980-01-01", NEITHER),
        ("1990-01-01", "2025-11-19", FOUND),
        ("2025-11", "2025-11-05", TOLD),
    ] {
        let order = with(text_film("XR Chest"), &json!({ "authoredOn": written }));
        let record = study("Chest PA", "DX", started);
        assert_eq!(said(&order, record), expected, "written {written}, done {started}");
    }
}

#[test]
fn a_series_that_is_newer_than_its_study_is_told() {
    for (begun, told) in [("2025-11-19T08:00:00Z", true), ("2024-10-02T08:00:00Z", false)] {
        let record = with(study("Chest PA", "DX", "2024-10-01T20:00:00Z"), &json!({"series": [{"started": begun}]}));
        assert_eq!(said(&text_film("XR Chest"), record), (false, told), "{begun}");
    }
}

#[test]
fn a_record_that_no_rule_knows_is_told_where_it_may_be_the_same() {
    let day = "2025-11-19";
    let bare = |members: Value| with(json!({"resourceType": "ImagingStudy", "started": day}), &members);
    let open = |text: &str| {
        let order = with(text_film(text), &json!({"status": "active", "intent": "order", "authoredOn": day}));
        with(order, &json!({"id": "open"}))
    };
    for (ordered, record, told) in [
        ("XR Chest", bare(json!({"description": "Chest 2 views"})), true),
        ("XR Chest", bare(json!({})), true),
        ("CT Chest", bare(json!({})), true),
        ("CT Chest", study("LUNGS", "CT", day), true),
        ("CT Chest", bare(json!({"description": "CTPA"})), true),
        ("CT Chest", study("PE protocol", "CT", "2025-01-01"), false),
        ("CT Chest", study("Abdomen", "CT", day), false),
        ("CT Chest", study("Lungs", "MR", day), false),
        ("XR Chest", study("Lungs", "CT", day), false),
        ("XR Chest", study("Knee", "DX", day), false),
        ("CT Head", bare(json!({"description": "MRI brain"})), false),
        ("XR Chest", open("Chest PA"), true),
        ("XR Chest", open("Complete blood count"), false),
    ] {
        assert_eq!(said(&text_film(ordered), record.clone()), (false, told), "{ordered}: {record}");
    }
}

#[test]
fn an_examination_of_another_kind_is_none_of_the_same() {
    for (ordered, recorded) in [
        ("CT Head", "PET/CT skull base to mid-thigh"),
        ("CT Head", "CT femoral head right"),
        ("CT Chest", "CT abdomen, chest not included"),
        ("CT Chest", "CT cardiac calcium score, chest pain"),
    ] {
        let (found, _) = said(&text_film(ordered), study(recorded, "CT", "2025-11-19"));
        assert!(!found, "{ordered}, {recorded}");
    }
    for intent in ["proposal", "plan", "option", "order"] {
        let members = json!({"id": "x", "status": "active", "intent": intent});
        let recorded = with(text_film("XR Chest"), &members);
        assert_eq!(said(&text_film("XR Chest"), recorded).0, intent == "order", "{intent}");
    }
}

#[test]
fn an_order_of_the_same_id_that_says_something_else_is_another() {
    for (recorded, found) in [("XR Chest PA", false), ("CXR lateral", true)] {
        let order = with(text_film("XR Chest PA"), &json!({"id": "s1"}));
        let recorded = with(an_order(&text_film(recorded)), &json!({"id": "s1", "status": "active"}));
        assert_eq!(said(&order, recorded).0, found);
    }
}
