//! Rules of the four types we write: R4's cardinalities, bindings, invariants and reference targets, and what the US Core
//! profiles add. <https://hl7.org/fhir/us/core/STU8/StructureDefinition-us-core-diagnosticreport-note.html>

use serde_json::Value;

use super::{Verdict, ensure};
use crate::fhir::Reference;

struct Rules {
    required: &'static [&'static str],
    /// Elements of the resource that are code-bound, with R4's codes.
    codes: &'static [(&'static str, &'static [&'static str])],
    /// Elements of inner elements that R4 requires: parent, child.
    inner: &'static [(&'static str, &'static str)],
    /// Types a reference at this path may name; a path that is not listed takes any.
    targets: &'static [(&'static str, &'static [&'static str])],
}

const ACTORS: &[&str] = &["Practitioner", "PractitionerRole", "Organization", "CareTeam"];
const AGENTS: &[&str] = &["Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device", "Organization"];
const SUBJECTS: &[&str] = &["Patient", "Group", "Device", "Location"];

const DIAGNOSTIC_REPORT: Rules = Rules {
    required: &["status", "category", "code", "subject"],
    codes: &[(
        "status",
        &[
            "registered",
            "partial",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "appended",
            "cancelled",
            "entered-in-error",
            "unknown",
        ],
    )],
    inner: &[("media", "link")],
    targets: &[
        (
            "basedOn",
            &["CarePlan", "ImmunizationRecommendation", "MedicationRequest", "NutritionOrder", "ServiceRequest"],
        ),
        ("subject", SUBJECTS),
        ("encounter", &["Encounter"]),
        ("performer", ACTORS),
        ("resultsInterpreter", ACTORS),
        ("specimen", &["Specimen"]),
        ("result", &["Observation"]),
        ("imagingStudy", &["ImagingStudy"]),
        ("media.link", &["Media"]),
    ],
};

const OBSERVATION: Rules = Rules {
    required: &["status", "category", "code", "subject"],
    codes: &[(
        "status",
        &["registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"],
    )],
    inner: &[("component", "code")],
    targets: &[
        (
            "basedOn",
            &[
                "CarePlan",
                "DeviceRequest",
                "ImmunizationRecommendation",
                "MedicationRequest",
                "NutritionOrder",
                "ServiceRequest",
            ],
        ),
        (
            "partOf",
            &[
                "MedicationAdministration",
                "MedicationDispense",
                "MedicationStatement",
                "Procedure",
                "Immunization",
                "ImagingStudy",
            ],
        ),
        ("subject", SUBJECTS),
        ("encounter", &["Encounter"]),
        ("performer", &["Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson"]),
        ("specimen", &["Specimen"]),
        ("device", &["Device", "DeviceMetric"]),
        ("hasMember", &["Observation", "QuestionnaireResponse", "MolecularSequence"]),
        (
            "derivedFrom",
            &[
                "DocumentReference",
                "ImagingStudy",
                "Media",
                "QuestionnaireResponse",
                "Observation",
                "MolecularSequence",
            ],
        ),
    ],
};

const PROVENANCE: Rules = Rules {
    required: &["target", "recorded", "agent"],
    codes: &[("entity.role", &["derivation", "revision", "quotation", "source", "removal"])],
    inner: &[("agent", "who"), ("entity", "role"), ("entity", "what")],
    targets: &[
        ("location", &["Location"]),
        ("agent.who", AGENTS),
        ("agent.onBehalfOf", AGENTS),
        ("entity.agent.who", AGENTS),
        ("entity.agent.onBehalfOf", AGENTS),
    ],
};

const DEVICE: Rules = Rules {
    required: &[],
    codes: &[
        ("status", &["active", "inactive", "entered-in-error", "unknown"]),
        (
            "deviceName.type",
            &[
                "udi-label-name",
                "user-friendly-name",
                "patient-reported-name",
                "manufacturer-name",
                "model-name",
                "other",
            ],
        ),
    ],
    inner: &[
        ("deviceName", "name"),
        ("deviceName", "type"),
        ("version", "value"),
        ("specialization", "systemType"),
        ("property", "type"),
    ],
    targets: &[
        ("definition", &["DeviceDefinition"]),
        ("patient", &["Patient"]),
        ("owner", &["Organization"]),
        ("location", &["Location"]),
        ("parent", &["Device"]),
    ],
};

