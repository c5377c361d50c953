//! Values that contradict themselves, and what is doubtful about others.

use serde_json::{Value, json};

use super::{UNKNOWN, check, part, potassium, pressure, row, with};

#[tokio::test]
async fn a_value_that_contradicts_itself_is_not_used_and_told() {
    let rows = vec![
        row(
            "a focus",
            vec![potassium(json!({ "focus": [{ "reference": "RelatedPerson/mother" }] }))],
            &["Observation/odd: it names something or somebody else as what it is about", UNKNOWN],
            &["potassium: 6.9"],
        ),
        row(
            "a value and none",
            vec![potassium(json!({ "dataAbsentReason": { "coding": [{ "code": "error" }] } }))],
            &["Observation/odd: it gives a value and says that there is none", UNKNOWN],
            &["potassium: 6.9"],
        ),
        row(
            "two values",
            vec![potassium(json!({ "valueString": "4.1 mmol/L" }))],
            &["Observation/odd: it gives two values where there can be one", UNKNOWN],
            &["potassium: 6.9", "4.1"],
        ),
        row(
            "a value beside a pressure",
            vec![with(
                pressure(json!([part("8480-6", 110, json!({})), part("8462-4", 70, json!({}))])),
                json!({ "valueQuantity": { "value": 4, "unit": "mmol/L" } }),
            )],
            &["Observation/odd: it gives two values where there can be one", UNKNOWN],
            &["110/70"],
        ),
        row(
            "two values, one of a form that is not read",
            vec![potassium(json!({ "valueRange": { "low": { "value": 3 } } }))],
            &["Observation/odd: it gives two values where there can be one"],
            &["potassium: 6.9"],
        ),
        row(
            "two dates",
            vec![potassium(json!({ "effectivePeriod": { "start": "2025-01-01" } }))],
            &["Observation/odd: it gives two values where there can be one"],
            &["potassium: 6.9"],
        ),
        row(
            "a null beside the value",
            vec![potassium(json!({ "valueString": null }))],
            &["potassium: 6.9 mmol/L"],
            &[],
        ),
        row(
            "a comparator nobody knows",
            vec![potassium(json!({ "valueQuantity": { "value": 6.9, "comparator": "~" } }))],
            &["Observation/odd: its value has a comparator that is not known"],
            &["potassium:"],
        ),
        row(
            "a comparator",
            vec![potassium(json!({ "valueQuantity": { "value": 6.9, "comparator": ">=", "unit": "mmol/L" } }))],
            &["potassium: &gt;=6.9 mmol/L"],
            &["Observation/odd:"],
        ),
        row(
            "an unknown status",
            vec![potassium(json!({ "status": "unknown" }))],
            &["Observation/odd: its status is not known", UNKNOWN],
            &["potassium: 6.9"],
        ),
        row(
            "pressures of which one is none",
            vec![pressure(json!([
                part("8480-6", 120, json!({ "dataAbsentReason": { "text": "error" } })),
                part("8462-4", 80, json!({}))
            ]))],
            &["Observation/odd: it gives a value and says that there is none"],
            &["120/80"],
        ),
        row(
            "pressures in two units",
            vec![pressure(json!([
                part("8480-6", 120, json!({})),
                part("8462-4", 10, json!({ "valueQuantity": { "value": 10, "unit": "kPa" } }))
            ]))],
            &["Observation/odd: its two values are in different units"],
            &["120/10"],
        ),
        row(
            "two systolic pressures",
            vec![pressure(json!([
                part("8480-6", 120, json!({})),
                part("8480-6", 180, json!({})),
                part("8462-4", 80, json!({}))
            ]))],
            &["Observation/odd: it gives two values where there can be one"],
            &["120/80"],
        ),
        row(
            "pressures",
            vec![pressure(json!([
                part("8867-4", 70, json!({ "valueQuantity": { "value": 70, "unit": "/min" } })),
                part("8480-6", 120, json!({})),
                part("8462-4", 80, json!({}))
            ]))],
            &["blood pressure: 120/80 mmHg"],
            &["Observation/odd:"],
        ),
    ];
    check("/fhir/Observation", rows).await;
}

#[tokio::test]
async fn what_is_doubtful_about_a_value_is_told_beside_it() {
    let range = |more: Value| {
        let quantity = |value: f64| json!({ "value": value, "unit": "mmol/L" });
        potassium(json!({ "referenceRange": [with(json!({ "low": quantity(3.5), "high": quantity(5.1) }), more)] }))
    };
    let kind = |code: &str| json!({ "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/referencerange-meaning", "code": code }] } });
    let no_date: &[&str] = &[
        "potassium: 6.9 mmol/L, the date given is not a valid date",
        "- Observation/odd: the date given is not a valid date",
    ];
    let rows = vec![
        row("a range", vec![range(json!({}))], &["potassium: 6.9 mmol/L, high"], &["reference range"]),
        row("a normal range", vec![range(kind("normal"))], &["potassium: 6.9 mmol/L, high"], &["reference range"]),
        row(
            "a range of treatment",
            vec![range(kind("treatment"))],
            &[
                "potassium: 6.9 mmol/L, 2025-11-19",
                "Observation/odd: its reference range is not that of normal values, so it was not used",
            ],
            &[", high"],
        ),
        row(
            "a range that ends before it begins",
            vec![range(json!({ "high": { "value": 2.0, "unit": "mmol/L" } }))],
            &[
                "potassium: 6.9 mmol/L, 2025-11-19",
                "Observation/odd: its reference range ends below where it begins, so it was not used",
            ],
            &[", high", ", low"],
        ),
        row(
            "30 February",
            vec![potassium(json!({ "effectiveDateTime": "2026-02-30" }))],
            no_date,
            &["date not stated"],
        ),
        row(
            "a thirteenth month, and a date beside it",
            vec![potassium(json!({ "effectiveDateTime": "2026-13-01", "issued": "2025-11-19T08:00:00Z" }))],
            no_date,
            &["date not stated", "2025-11-19"],
        ),
        row(
            "no date",
            vec![potassium(json!({ "effectiveDateTime": null }))],
            &["potassium: 6.9 mmol/L, date not stated"],
            &["not a valid date"],
        ),
        row(
            "preliminary",
            vec![potassium(json!({ "status": "preliminary" }))],
            &["potassium: 6.9 mmol/L, preliminary, 2025-11-19"],
            &[],
        ),
        row(
            "preliminary before",
            vec![
                potassium(json!({})),
                potassium(
                    json!({ "id": "before", "status": "preliminary", "effectiveDateTime": "2025-11-18", "valueQuantity": { "value": 4.1, "unit": "mmol/L" } }),
                ),
            ],
            &["potassium: 6.9 mmol/L, up from 4.1 on 2025-11-18 (preliminary), 2025-11-19"],
            &[],
        ),
        row(
            "a preliminary note",
            vec![potassium(
                json!({ "status": "preliminary", "category": [{ "coding": [{ "code": "exam" }] }], "valueQuantity": null, "valueString": "cough" }),
            )],
            &["- cough, preliminary, 2025-11-19"],
            &[],
        ),
        row(
            "the same one twice in each of three searches",
            vec![potassium(json!({})), potassium(json!({}))],
            &["potassium: 6.9 mmol/L, 2025-11-19", "last value of each test 1"],
            &["unchanged", "came twice"],
        ),
    ];
    check("/fhir/Observation", rows).await;
}
