//! One Observation a statement, and one for the impression. <https://hl7.org/fhir/R4/observation.html>

use serde_json::{Value, json};

use crate::{
    chart::{EvidenceId, Fact, Role, plain},
    fhir::Reference,
    grounding::{Change, Finding, Severity, Statement},
};

use super::{
    Made, code, device, diagnostic_report,
    narrative::{Div, ids, impression},
};

/// Types that R4 lets an Observation be derived from. Everything else a statement cites is an entity of its Provenance.
const DERIVABLE: [&str; 4] = ["ImagingStudy", "Media", "Observation", "DocumentReference"];

pub fn id(made: &Made, number: usize) -> String {
    made.id(&format!("statement {number}"))
}

pub fn resources(made: &Made) -> Vec<Value> {
    let mut observations: Vec<Value> =
        made.statements().enumerate().map(|(number, s)| statement(made, number, s)).collect();
    observations.push(overall(made, observations.len()));
    observations
}

fn statement(made: &Made, number: usize, statement: &Statement) -> Value {
    let text = plain(&statement.text, 1000);
    let mut sources: Vec<String> = Vec::new();
    for source in statement.evidence.iter().filter_map(|id| derivable(made, *id)) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let sources: Vec<Value> = sources.into_iter().map(|s| json!({ "reference": s })).collect();
    let words = made.words();
    let cited = (words.rests_on)(&ids(&statement.evidence));
    let own = json!({
        "code": code::named(code::LOINC, code::FINDINGS, words.finding),
        "valueString": text,
        "derivedFrom": sources,
        "component": statement.finding.map(components),
        "text": Div::draft(made.language).line(&text).line(&cited).narrative(),
    });
    observation(made, id(made, number), own)
}

fn overall(made: &Made, statements: usize) -> Value {
    let (words, text) = (made.words(), impression(made));
    let study = made.study().and_then(|s| made.absolute(&s.reference)).map(|s| json!({ "reference": s }));
    let findings = (0..statements).map(|n| json!({ "reference": format!("Observation/{}", id(made, n)) }));
    let own = json!({
        "code": code::named(code::LOINC, code::IMPRESSION, words.impression),
        "valueString": text,
        "derivedFrom": study.into_iter().chain(findings).collect::<Vec<Value>>(),
        "component": made.assessment.urgency.map(|u| vec![component("suggested urgency", u.word())]),
        "text": Div::draft(made.language).line(&text).narrative(),
    });
    observation(made, made.id("impression"), own)
}

/// Adds to what one Observation says what every Observation of the report has.
fn observation(made: &Made, id: String, own: Value) -> Value {
    let mut observation = json!({
        "resourceType": "Observation",
        "id": id,
        "language": made.language.word(),
        "meta": { "security": [code::ai_asserted()] },
        "text": own["text"],
        "identifier": [{ "system": "urn:curbside:statement", "value": id }],
        "status": "preliminary",
        "category": [code::concept("http://terminology.hl7.org/CodeSystem/observation-category", "imaging")],
        "code": own["code"],
        "subject": { "reference": made.absolute(&made.chart.subject.reference) },
        "encounter": { "reference": diagnostic_report::encounter(made) },
        "issued": made.issued(),
        "performer": [{ "display": plain(&made.options.organization, 200) }],
        "valueString": own["valueString"],
        "note": [{ "text": format!("{}.", made.shared().banner) }],
        "device": device::reference(made),
        "derivedFrom": own["derivedFrom"],
        "component": own["component"],
    });
    diagnostic_report::effective(made, &mut observation);
    observation
}

/// A picture stands for the study it is of.
fn derivable(made: &Made, id: EvidenceId) -> Option<String> {
    let evidence = made.evidence(id)?;
    let reference = match &evidence.fact {
        Fact::Image { role: Role::Current, .. } => &made.study()?.reference,
        Fact::Image { role: Role::Prior, .. } => &made.prior()?.reference,
        _ => &evidence.reference,
    };
    let named = Reference::parse(reference)?;
    DERIVABLE.contains(&named.resource_type).then(|| made.absolute(reference)).flatten()
}

// The codes are words of the closed answer contract, written as text: no terminology is claimed for them.
fn components(finding: Finding) -> Vec<Value> {
    let mut parts = vec![
        component("finding", finding.kind.word()),
        component("side of the patient", finding.side.word()),
        component("region", finding.region.word()),
    ];
    if finding.severity != Severity::None {
        parts.push(component("severity", finding.severity.word()));
    }
    if finding.change != Change::Unknown {
        parts.push(component("change against the prior film", finding.change.word()));
    }
    parts
}

fn component(code: &str, value: &str) -> Value {
    json!({ "code": { "text": code }, "valueCodeableConcept": { "text": value } })
}