/// Elements that may repeat somewhere in the four types or their data types. No other may be an array.
const REPEATING: [&str; 62] = [
    "agent",
    "appliesTo",
    "basedOn",
    "category",
    "coding",
    "component",
    "conclusionCode",
    "contact",
    "contained",
    "deviceName",
    "derivedFrom",
    "entity",
    "extension",
    "focus",
    "given",
    "hasMember",
    "identifier",
    "imagingStudy",
    "interpretation",
    "line",
    "media",
    "modifierExtension",
    "note",
    "partOf",
    "performer",
    "policy",
    "prefix",
    "presentedForm",
    "profile",
    "property",
    "reason",
    "referenceRange",
    "result",
    "resultsInterpreter",
    "role",
    "safety",
    "security",
    "signature",
    "specialization",
    "specimen",
    "statusReason",
    "suffix",
    "tag",
    "target",
    "telecom",
    "type",
    "udiCarrier",
    "valueCode",
    "valueQuantity",
    "version",
    "event",
    "dayOfWeek",
    "timeOfDay",
    "when",
    "address",
    "name",
    "photo",
    "communication",
    "qualification",
    "alias",
    "endpoint",
    "link",
];

pub fn check(resource: &Value) -> Verdict {
    let name = resource["resourceType"].as_str().unwrap_or_default();
    let rules = match name {
        "DiagnosticReport" => DIAGNOSTIC_REPORT,
        "Observation" => OBSERVATION,
        "Provenance" => PROVENANCE,
        "Device" => DEVICE,
        _ => return Ok(()),
    };
    single(name, resource)?;
    for element in rules.required {
        ensure(resource.get(element).is_some(), format!("{name}.{element}"), "a required element is missing")?;
    }
    for (parent, child) in rules.inner {
        let complete = at(resource, parent).into_iter().all(|element| element.get(child).is_some());
        ensure(complete, format!("{name}.{parent}.{child}"), "a required element is missing")?;
    }
    for (path, codes) in rules.codes {
        let known = at(resource, path).into_iter().all(|code| code.as_str().is_some_and(|code| codes.contains(&code)));
        ensure(known, format!("{name}.{path}"), "not a code of the required value set")?;
    }
    references(resource, resource, name, "", &rules)?;
    match name {
        "DiagnosticReport" => diagnostic_report(resource),
        "Observation" => observation(resource),
        _ => Ok(()),
    }
}

fn diagnostic_report(report: &Value) -> Verdict {
    const SLICE: [&str; 3] = ["LP29684-5", "LP29708-2", "LP7839-6"];
    let sliced = at(report, "category.coding").into_iter().any(|coding| {
        coding["system"] == "http://loinc.org" && coding["code"].as_str().is_some_and(|code| SLICE.contains(&code))
    });
    ensure(sliced, "DiagnosticReport.category", "no LOINC category of radiology, cardiology or pathology (US Core)")?;
    let timed = ["partial", "preliminary", "final", "amended", "corrected", "appended"];
    let due = report["status"].as_str().is_some_and(|status| timed.contains(&status));
    let effective = choices(report, "effective");
    ensure(
        !due || effective > 0,
        "DiagnosticReport.effective",
        "a report of this status says when it applies (us-core-10)",
    )?;
    ensure(effective < 2, "DiagnosticReport.effective", "an element of a choice of types comes once")?;
    to_the_day(report, "DiagnosticReport.effectiveDateTime")
}

