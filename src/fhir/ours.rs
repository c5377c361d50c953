//! Resources that are ours: bodies posted to us, and everything we emit or store. <https://hl7.org/fhir/R4/validation.html>
//!
//! fhirbolt knows the elements and their JSON types; what else R4 and US Core demand of our types is checked here.

mod narrative;
mod rules;
mod shape;

use fhirbolt::{FhirReleases, element::Element};
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// Whether a resource is fit to be stored. Every write goes through this.
///
/// `Invalid` where it is not FHIR R4 JSON, `Unprocessable` where it breaks a rule; the expression names the place, and
/// no message echoes a value.
pub fn check(resource: &Value) -> Result<()> {
    // INVARIANT: what_fhirbolt_would_change_is_refused
    if normal(resource.clone())? != *resource {
        return Err(Error::invalid("an element has another JSON type or number of values than FHIR R4 gives it"));
    }
    let broken = |(place, message): Broken| Error::new(Kind::Unprocessable, message).at(place);
    shape::check(resource).map_err(broken)?;
    rules::check(resource).map_err(broken)
}

/// The resource as fhirbolt writes it: `resourceType` first, decimals and primitive extensions as they were.
///
/// `Invalid` where an element is unknown to FHIR R4 or has the wrong type.
pub fn normal(value: Value) -> Result<Value> {
    if !value.is_object() {
        return Err(Error::invalid(NO_RESOURCE));
    }
    // fhirbolt's own words quote the input, so they go no further.
    let element: Element<{ FhirReleases::R4 }> =
        fhirbolt::json::from_json_value(type_first(value), None).map_err(|e| Error::invalid(reason(&e.to_string())))?;
    fhirbolt::json::to_json_value(element, None)
        .map_err(|_| Error::invalid("the resource cannot be written as FHIR R4"))
}

const NO_RESOURCE: &str = "the body is not a resource of FHIR R4";

fn reason(words: &str) -> &'static str {
    if words.starts_with("unknown field") {
        "the resource holds an element that FHIR R4 does not know, or names no type"
    } else {
        NO_RESOURCE
    }
}

/// fhirbolt wants `resourceType` to be the first member of every resource; JSON promises no order.
fn type_first(resource: Value) -> Value {
    let Value::Object(members) = resource else { return resource };
    let (name, rest): (Vec<_>, Vec<_>) = members.into_iter().partition(|(name, _)| name == "resourceType");
    Value::Object(name.into_iter().chain(rest.into_iter().map(within)).collect())
}

/// The same for the resources inside a member. Only where R4 places resources: the `resourceType` of
/// `ExampleScenario.instance` is a plain element.
fn within((name, value): (String, Value)) -> (String, Value) {
    let ordered = match (name.as_str(), value) {
        ("contained", Value::Array(items)) => items.into_iter().map(type_first).collect(),
        ("resource" | "outcome", value @ Value::Object(_)) => type_first(value),
        (_, Value::Array(items)) => items.into_iter().map(|item| within((String::new(), item)).1).collect(),
        (_, Value::Object(members)) => Value::Object(members.into_iter().map(within).collect()),
        (_, primitive) => primitive,
    };
    (name, ordered)
}

/// Where, as a FHIRPath, and which rule.
type Broken = (String, &'static str);
type Verdict = std::result::Result<(), Broken>;

fn ensure(kept: bool, place: impl Into<String>, message: &'static str) -> Verdict {
    if kept { Ok(()) } else { Err((place.into(), message)) }
}

#[cfg(test)]
mod tests;
