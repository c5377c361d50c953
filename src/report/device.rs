//! The model, its runtime and its prompt as one AI device; in English, since reports in either language share it.
//!
//! <https://hl7.org/fhir/uv/aitransparency/StructureDefinition/AI-Device>

use serde_json::{Value, json};

use crate::{chart::plain, task::Language};

use super::{
    Made,
    code::{self, AI_DEVICE_TYPE, DCM},
    derived_id,
    narrative::{Div, scope_sentence},
};

const AI_KIND: &str = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/aitransparency.AIKind";
const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The same model, runtime, product and prompt version are the same Device.
pub fn id(made: &Made) -> String {
    let model = made.model;
    let parts =
        [&model.revision, &model.weights_sha256, &model.runtime, &model.dtype, PRODUCT_VERSION, made.prompt.version];
    derived_id(&parts.map(str::as_bytes))
}

pub fn reference(made: &Made) -> Value {
    json!({ "reference": format!("Device/{}", id(made)) })
}

pub fn resource(made: &Made) -> Value {
    let model = made.model;
    let kinds = ["Vision-Language-Models", "Medical-Image-Analysis", "AI-for-Multimodal-Data", "Deterministic-AI"];
    let kinds =
        kinds.map(|kind| json!({ "url": AI_KIND, "valueCodeableConcept": code::concept(AI_DEVICE_TYPE, kind) }));
    let text = |text: &str| json!({ "text": text });
    let versions: Vec<Value> = [
        (code::named(DCM, "111001", "Model"), model.name.as_str()),
        (code::named(DCM, "111003", "Model revision, SHA-256 over all files"), &model.revision),
        (text("Weights, SHA-256"), &model.weights_sha256),
        (text("Runtime"), &model.runtime),
        (text("Number format"), &model.dtype),
        (text("Prompt version"), made.prompt.version),
        (text("curbside"), PRODUCT_VERSION),
    ]
    .into_iter()
    .filter(|(_, value)| !value.trim().is_empty())
    .map(|(kind, value)| json!({ "type": kind, "value": plain(value, 200) }))
    .collect();
    let name = plain(&model.name, 200);
    let scope = scope_sentence(model, Language::English);
    json!({
        "resourceType": "Device",
        "id": id(made),
        "language": Language::English.word(),
        "text": Div::new(Language::English).line("AI device: a vision-language model that drafts reports for review.").line(&name).line(&scope).narrative(),
        "extension": kinds,
        "identifier": [{ "system": "urn:curbside:device", "value": id(made) }],
        "status": "active",
        "manufacturer": "curbside",
        "deviceName": [{ "name": "curbside", "type": "user-friendly-name" }, { "name": name, "type": "model-name" }],
        "modelNumber": name,
        "type": code::artificial_intelligence(),
        "version": versions,
        "note": [{ "text": scope }],
    })
}