fn observation(observation: &Value) -> Verdict {
    for (holder, place) in [observation]
        .into_iter()
        .map(|o| (o, "Observation"))
        .chain(at(observation, "component").into_iter().map(|c| (c, "Observation.component")))
    {
        let (values, absent) = (choices(holder, "value"), holder.get("dataAbsentReason").is_some());
        ensure(values < 2, format!("{place}.value"), "an element of a choice of types comes once")?;
        ensure(values == 0 || !absent, format!("{place}.dataAbsentReason"), "a value is not absent (obs-6)")?;
        let parts = ["component", "hasMember"].iter().any(|part| holder.get(part).is_some());
        ensure(
            values == 1 || absent || parts,
            format!("{place}.value"),
            "neither a value nor a reason for its absence (us-core-2)",
        )?;
    }
    ensure(
        choices(observation, "effective") < 2,
        "Observation.effective",
        "an element of a choice of types comes once",
    )?;
    let ranges = at(observation, "referenceRange");
    let filled = ranges.iter().all(|range| ["low", "high", "text"].iter().any(|name| range.get(name).is_some()));
    ensure(filled, "Observation.referenceRange", "a range has a bound or a text (obs-3)")?;
    to_the_day(observation, "Observation.effectiveDateTime")
}

fn to_the_day(resource: &Value, place: &'static str) -> Verdict {
    let exact = resource["effectiveDateTime"].as_str().is_none_or(|text| text.len() >= 10);
    ensure(exact, place, "less exact than a day (US Core)")
}

/// How many types of `name[x]` are present.
fn choices(holder: &Value, name: &str) -> usize {
    let typed =
        |key: &String| key.strip_prefix(name).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    holder.as_object().map_or(0, |members| members.keys().filter(|key| typed(key)).count())
}

fn single(place: &str, value: &Value) -> Verdict {
    let Value::Object(members) = value else { return Ok(()) };
    // What is contained is of any type.
    members.iter().filter(|(name, _)| *name != "contained").try_for_each(|(name, value)| {
        let place = format!("{place}.{name}");
        match value {
            Value::Array(items) => {
                let repeats = REPEATING.contains(&name.trim_start_matches('_'));
                ensure(repeats, place.as_str(), "the element does not repeat")?;
                items.iter().try_for_each(|item| single(&place, item))
            }
            value => single(&place, value),
        }
    })
}

/// Every value at a dotted path, through arrays.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    path.split('.').fold(vec![value], |values, name| {
        let members = values.into_iter().filter_map(|value| value.get(name));
        members.flat_map(|member| member.as_array().map_or(vec![member], |items| items.iter().collect())).collect()
    })
}

/// Walks to every Reference; `path` is the dotted path of elements without indexes.
fn references(root: &Value, value: &Value, place: &str, path: &str, rules: &Rules) -> Verdict {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| references(root, item, &format!("{place}[{i}]"), path, rules)),
        Value::Object(members) => {
            let allowed = rules.targets.iter().find(|(known, _)| *known == path).map(|(_, types)| *types);
            let named = members.get("reference").and_then(Value::as_str);
            if let (Some(text), false) = (named, path.is_empty()) {
                let types = target(root, text).map_err(|message| (place.to_owned(), message))?;
                judge(types, allowed, place)?;
            }
            if allowed.is_some() {
                judge(members.get("type").and_then(Value::as_str), allowed, place)?;
            }
            members.iter().filter(|(name, _)| *name != "contained").try_for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                references(root, value, &format!("{place}.{name}"), &path, rules)
            })
        }
        _ => Ok(()),
    }
}

fn judge(target: Option<&str>, allowed: Option<&[&str]>, place: &str) -> Verdict {
    let fits = match (target, allowed) {
        (Some(target), Some(allowed)) => allowed.contains(&target),
        _ => true,
    };
    ensure(fits, place, "a reference to a type that R4 does not allow here")
}

/// The type a reference names: by its segment, or that of the contained resource. A `urn:` names none.
fn target<'a>(root: &'a Value, text: &'a str) -> Result<Option<&'a str>, &'static str> {
    if let Some(id) = text.strip_prefix('#') {
        let contained = at(root, "contained").into_iter().find(|resource| resource["id"] == id);
        let holder = if id.is_empty() { Some(root) } else { contained };
        return holder
            .map(|resource| resource["resourceType"].as_str())
            .ok_or("a reference to a contained resource that is not there");
    }
    if text.starts_with("urn:uuid:") || text.starts_with("urn:oid:") {
        return Ok(None);
    }
    Reference::parse(text).map(|reference| Some(reference.resource_type)).ok_or("not a reference to a resource")
}
