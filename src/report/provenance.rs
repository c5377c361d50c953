//! Who drafted the report from what; in English, being a record and no part of what a clinician reads.
//!
//! <https://hl7.org/fhir/uv/aitransparency/StructureDefinition/AI-Provenance>

use serde_json::{Value, json};

use crate::{
    chart::{EvidenceId, Fact, plain},
    fhir::Reference,
    grounding::described,
    imaging::Source,
    task::Language,
};

use super::{Made, code, date_time, device, narrative::Div, observation, oid};

const TARGET_PATH: &str = "http://hl7.org/fhir/StructureDefinition/targetPath";

/// One Provenance over the whole report, naming all that was shown to the model; then one a statement, naming what it cites.
pub fn resources(made: &Made) -> Vec<Value> {
    let mut provenances = vec![whole(made)];
    provenances.extend(made.statements().enumerate().map(|(number, statement)| {
        let mut target = version_one("Observation", &observation::id(made, number));
        target["extension"] = json!([{ "url": TARGET_PATH, "valueString": "Observation.value" }]);
        let entities = statement.evidence.iter().map(|id| source(made, *id)).collect();
        provenance(made, &format!("statement provenance {number}"), vec![target], entities)
    }));
    provenances
}

fn whole(made: &Made) -> Value {
    let mut targets = vec![version_one("DiagnosticReport", &made.report_id.to_string())];
    targets.extend(
        observation::resources(made).iter().filter_map(|o| o["id"].as_str()).map(|id| version_one("Observation", id)),
    );
    // INVARIANT: every_shown_piece_of_evidence_is_an_entity
    let mut entities: Vec<Value> = made.assessment.ledger.shown.iter().map(|id| source(made, *id)).collect();
    let hashes = [("prompt-sha256", made.prompt.sha256), ("weights-sha256", &made.model.weights_sha256)];
    for (name, value) in hashes.into_iter().filter(|(_, value)| !value.is_empty()) {
        let identifier = json!({ "system": format!("urn:curbside:{name}"), "value": plain(value, 64) });
        entities.push(json!({ "role": "derivation", "what": { "identifier": identifier } }));
    }
    provenance(made, "provenance", targets, entities)
}

fn provenance(made: &Made, part: &str, targets: Vec<Value>, entities: Vec<Value>) -> Value {
    let mut agents = vec![json!({
        "type": code::concept("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author"),
        "role": [code::artificial_intelligence()],
        "who": device::reference(made),
    })];
    if let Some(requester) = requester(made) {
        agents.push(json!({ "type": { "text": "requester" }, "who": { "reference": requester } }));
    }
    json!({
        "resourceType": "Provenance",
        "id": made.id(part),
        "language": Language::English.word(),
        "text": Div::new(Language::English).line("Made by an AI device on request; not reviewed by a clinician.").narrative(),
        "target": targets,
        "occurredDateTime": made.issued(),
        "recorded": made.issued(),
        "reason": [{ "coding": [code::ai_asserted()] }],
        "activity": code::concept("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "CREATE"),
        "agent": agents,
        "entity": entities,
    })
}

/// The person who asked, where the hook named one.
fn requester(made: &Made) -> Option<String> {
    let text = made.chart.requester.as_deref()?;
    let people = ["Practitioner", "PractitionerRole", "Patient", "RelatedPerson"];
    people.contains(&Reference::parse(text)?.resource_type).then(|| made.absolute(text)).flatten()
}

fn version_one(resource_type: &str, id: &str) -> Value {
    json!({ "reference": format!("{resource_type}/{id}/_history/1") })
}

/// A resource by its address, a DICOM instance by its UID.
fn source(made: &Made, id: EvidenceId) -> Value {
    let Some(evidence) = made.evidence(id) else {
        return json!({ "role": "source", "what": { "display": id.to_string() } });
    };
    let mut what = json!({ "display": format!("{id}, {}", described(&evidence.fact, Language::English).0) });
    if let Fact::Image { role, image } = &evidence.fact {
        let date = image.date.as_ref().map_or("no date".to_owned(), date_time);
        let facts = [
            format!("{id}, {} picture, {date}", role.word()),
            format!("had by {}", image.retrieved),
            match &image.source {
                Source::Dicom { transfer_syntax, window, .. } => {
                    let window = window.as_deref().unwrap_or("none applied");
                    format!("transfer syntax {transfer_syntax}; window {window}")
                }
                Source::Attachment { media_type, .. } => format!("media type {media_type}"),
            },
            format!("lossy: {}", if image.lossy { "yes" } else { "no" }),
            format!("burned-in annotation: {}", image.burned_in),
        ];
        what["display"] = json!(plain(&facts.join("; "), 500));
    }
    if let Some(uid) = oid(&evidence.reference) {
        what["identifier"] = json!({ "system": "urn:dicom:uid", "value": uid });
    } else {
        what["reference"] = json!(made.absolute(&evidence.reference));
    }
    json!({ "role": "source", "what": what })
}
