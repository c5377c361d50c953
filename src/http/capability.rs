//! `GET /fhir/metadata`. <https://hl7.org/fhir/R4/capabilitystatement.html>

use serde_json::{Value, json};
use url::Url;

use crate::store::search::{By, Parameter, SERVED, Served};

/// When what the statement says last changed.
const CHANGED: &str = "2026-11-25";

/// The CapabilityStatement, made from the table that the search itself goes by. `public_base` is the FHIR base as
/// clients name it.
pub fn statement(public_base: &Url) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": CHANGED,
        "kind": "instance",
        "software": { "name": "curbside", "version": env!("CARGO_PKG_VERSION") },
        "implementation": {
            "description": "Draft reports of curbside. Not a medical device; AI results are drafts.",
            "url": public_base.as_str().trim_end_matches('/'),
        },
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [{ "mode": "server", "resource": SERVED.iter().map(resource).collect::<Vec<_>>() }],
    })
}

fn resource(served: &Served) -> Value {
    json!({
        "type": served.resource_type,
        "interaction": [{ "code": "read" }, { "code": "search-type" }],
        "versioning": "versioned",
        "readHistory": false,
        "conditionalRead": "not-match",
        "searchParam": served.parameters.iter().map(parameter).collect::<Vec<_>>(),
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let (kind, documentation) = told(parameter.by);
    let mut value = json!({ "name": parameter.name, "type": kind, "documentation": documentation });
    if let Some(definition) = parameter.definition {
        value["definition"] = json!(definition);
    }
    value
}

/// The type of a search parameter, and how it is used.
pub fn told(by: By) -> (&'static str, &'static str) {
    match by {
        By::Id => ("token", "One id or several, separated by commas."),
        By::Patient => (
            "reference",
            "The patient the resource is about: an absolute URL, or Patient/id or id where one FHIR server only is connected.",
        ),
        By::Target => ("reference", "The resource the provenance is of, as Type/id."),
        By::Status(_) => ("token", "A status code or several, separated by commas."),
        By::Date => ("date", "Prefixes eq, ne, gt, lt, ge, le, sa and eb; may be repeated."),
    }
}
