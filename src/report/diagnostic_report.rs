//! The draft DiagnosticReport. <https://hl7.org/fhir/R4/diagnosticreport.html>

use serde_json::{Value, json};

use crate::{
    chart::{Role, StudyRead, plain},
    fhir::Reference,
    grounding::described,
};

use super::{
    Made, code, device,
    narrative::{Div, ids, impression, study_sentence, study_words},
    oid,
};

const INLINE_LABEL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
const ALTERNATE_REFERENCE: &str = "http://hl7.org/fhir/StructureDefinition/alternate-reference";

pub fn resource(made: &Made, observations: &[Value]) -> Value {
    let results: Vec<Value> = observations
        .iter()
        .filter_map(|o| o["id"].as_str())
        .map(|id| json!({ "reference": format!("Observation/{id}") }))
        .collect();
    let mut report = json!({
        "resourceType": "DiagnosticReport",
        "id": made.report_id.to_string(),
        "language": made.language.word(),
        "meta": { "security": [code::ai_asserted(), code::labels_inline()] },
        "text": narrative(made),
        "identifier": [{ "system": "urn:curbside:report", "value": made.report_id.to_string() }],
        // INVARIANT: a_draft_is_never_final
        "status": made.options.draft_status.word(),
        "category": [
            { "coding": [code::coding(code::LOINC, "LP29684-5"), code::coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")] },
            code::concept(code::LOINC, "85430-7"),
        ],
        "code": examination(made),
        "subject": { "reference": made.absolute(&made.chart.subject.reference) },
        "encounter": { "reference": encounter(made) },
        "issued": made.issued(),
        "performer": performers(made),
        "result": results,
        "imagingStudy": [
            made.study().map(|study| imaging_study(made, study, made.words().current_study)),
            made.prior().map(|study| imaging_study(made, study, made.words().prior_study)),
        ],
        "media": made.study().map(|picture| vec![media(made, picture)]),
        "conclusion": format!("{}. {}", made.shared().banner, impression(made)),
        "_conclusion": { "extension": [{ "url": INLINE_LABEL, "valueCoding": code::ai_asserted() }] },
    });
    effective(made, &mut report);
    report
}

/// US Core wants the day of a draft's study. Where no day is known, all that is known is said: it was before the draft.
pub fn effective(made: &Made, resource: &mut Value) {
    match made.studied() {
        Some(date) => resource["effectiveDateTime"] = json!(date),
        None => resource["effectivePeriod"] = json!({ "end": made.issued() }),
    }
}

pub fn encounter(made: &Made) -> Option<String> {
    made.chart.encounter.as_deref().and_then(|reference| made.absolute(reference))
}

/// The chest X-ray where every current picture says it is one, else an imaging study of any kind.
fn examination(made: &Made) -> Value {
    let mut films = made.images().filter(|(_, role, _)| *role == Role::Current).map(|(_, _, image)| image).peekable();
    let any = films.peek().is_some();
    let chest = films.all(|image| {
        matches!(image.modality.as_deref(), Some("CR" | "DX"))
            && image.body_part.as_deref().is_some_and(|p| p.eq_ignore_ascii_case("CHEST"))
    });
    match any && chest {
        true => code::named(code::LOINC, code::CHEST_XRAY, made.words().chest_xray),
        false => code::named(code::LOINC, code::IMAGING_STUDY, made.words().imaging_study),
    }
}

// INVARIANT: no_device_performs_a_report
// R4 does not allow it, so the model stands beside the organisation in an extension.
fn performers(made: &Made) -> Value {
    json!([
        { "display": plain(&made.options.organization, 200) },
        {
            "extension": [{ "url": ALTERNATE_REFERENCE, "valueReference": device::reference(made) }],
            "display": made.words().ai_device,
        },
    ])
}

fn imaging_study(made: &Made, study: &StudyRead, which: &str) -> Value {
    if !study.is_study() {
        return Value::Null;
    }
    let identifier =
        study.study_uid.as_deref().and_then(oid).map(|uid| json!({ "system": "urn:dicom:uid", "value": uid }));
    json!({
        "reference": made.absolute(&study.reference),
        "identifier": identifier,
        "display": format!("{which}: {}", study_words(study, made.language)),
    })
}

/// A Media that was read. A DocumentReference has no place in a report; Observations and Provenance name it.
fn media(made: &Made, picture: &StudyRead) -> Value {
    let is_media = Reference::parse(&picture.reference).is_some_and(|r| r.resource_type == "Media");
    let link = is_media.then(|| made.absolute(&picture.reference));
    json!({ "link": { "reference": link } })
}

fn narrative(made: &Made) -> Value {
    let (words, shared) = (made.words(), made.shared());
    let statements: Vec<String> =
        made.statements().map(|s| format!("{} [{}]", plain(&s.text, 600), ids(&s.evidence))).collect();
    let cited: Vec<String> = made
        .chart
        .evidence
        .iter()
        .filter(|e| made.statements().any(|s| s.evidence.contains(&e.id)))
        .map(|e| {
            let (kind, text) = described(&e.fact, made.language);
            let date = e.date.as_ref().map(|d| format!(", {}", d.day())).unwrap_or_default();
            format!("{}: {kind}{date}: {text}", e.id)
        })
        .collect();
    let ledger = &made.assessment.ledger;
    let pictures = made.images().count();
    let counts = [pictures, ledger.shown.len() - pictures, ledger.not_shown.len(), made.assessment.rejected.len()];
    let failed: Vec<String> =
        ledger.failed.iter().map(|gap| plain(&format!("{}: {}", shared.coded(&gap.what), gap.why), 300)).collect();
    let used_for = plain(shared.coded(made.intended_use), 100);
    Div::draft(made.language)
        .line(&(words.intended_use)(&used_for, shared.not_a_device))
        .line(&impression(made))
        .line(&study_sentence(made).unwrap_or_default())
        .list(words.statements, &statements)
        .list(words.cited, &cited)
        .line(&(words.counts)(counts))
        .list(words.failed, &failed)
        .line(&format!("{}: {}.", words.model, plain(&made.model.name, 200)))
        .narrative()
}
