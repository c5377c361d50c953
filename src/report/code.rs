//! The closed list of codes a draft may hold. No code in a report comes from anywhere else.

use serde_json::{Value, json};

pub const LOINC: &str = "http://loinc.org";
pub const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub const AI_DEVICE_TYPE: &str = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS";

/// Imaging study of any kind, and the chest X-ray.
pub const IMAGING_STUDY: &str = "18748-4";
pub const CHEST_XRAY: &str = "30745-4";
pub const FINDINGS: &str = "59776-5";
pub const IMPRESSION: &str = "19005-8";

/// One coding, without display: profiles that fix a code fix it without.
pub fn coding(system: &str, code: &str) -> Value {
    json!({ "system": system, "code": code })
}

pub fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [coding(system, code)] })
}

pub fn named(system: &str, code: &str, text: &str) -> Value {
    json!({ "coding": [coding(system, code)], "text": text })
}

/// Artificial Intelligence asserted: the label of what a model stated.
pub fn ai_asserted() -> Value {
    json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "AIAST",
        "display": "Artificial Intelligence asserted"
    })
}

/// Says that elements of the resource carry labels of their own.
pub fn labels_inline() -> Value {
    coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PROCESSINLINELABEL")
}

/// The kind of thing a model device is, and the role it acts in: fixed exactly by the guide, so nothing may be added.
pub fn artificial_intelligence() -> Value {
    concept(AI_DEVICE_TYPE, "Artificial-Intelligence")
}
