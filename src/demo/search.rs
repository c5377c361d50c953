//! FHIR search over resources in memory, as lenient EHRs do it: unknown parameters are ignored. Pure.
//! <https://hl7.org/fhir/R4/search.html>

use std::cmp::Reverse;

use serde_json::Value;

use crate::fhir::Date;

/// Parameters in order; a repeated one must hold each time, commas within one are alternatives.
pub type Parameters = Vec<(String, String)>;

/// The resources that match, in order, before paging.
pub fn search<'a>(resources: impl Iterator<Item = &'a Value>, parameters: &Parameters) -> Vec<&'a Value> {
    let mut found: Vec<&Value> =
        resources.filter(|r| parameters.iter().all(|(name, value)| holds(r, name, value))).collect();
    let sort = parameters.iter().find(|(name, _)| name == "_sort").map(|(_, value)| value.as_str()).unwrap_or_default();
    let newest = |r: &&Value| date(r);
    match sort.strip_prefix('-') {
        // Undated ones come last either way.
        Some(_) => found.sort_by_key(|r| Reverse(newest(r))),
        None if !sort.is_empty() => found.sort_by_key(|r| (newest(r).is_none(), newest(r))),
        None => {}
    }
    found
}

/// The patient a resource belongs to, by id; none for resources that are no patient's.
pub fn patient(resource: &Value) -> Option<&str> {
    if resource.get("resourceType")? == "Patient" {
        return resource.get("id")?.as_str();
    }
    let reference =
        ["subject", "patient", "beneficiary"].iter().find_map(|name| resource.get(name)?.get("reference")?.as_str())?;
    let (resource_type, id) = reference.rsplit_once('/')?;
    resource_type.ends_with("Patient").then_some(id)
}

fn holds(resource: &Value, name: &str, value: &str) -> bool {
    let any = |test: &dyn Fn(&str) -> bool| value.split(',').any(|alternative| test(alternative.trim()));
    match name {
        "_id" => any(&|id| resource.get("id").is_some_and(|held| held == id)),
        "patient" | "subject" => match patient(resource) {
            Some(held) => any(&|wanted| wanted.rsplit('/').next() == Some(held)),
            None => false,
        },
        "category" | "status" | "identifier" | "intent" | "modality" => any(&|t| token(resource.get(name), t)),
        "contenttype" => any(&|t| contents(resource).any(|held| held == t)),
        "clinical-status" => any(&|t| token(resource.get("clinicalStatus"), t)),
        "code" => any(&|t| token(resource.get("code"), t) || token(resource.get("medicationCodeableConcept"), t)),
        _ => true,
    }
}

/// `[system]|code` against a code, Coding, CodeableConcept, Identifier, or a list of them.
fn token(element: Option<&Value>, wanted: &str) -> bool {
    let (system, code) = match wanted.split_once('|') {
        Some((system, code)) => (Some(system), code),
        None => (None, wanted),
    };
    let fits = |held_system: Option<&str>, held: Option<&str>| {
        (code.is_empty() || held == Some(code)) && system.is_none_or(|s| s == held_system.unwrap_or_default())
    };
    match element {
        // A plain code has its system by definition, so a system asked for is taken on trust.
        Some(Value::String(held)) => held == code,
        Some(Value::Array(list)) => list.iter().any(|one| token(Some(one), wanted)),
        Some(Value::Object(object)) => match object.get("coding") {
            Some(codings) => token(Some(codings), wanted),
            None => {
                let text = |name: &str| object.get(name).and_then(Value::as_str);
                fits(text("system"), text("code").or(text("value")))
            }
        },
        _ => false,
    }
}

/// Media types of what a DocumentReference holds.
fn contents(resource: &Value) -> impl Iterator<Item = &Value> {
    let contents = resource.get("content").and_then(Value::as_array).into_iter().flatten();
    contents.filter_map(|content| content.get("attachment")?.get("contentType"))
}

/// The date an EHR sorts by.
fn date(resource: &Value) -> Option<Date> {
    let direct = [
        "effectiveDateTime",
        "started",
        "createdDateTime",
        "authoredOn",
        "recordedDate",
        "onsetDateTime",
        "performedDateTime",
        "date",
        "issued",
    ];
    let direct = direct.iter().find_map(|name| resource.get(name)?.as_str());
    let period = ["effectivePeriod", "period", "performedPeriod"];
    let text = direct.or_else(|| period.iter().find_map(|name| resource.get(name)?.get("start")?.as_str()))?;
    Date::parse(text)
}
